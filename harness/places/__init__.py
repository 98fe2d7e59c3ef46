"""Where a plan runs: on this host, in a guest, over a fleet."""
