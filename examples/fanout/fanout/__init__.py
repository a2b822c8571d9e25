"""An example: a web endpoint that distributes its work to other processes and answers
within a time limit.
"""
