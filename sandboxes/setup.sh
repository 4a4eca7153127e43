#!/bin/sh
# setup.sh engine: makes sure that a Docker engine answers. Where none does and this is root on a Debian-like system,
#     installs the distribution's engine and starts it, saying so; elsewhere says what to install and stops.
# setup.sh embedded: the same for bubblewrap, with which episodes run where there is no engine.
# setup.sh sandbox: an engine, or bubblewrap where none can be had.
# setup.sh sandboxes: both, for the tests; where one of the two can't be had, its tests are skipped.
# setup.sh browser: the same for Chromium, in which the tests open the report.
# setup.sh python [PYTHON]: prints which Python to install with, or says what to do.
set -eu

LOG=/var/log/dockerd.log

answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

stop() { echo "setup: $1" >&2; exit 1; }

install() {
    [ "$(id -u)" -eq 0 ] || stop "$1 is missing: install it (Debian, Ubuntu: sudo apt-get install -y $2), then run this again"
    command -v apt-get >/dev/null || stop "$1 is missing: install it from your distribution, then run this again"
    echo "setup: installing $2 from the distribution"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $2 >/dev/null
}

start() {
    [ "$(id -u)" -eq 0 ] || stop "no Docker engine answers: start it (sudo systemctl start docker), or set DOCKER_HOST"
    echo "setup: starting the Docker engine"
    if [ -d /run/systemd/system ]; then
        systemctl start docker
    else
        rm -f /var/run/docker.pid
        setsid nohup dockerd >"$LOG" 2>&1 </dev/null &
    fi
    for _ in $(seq 60); do
        if answers; then return; fi
        sleep 0.5
    done
    stop "the Docker engine did not start; its log is $LOG"
}

engine() {
    if ! answers; then
        [ -z "${DOCKER_HOST:-}" ] || stop "no Docker engine answers at DOCKER_HOST=$DOCKER_HOST"
        command -v dockerd >/dev/null || install "a Docker engine" docker.io
        answers || start
    fi
    # Where no registry can be reached, the image is bootstrapped from the distribution's packages.
    command -v mmdebstrap >/dev/null || command -v debootstrap >/dev/null || [ "$(id -u)" -ne 0 ] || install mmdebstrap mmdebstrap
}

embedded() { command -v bwrap >/dev/null || install bubblewrap bubblewrap; }

sandbox() {
    if (engine); then return; fi
    echo "setup: without a Docker engine, episodes run with --sandbox embedded"
    embedded
}

sandboxes() {
    if ! (engine); then
        embedded
    elif ! (embedded); then
        echo "setup: tests of --sandbox embedded will be skipped"
    fi
}

# The shell is the same engine without a desktop's browser around it, at half the processor time for a page.
browser() {
    if command -v chromium-headless-shell || command -v chromium || command -v chromium-browser; then return; fi >/dev/null
    if [ "$(id -u)" -eq 0 ] && (install Chromium chromium-headless-shell); then return; fi
    install Chromium chromium
}

USABLE='import ensurepip, sys, venv; sys.version_info >= (3, 11) or sys.exit(1)'
OPTIMISED='import sys, sysconfig
sys.base_prefix == "/usr" or "--enable-optimizations" in sysconfig.get_config_var("CONFIG_ARGS") or sys.exit(1)'

# The python3 on PATH, but the distribution's where the former was built without optimisation, as pyenv builds if it is
# not told otherwise: such a Python takes up to half as long again for everything. Or else the one that is named.
python() {
    for wanted in "$USABLE; $OPTIMISED" "$USABLE"; do
        for candidate in ${1:-python3 /usr/bin/python3}; do
            if "$candidate" -c "$wanted" 2>/dev/null; then echo "$candidate"; return; fi
        done
    done
    stop "no Python 3.11 or newer with venv: install one (Debian, Ubuntu: sudo apt-get install -y python3-venv), or name it with PYTHON="
}

case "${1:-}" in
    engine | embedded | sandbox | sandboxes | browser | python) "$@" ;;
    *) stop "usage: setup.sh engine|embedded|sandbox|sandboxes|browser|python" ;;
esac
