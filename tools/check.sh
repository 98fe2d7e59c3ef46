#!/bin/sh
# Every check of the project, each run even if one before it failed, with closing lines that say how each ended.
# "lint": format, lint, types. "test": those and pytest, as root. Further arguments go to pytest.
set -u
cd "$(dirname "$0")/.." || exit 3

what=${1:-test}
[ $# -eq 0 ] || shift
closing=""
status=0

step() { # NAME COMMAND...
    name=$1
    shift
    echo "== $name"
    begin=$(date +%s)
    if "$@"; then verdict=ok; else verdict=FAILED; status=1; fi
    closing="$closing$(printf '%-8s %-7s %4d s' "$name" "$verdict" $(($(date +%s) - begin)))
"
}

# On a busy host two programs may get into each other's way on real links: what failed has one more try, by itself,
# and the log keeps both. A test that fails twice has failed. (The account of tiers is of the first, whole session.)
# shellcheck disable=SC2317  # it is called by step
run_tests() {
    # In place of pyproject's addopts, which keep no memory of failures: it would be a directory of root's in the checkout.
    options="addopts=-ra --strict-markers --strict-config --import-mode=importlib"
    memory="cache_dir=$(mktemp -d)"
    tools/as-root.sh .venv/bin/python -m pytest -o "$options" -o "$memory" "$@" && return 0
    echo "== the tests that failed, once more"
    CI='' tools/as-root.sh .venv/bin/python -m pytest -o "$options" -o "$memory" --last-failed \
        --last-failed-no-failures none "$@"
}

step format .venv/bin/ruff format --check .
step lint .venv/bin/ruff check .
step types .venv/bin/mypy
if [ "$what" = test ]; then
    step tests run_tests "$@"
fi

printf '\n%s' "$closing"
if [ $status -eq 0 ]; then echo "make $what: all passed"; else echo "make $what: FAILED"; fi
exit $status
