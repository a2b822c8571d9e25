"""An example: size, SHA-256 and line count of every file in a folder, one job a file,
and a report at the end.
"""
