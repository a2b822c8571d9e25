"""Which nodes live."""
