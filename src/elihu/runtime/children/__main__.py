"""``python -m elihu.runtime.children DESCRIPTOR``: a node starts its children so."""

import sys

from elihu.runtime.children.worker import main

main(int(sys.argv[1]))
