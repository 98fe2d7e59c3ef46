"""Mininet's topologies as input: the only importer of mininet, and that in a child process alone."""
