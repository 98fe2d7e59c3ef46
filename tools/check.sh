#!/bin/sh
# Every check of the project, each run even if one before it failed, with closing lines that say how each ended.
# "lint": format, lint, types. "test": those and pytest, as root. Further arguments go to pytest.
#
# "test" runs all of them at the same time: the checks that need no root and the tests that compute fill the CPUs, at
# low priority, while the tests on real links wait. tests/lanes.py says which worker takes which test.
set -u
cd "$(dirname "$0")/.." || exit 3

purpose=${1:-test}
[ $# -eq 0 ] || shift
status=0
scratch=$(mktemp -d)
cleanup() {
    # shellcheck disable=SC2046  # one word a job
    kill $(jobs -p) 2>/dev/null
    # What root's tests left there (compiled files, pytest's memory) needs root to be removed.
    rm -rf "$scratch" 2>/dev/null || tools/as-root.sh rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

begin() { # NAME COMMAND...: in the background, at low priority, its output to be shown by finish
    name=$1
    shift
    (
        began=$(date +%s)
        nice -n 19 "$@" >"$scratch/$name.out" 2>&1
        echo $? $(($(date +%s) - began)) >"$scratch/$name.end"
    ) &
}

finish() { # NAME...: in this order, each as soon as it has ended
    wait
    for name in "$@"; do
        echo "== $name"
        cat "$scratch/$name.out"
    done
}

verdicts() { # NAME...: the closing lines
    echo
    for name in "$@"; do
        read -r code took_s <"$scratch/$name.end"
        if [ "$code" -eq 0 ]; then verdict=ok; else verdict=FAILED; status=1; fi
        printf '%-8s %-7s %4d s\n' "$name" "$verdict" "$took_s"
    done
}

# What failed has one more try, by itself, and the log keeps both: on a busy host two programs may get into each other's
# way on real links. A test that fails twice has failed. (The account of tiers is of the first, whole session.)
# Who names tests gets them one after another, as a direct call of pytest gives them.
run_tests() {
    # In place of pyproject's addopts, which keep no memory of failures: it would be a directory of root's in the checkout.
    options="addopts=-ra --strict-markers --strict-config --import-mode=importlib"
    memory="cache_dir=$scratch/memory"
    workers=$(($(nproc) + 2))
    [ $# -eq 0 ] || workers=0
    # Hundreds of tests start a Python: compiled files, outside the checkout, save each a quarter of its time. Those that
    # pip made count there only as links: else every worker would compile pandas again before its first test.
    .venv/bin/python - "$scratch/compiled" <<'END'
import glob, os, sys
for made in glob.iglob(f"{os.getcwd()}/.venv/lib/**/__pycache__/*.pyc", recursive=True):
    link = sys.argv[1] + made.replace("/__pycache__/", "/")
    os.makedirs(os.path.dirname(link), exist_ok=True)
    os.symlink(made, link)
END
    pytest="env PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$scratch/compiled .venv/bin/python -m pytest"
    # shellcheck disable=SC2086  # $pytest is several words
    tools/as-root.sh $pytest -o "$options" -o "$memory" -n "$workers" "$@" && return 0
    echo "== the tests that failed, once more"
    # shellcheck disable=SC2086
    CI='' tools/as-root.sh $pytest -o "$options" -o "$memory" --last-failed --last-failed-no-failures none "$@"
}

begin format .venv/bin/ruff format --check .
begin lint .venv/bin/ruff check .
begin types .venv/bin/pyrefly check
if [ "$purpose" = test ]; then
    echo "== tests"
    began=$(date +%s)
    run_tests "$@"
    echo $? $(($(date +%s) - began)) >"$scratch/tests.end"
    finish format lint types
    verdicts format lint types tests
else
    finish format lint types
    verdicts format lint types
fi
if [ $status -eq 0 ]; then echo "make $purpose: all passed"; else echo "make $purpose: FAILED"; fi
exit $status
