#!/bin/sh
# newer_engine.sh COMMAND…: runs a command with Docker Engine 26.1 and Compose 2.26, which Inspect's own docker provider
# needs, beside whatever engine the system has (Debian 12's is older):
#
#     benchmarks/newer_engine.sh python benchmarks/overhead.py
#
# They are Debian 13's, in a folder of their own (some 1 GB, kept for the next time), and end with the command. Root only.
set -eu

STATE=${XDG_CACHE_HOME:-$HOME/.cache}/sidedoor/newer-engine
ROOT=$STATE/root
SOCKET=$STATE/docker.sock

stop() { echo "newer_engine.sh: $1" >&2; exit 1; }

bootstrap() {
    echo "newer_engine.sh: installing Debian 13's docker.io into $ROOT, once" >&2
    rm -rf "$ROOT"
    mmdebstrap --quiet --variant=apt --include=docker.io,docker-compose,mount trixie "$ROOT.new" http://deb.debian.org/debian
    mv "$ROOT.new" "$ROOT"
}

# In a mount namespace of its own, and with a root that is a mount: the engine remounts its root to unpack layers.
serve() {
    mount --make-rprivate /
    mount --bind "$ROOT" "$ROOT"
    mkdir -p "$ROOT/state" "$ROOT/before"
    for tree in proc sys dev; do mount --rbind "/$tree" "$ROOT/$tree"; done
    mount --bind "$STATE" "$ROOT/state"
    cd "$ROOT"
    pivot_root . before
    umount -l /before
    exec dockerd --host unix:///state/docker.sock --data-root /state/data --exec-root /state/run \
        --pidfile /state/docker.pid --bip 172.29.0.1/24 --default-address-pool base=172.30.0.0/16,size=24 \
        --iptables=false --ip6tables=false --cgroup-parent newer-engine
}

[ $# -gt 0 ] || stop "usage: newer_engine.sh COMMAND…"
if [ "$1" = --serve ]; then serve; fi
[ "$(id -u)" -eq 0 ] || stop "only root can start another engine"
command -v mmdebstrap >/dev/null || stop "mmdebstrap is missing: apt-get install -y mmdebstrap"
mkdir -p "$STATE"
[ -d "$ROOT" ] || bootstrap
mkdir -p "$STATE/config/cli-plugins"
cp "$ROOT/usr/libexec/docker/cli-plugins/docker-compose" "$STATE/config/cli-plugins/"

unshare --mount "$0" --serve >"$STATE/dockerd.log" 2>&1 &
engine=$!
trap 'kill "$engine" 2>/dev/null; wait "$engine" || :' EXIT INT TERM
export DOCKER_HOST="unix://$SOCKET" DOCKER_CONFIG="$STATE/config"
until docker version >/dev/null 2>&1; do
    kill -0 "$engine" 2>/dev/null || stop "the engine did not start; its log is $STATE/dockerd.log"
    sleep 0.2
done
"$@"
