#!/bin/sh
# Print the path of a Python that can make our virtual environment: 3.11 or newer, with working venv and ensurepip.
# Exit 1, and say on stderr what each candidate lacks, where there is none. PYTHON chooses one by hand.
set -eu

able='
import sys
if sys.version_info < (3, 11):
    sys.exit("is Python %d.%d, but 3.11 or newer is needed" % sys.version_info[:2])
try:
    import ctypes, ensurepip, ssl, venv
except ImportError as error:
    sys.exit("lacks the module %s" % error.name)
print(sys.executable)
'

why=""
for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3}; do
    if ! command -v "$candidate" >/dev/null 2>&1; then
        [ -z "${PYTHON:-}" ] || why="$candidate: not found"
        continue
    fi
    # A pyenv shim exists for versions that are not selected, and then fails: asking is the only way to know.
    if answer=$("$candidate" -c "$able" 2>&1); then
        echo "$answer"
        exit 0
    fi
    why="$why$candidate: $(echo "$answer" | tail -n 1)
"
done
printf 'no usable Python 3.11 or newer with venv:\n%s\n' "${why:-python3: not found}" >&2
exit 1
