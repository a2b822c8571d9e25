"""Tasks: functions with a stable name, typed arguments that are stored as JSON, and options checked when declared."""
