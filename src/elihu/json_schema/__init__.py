"""JSON Schema (2020-12): checked when stored, compiled once, with bounded work."""

from elihu.json_schema.compiled import LARGEST, Problem, Schema, compiled

__all__ = ["LARGEST", "Problem", "Schema", "compiled"]
