"""A plan run by a fleet of hosts: split into shares, followed, fetched, merged into one set; on ansible-runner."""
