"""A web endpoint that spreads its work over other processes, and answers in time with
what is there.
"""
