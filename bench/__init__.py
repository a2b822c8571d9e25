"""Measurements: what Elihu does in a second on this machine, beside what plain SQL does
on the same tables.
"""
