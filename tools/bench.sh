#!/bin/sh
# Run the benchmarks one after another, as root: all of them, or those named ("sockperf" for bench_sockperf.py).
# One is a program of its own, or a pytest file where it needs fixtures or may have to skip.
set -u
cd "$(dirname "$0")/.." || exit 3

names="$*"
if [ -z "$names" ]; then
    names=$(find tests/bench -name 'bench_*.py' | sort | sed 's|.*/bench_||; s|\.py$||')
fi
status=0
for name in $names; do
    echo "== $name"
    if grep -q '^if __name__ == "__main__":' "tests/bench/bench_$name.py"; then
        tools/as-root.sh .venv/bin/python -m "tests.bench.bench_$name" || status=1
    else
        tools/as-root.sh .venv/bin/python -m pytest -s -q "tests/bench/bench_$name.py" || status=1
    fi
done
exit $status
