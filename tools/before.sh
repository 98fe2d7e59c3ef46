#!/bin/sh
# Put an older commit beside this checkout, with an environment of its own, and print where: for
# POLLBENCH_BENCH_BEFORE=$(tools/before.sh) make bench ARGS=before. The default is the commit that docs/performance.md
# measures against, the last before the guests were resumed.
set -eu
cd "$(dirname "$0")/.."

commit=${1:-d69bd0d}
place=$PWD/build/before/$(git rev-parse --short "$commit")
if [ ! -d "$place" ]; then
    git worktree add --detach "$place" "$commit" >&2
fi
"$place/tools/venv.sh" test >&2
echo "$place"
