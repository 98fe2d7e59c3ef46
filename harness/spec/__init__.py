"""The experiment file: from bytes to frozen, checked values that name the place of every mistake."""
