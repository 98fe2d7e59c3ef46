"""A topology as a value: addresses, ports, qdiscs, switching, loss along a path, pictures."""
