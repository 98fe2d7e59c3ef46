#!/usr/bin/env bash
# EXPECTED: the Interval_Max column of an HdrHistogram interval log is the interval's maximum as a real number; the
#   writer formats it with six decimals, and simple parsers and plots read just that column.
# REALITY: the Python port divides with floor division before it prints those decimals. With values in nanoseconds and
#   the default ratio the column is whole milliseconds: every interval whose worst latency is under 1 ms says 0.000000,
#   and 1.99 ms says 1.000000. The encoded payload on the same line is right. A finer ratio floors as well.
# WHERE: latency harnesses that log one interval a second and build their "max" series from column 3: all zeros reads
#   like "nothing recorded", or like a perfect run, and two set-ups that differ by 900 us look equal.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT
cd "$T"
python3 -m pip install -qq --disable-pip-version-check --target py hdrhistogram==0.10.3
PYTHONPATH="$T/py" python3 - <<'PY'
import sys
from importlib.metadata import version
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader, HistogramLogWriter
print('python', sys.version.split()[0], ' hdrhistogram', version('hdrhistogram'))
worst = [40_000, 940_000, 1_990_000, 12_700_000]         # nanoseconds, one worst case for each interval
def write(name, **kw):
    with open(name, 'w') as f:
        w = HistogramLogWriter(f)
        w.output_log_format_version()
        w.output_legend()
        for sec, top in enumerate(worst, 1):
            h = HdrHistogram(1, 1_000_000_000, 3)
            for v in (20_000, 25_000, top): h.record_value(v)
            h.set_start_time_stamp(1000 * sec); h.set_end_time_stamp(1000 * sec + 1000)
            w.output_interval_histogram(h, **kw)
    column = [line.split(',')[2] for line in open(name) if line[0].isdigit()]
    reader, payload = HistogramLogReader(name, HdrHistogram(1, 1_000_000_000, 3)), []
    while (h := reader.get_next_interval_histogram()) is not None: payload.append(h.get_max_value())
    return column, payload
column, payload = write('default.hlog')
print('recorded worst, ns ', worst)
print('payload max, ns    ', payload)
print('Interval_Max column', column, '(default ratio, so milliseconds)')
ok = column == ['0.000000', '0.000000', '1.000000', '12.000000']
ok &= all(abs(p - w) <= w / 1000 for p, w in zip(payload, worst))
worst = [25_900, 30_499, 41_999]
column, payload = write('micro.hlog', max_value_unit_ratio=1000.0)
print('ratio 1000: recorded', worst, 'ns, column', column, 'microseconds')
ok &= all(float(c) == p // 1000 < p / 1000 for c, p in zip(column, payload))
sys.exit(0 if ok else 'behaviour changed')
PY
echo "as described: the column lost everything below one whole unit"
