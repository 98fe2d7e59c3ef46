"""A topology shown: as text, as JSON data, as Graphviz source, and drawn as SVG."""
