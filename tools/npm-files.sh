#!/bin/sh
# Fetch again, from the npm registry, the few files that the project takes from there, and check their hashes.
# "charts": the charting library of the report's page, into the package, where it is committed and shipped with its licence.
# "axe": the accessibility checker of the browser tests, into build/, which is not committed.
# Nothing is changed unless every hash fits. A newer release: change version and hashes here, look at the difference.
set -eu
cd "$(dirname "$0")/.."

case "${1:-}" in
charts)
    package=uplot@1.6.32 target=harness/report/html/library
    hashes="19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f  dist/uPlot.iife.min.js
df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04  dist/uPlot.min.css
8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd  LICENSE"
    ;;
axe)
    package=axe-core@4.14.1 target=build/axe
    hashes="29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c  axe.min.js"
    ;;
*)
    echo "usage: $0 charts|axe" >&2
    exit 2
    ;;
esac

command -v npm >/dev/null 2>&1 || { echo "$0: $package is fetched by npm, which is not here (Debian: npm)" >&2; exit 3; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
(cd "$scratch" && npm pack --silent "$package" >/dev/null) || { echo "$0: npm could not fetch $package" >&2; exit 3; }
tar -xzf "$scratch"/*.tgz -C "$scratch"
cd "$scratch/package"
echo "$hashes" | sha256sum --check --quiet - || { echo "$0: $package is not what was pinned" >&2; exit 1; }
cd - >/dev/null
mkdir -p "$target"
echo "$hashes" | while read -r _ file; do
    cp "$scratch/package/$file" "$target/"
done
