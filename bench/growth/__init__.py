"""What a job costs where something grows: rows, queues, nodes, arguments, or the jobs
that were done while a snapshot is held.
"""
