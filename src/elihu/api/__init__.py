"""The verbs of ``app.*``."""
