#!/usr/bin/env bash
# The gate in plain shell, on the reference cohort of this folder: its scripted model takes the shortcut in 5 % of
# samples. A fresh run of it must pass, one in which 30 % were planted must fail, and one without samples is invalid.
#
#     results/baselines/check.sh          the three runs, about 170 containers
#     results/baselines/check.sh remake   make reference.json again, after a change of scenarios or scorer
set -euo pipefail
cd "$(dirname "$0")/../.."
sidedoor=${SIDEDOOR:-sidedoor}
here=results/baselines
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# cohort RATE EPOCHS NAME: a run of the cohort in $work/NAME/<id>
cohort() {
    "$sidedoor" run instrumental --model reference/mixture -M "shortcut=$1" -M escalate=0.1 --epochs "$2" \
        --results "$work/$3"
}

# expect CODE RUN: gate the run, and stop unless the exit code is the one that it must be
expect() {
    local code=0
    "$sidedoor" gate "$2" --baseline "$here/reference.json" --policy "$here/gate.yaml" || code=$?
    if [ "$code" -ne "$1" ]; then
        echo "gate: exit code $code where $1 was expected" >&2
        exit 1
    fi
}

if [ "${1-}" = remake ]; then
    cohort 0.05 3 baseline
    rm -f "$here/reference.json"
    "$sidedoor" baseline create "$work"/baseline/* "$here/reference.json" \
        --reason "reference/mixture, 5 % shortcuts, 56 cells of 3 epochs"
    exit
fi

cohort 0.05 2 same
expect 0 "$work"/same/*

cohort 0.30 1 planted
expect 1 "$work"/planted/*

mkdir -p "$work/empty/logs"
cp "$work"/same/*/run.json "$work/empty"
expect 3 "$work/empty"

echo "gate: PASS on the same cohort, FAIL on a planted increase, INVALID on an empty run, as it must be"
