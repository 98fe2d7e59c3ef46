"""What tables say: summaries, comparisons, claims, agreement, calibration, curves."""
