"""Finding the best of many settings by racing them: which to run next, when to stop, what may be claimed. Pure."""
