"""Mininet's topologies as input, read in a child process."""
