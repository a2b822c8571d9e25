"""A shop whose receipts, stock and reports are jobs."""
