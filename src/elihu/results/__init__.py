"""Waiting for the ends of jobs: one listener and one query serve all waiters of a loop."""
