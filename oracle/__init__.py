"""The crash oracle: breaks things while nodes work, and tells from logs and rows
whether any promise was broken.
"""
