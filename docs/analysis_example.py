"""Result sets in Python, step by step: read this file from top to bottom, or run it on a set of your own.

python docs/analysis_example.py results/quickstart/20261122T101500Z
"""

# %% Load. Nothing is read until it is asked for; several sets may be named, a column `set` tells them apart.
import sys

import pandas as pd

from harness import load

results = load(*(sys.argv[1:] or ["results/quickstart"]))
runs = results.runs
print(f"{len(runs)} runs of {', '.join(results.sets)}")
print(runs.groupby(["case", "verdict"]).size().unstack(fill_value=0))

# %% Only valid runs count. What became of the others is in `reasons`.
valid = runs[runs["verdict"] == "valid"]
for _, run in runs[runs["verdict"] != "valid"].iterrows():
    print(f"left out: {run['run_id']} ({run['case']}): {run['reasons']}")

# %% The run is the unit: medians over runs of each run's quantile, never a quantile of all requests together.
factors = [name for name in runs.columns if "." in name]
# Sets of 0.2.0 and older know the processes' part of the cost alone.
known = [
    name for name in ("set_cpu_us_per_request", "cpu_us_per_request") if name in valid and valid[name].notna().any()
]
figures = ["rtt_p50_us", "rtt_p99_us", *known[:1]]
print(valid.groupby(["case", *factors])[figures].median().round(2))

# %% The same with intervals, as summary.csv has it.
summary = results.summary
print(summary[["set", "case", *factors, "n_valid", "rtt_p99_us", "rtt_p99_us_low", "rtt_p99_us_high"]])

# %% A factor as a number, for an axis.
if factors:
    level = results.number(factors[0])
    print(pd.DataFrame({factors[0]: runs[factors[0]], "number": level}).drop_duplicates())

# %% Requested, applied, took effect: one row per run and setting.
evidence = results.evidence
if len(evidence):
    print(evidence.groupby(["case", "setting", "requested", "applied"])["took_effect"].agg(["count", "mean"]))

# %% Raw samples, only the columns that are needed, only of the runs that are needed.
one_case = valid[valid["case"] == valid["case"].iloc[0]]
samples = results.samples(["run_id", "latency_ns"], one_case)
answered = samples[samples["latency_ns"] >= 0]
print(f"{len(samples):,} requests, {len(samples) - len(answered):,} of them lost")
print(answered.groupby("run_id", observed=True)["latency_ns"].quantile(0.999, interpolation="higher") / 1000)

# %% A set that does not fit in memory: one run after another.
worst = {run_id: frame["latency_ns"].max() / 1000 for _, run_id, frame in results.each_run(["latency_ns"])}
print("longest round trip of each run, us:", pd.Series(worst).describe().round(1), sep="\n")

# %% An empirical distribution for plotting: at most 2000 points, every one of them a sample at its true rank.
# CSV files of runs, and some programs' results, have no samples.
if len(samples):
    curve = results.ecdf(str(samples["run_id"].iloc[0]))
    print(curve.iloc[[0, len(curve) // 2, -1]])
