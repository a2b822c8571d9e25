"""``python -m elihu`` is the command ``elihu``."""

from elihu.cli.main import main

main()
