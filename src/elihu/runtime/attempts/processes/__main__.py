"""``python -m elihu.runtime.attempts.processes DESCRIPTOR TICKETS``: a node starts its children
so.
"""

import sys

from elihu.runtime.attempts.processes.worker import main

main(int(sys.argv[1]), int(sys.argv[2]))
