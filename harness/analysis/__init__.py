"""What tables say: summaries, comparisons, claims, agreement, calibration, curves. Pure; any OS, no root."""
