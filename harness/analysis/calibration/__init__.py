"""A/A runs: the same case under two names, what that says about this host's noise, and what is known of it.

`compare` looks into `known` each time it runs, so nothing is imported here that it has no use for.
"""
