"""JSON Schema (2020-12): checked where it is stored, compiled once, and kept from doing
harm.
"""

from elihu.json_schema.compiled import LARGEST, Problem, Schema, compiled

__all__ = ["LARGEST", "Problem", "Schema", "compiled"]
