"""An example: size, SHA-256 and line count of every file in a folder, with one job for
each file and a report at the end.
"""
