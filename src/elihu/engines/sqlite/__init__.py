"""The SQLite engine: one file, many processes of one machine, the standard library's
driver.
"""
