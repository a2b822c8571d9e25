"""An app's connections in one process, for its own loops and for synchronous code."""
