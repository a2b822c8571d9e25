"""Process tasks: warm children in fresh interpreters, and the line between each of them
and its node.

            perform, cancel, end →
    node ────────────────────────── child        one job at a time
            ← progress, log, answer

``pool`` and what it imports is the node's side, ``worker`` and what it imports the
child's; ``wire`` and ``errors`` serve both.
"""
