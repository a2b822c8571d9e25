"""The promises, one module a kind: each function turns evidence into findings, without
a database, a file or a clock.
"""
