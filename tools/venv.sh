#!/bin/sh
# Bring .venv up to date: locked dependencies to run ("run"), to test ("test") or to test the tests ("mutants"), the
# package itself, the C program.
# What was installed is remembered as checksums in .venv, so a second call takes a moment and changes nothing.
set -eu
cd "$(dirname "$0")/.."

level=${1:-run}
say() { echo "pollbench: $*"; }

if [ -e .venv ] && [ ! -w .venv ]; then
    echo ".venv belongs to another user; remove it (sudo rm -r .venv) and try again" >&2
    exit 3
fi
if ! .venv/bin/python -c 'import pip' >/dev/null 2>&1; then
    python=$(tools/python.sh) || exit 3
    say "making .venv with $python"
    "$python" -m venv --clear .venv
fi
pip() { .venv/bin/python -m pip --disable-pip-version-check --no-input "$@"; }

lock=requirements.lock
# The lock for testing holds all of the one for running: once it is in, both are satisfied.
if [ "$level" = test ] || [ -e .venv/.pollbench-test ]; then
    lock=requirements-dev.lock
fi
if [ "$level" = mutants ] || [ -e .venv/.pollbench-mutants ]; then
    lock=requirements-mutants.lock
fi
wanted=$(cksum "$lock")
if [ "$(cat .venv/.pollbench-locked 2>/dev/null)" != "$wanted" ]; then
    say "installing $lock"
    pip install --quiet --require-hashes --requirement "$lock"
    [ "$lock" = requirements.lock ] || touch .venv/.pollbench-test
    [ "$lock" != requirements-mutants.lock ] || touch .venv/.pollbench-mutants
    echo "$wanted" >.venv/.pollbench-locked
fi

# The place counts too: an editable install points at it. So does the program, which `git clean` removes.
program=harness/loadgen/pollbench-loadgen
wanted=$(pwd; find pyproject.toml setup.py harness/loadgen -name '*.toml' -o -name '*.py' -o -name '*.[ch]' | sort | xargs cksum)
if [ "$(cat .venv/.pollbench-package 2>/dev/null)" != "$wanted" ] || [ ! -x "$program" ]; then
    say "building and installing pollbench"
    pip install --quiet --no-deps --no-build-isolation --editable .
    echo "$wanted" >.venv/.pollbench-package
fi
