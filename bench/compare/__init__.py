"""Elihu, plain SQL and other job queues, measured in turn by one program."""
