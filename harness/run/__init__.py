"""One run: open its testbed, apply the knobs, start the processes, count, judge."""
