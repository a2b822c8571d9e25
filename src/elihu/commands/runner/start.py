"""The command line of a supervisor.

It starts a bare interpreter, without the packages of the site and without the variables
``PYTHON*``. The packages above the supervisor are made without their ``__init__``, which
import what it does not need.
"""

import sys
from pathlib import Path

import elihu

_BOOT = """
import sys
root, control = sys.argv[1:]
for name in ("elihu", "elihu.processes", "elihu.commands", "elihu.commands.runner"):
    package = sys.modules[name] = type(sys)(name)
    package.__path__ = [root + "/" + name.replace(".", "/")]
from elihu.commands.runner.supervisor import main
main(int(control))
"""


def command_line(control: int) -> list[str]:
    """The supervisor that takes its order from the descriptor ``control``."""
    root = Path(elihu.__file__).parents[1]
    return [sys.executable, "-I", "-S", "-c", _BOOT, str(root), str(control)]
