"""Why the slow requests of a result set were slow: by the traced repetition of each of its cells."""

from harness.analysis.tail.cell import Above, CellTail, parse_above, tails, traced_set
from harness.analysis.tail.words import advice, no_tail, sentence, what

__all__ = ["Above", "CellTail", "advice", "no_tail", "parse_above", "sentence", "tails", "traced_set", "what"]
