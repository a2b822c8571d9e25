"""The command scheduler: shell commands that people keep, run by schedules in several
environments, and watch. It is an application of the public names of ``elihu``.
"""
