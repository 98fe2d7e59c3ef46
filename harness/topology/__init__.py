"""A topology as a pure value: addresses, ports, queueing disciplines, switching, loss along a path, pictures."""
