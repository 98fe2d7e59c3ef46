"""The provided virtual machine: its image, built from a pinned recipe, and the guest that executes a plan."""
