"""Measurements: what Elihu does in a second on this machine, beside plain SQL on the
same tables.
"""
