#!/bin/sh
# Pin every dependency with its hashes: requirements.lock (to build and run), requirements-dev.lock (to check too) and
# requirements-mutants.lock (for make mutants besides).
#
# Runs pip-tools in a throw-away environment of the oldest supported Python (3.11; name another in PYTHON), whose
# set of packages is the widest. Personal pip settings are ignored and no index address is written, so the lock
# means the same to everybody. Pass --upgrade to move to newer releases.
set -eu
cd "$(dirname "$0")/.."

PIP_CONFIG_FILE=/dev/null
export PIP_CONFIG_FILE
unset PIP_FIND_LINKS PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_CONSTRAINT PIP_REQUIREMENT PIP_NO_INDEX || true

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${PYTHON:-python3.11}" -m venv "$scratch"
"$scratch/bin/pip" install --quiet pip-tools

header='# Made by tools/lock.sh from pyproject.toml; do not edit. Install with: pip install --require-hashes -r FILE'

compile() { # OUTPUT ARGUMENTS...
    output=$1
    shift
    "$scratch/bin/pip-compile" --quiet --generate-hashes --allow-unsafe --strip-extras --build-deps-for=editable \
        --no-config --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
        --output-file="$output" "$@" pyproject.toml
    # A local version (1.0+cpu) exists only where it was built; a web address ties the lock to one mirror.
    if grep -nE '^[^#]*(==[^ ]*\+|://)|^-' "$output"; then
        echo "lock.sh: the lines above of $output would not install elsewhere" >&2
        exit 1
    fi
    sed -i "1i $header" "$output"
}

compile requirements.lock "$@"
compile requirements-dev.lock --extra=dev --constraint=requirements.lock "$@"
compile requirements-mutants.lock --extra=dev --extra=mutants --constraint=requirements-dev.lock "$@"
