#!/bin/sh
# Run a command as root: directly, or through sudo; say in one line what to type where neither is possible.
set -eu

if [ "$(id -u)" -eq 0 ]; then
    exec "$@"
fi
if ! command -v sudo >/dev/null 2>&1; then
    echo "root is needed for: $*" >&2
    echo "sudo is not installed; run the same command as root, for example: su -c 'make test'" >&2
    exit 3
fi
# As root, Python must leave no compiled files in the user's checkout that the user could not remove.
exec sudo env "CI=${CI:-}" "PYTHONDONTWRITEBYTECODE=1" "$@"
