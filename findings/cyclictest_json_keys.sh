#!/usr/bin/env bash
# EXPECTED: the keys of cyclictest's JSON report are names: "cmdline" and "rt_test_version" beside "start_time".
# REALITY: these two end in a colon of their own ("rt_test_version:"), and all others do not; and a run without -h has an
#   empty histogram in a thread's entry, so that quantiles are silently none.
# WHERE: importers and CI jobs that note which version measured: document.get("rt_test_version") is empty for every file, and
#   comparing two releases of the program shows no difference between them.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
apt-get download -qq rt-tests=2.4-1 libnuma1 2>/dev/null; for deb in *.deb; do dpkg -x "$deb" x; done
export LD_LIBRARY_PATH="$T/x/usr/lib/x86_64-linux-gnu"
echo "rt-tests 2.4-1, $(uname -r)"
x/usr/bin/cyclictest -q -l 20 --default-system --json=plain.json >/dev/null
x/usr/bin/cyclictest -q -l 20 --default-system -h 20000 --json=hist.json >/dev/null
python3 - <<'PY'
import json
plain, hist = (json.load(open(name)) for name in ("plain.json", "hist.json"))
print("keys:", ", ".join(repr(key) for key in plain if key not in ("thread", "sysinfo")))
print("histogram without -h:", plain["thread"]["0"]["histogram"], "with:", len(hist["thread"]["0"]["histogram"]), "bins")
assert plain["rt_test_version:"] == "2.40" and "rt_test_version" not in plain, "behaviour changed: the key is a name"
assert "cmdline:" in plain and "start_time" in plain
assert plain["thread"]["0"]["histogram"] == {} and hist["thread"]["0"]["histogram"]
PY
echo "as described: two keys with a colon in their names"
