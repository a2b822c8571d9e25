"""Callers' own connections, of any driver: jobs stored and completed in a transaction
that is not ours.
"""
