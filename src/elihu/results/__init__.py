"""Waits for the ends of jobs. One listener and one query serve all waiters of a loop."""
