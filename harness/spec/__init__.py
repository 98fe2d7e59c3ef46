"""The experiment file, from bytes to checked values that name the place of every mistake."""
