"""The environment of a command: an allow-list of the node's, and the variables."""

from collections.abc import Collection, Mapping
from typing import Final

from elihu.processes.tree import MARK

ALLOWED: Final = frozenset(
    {"HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER"}
)
"""What a command gets of the node's environment, beside ``LC_*``."""

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment_of(
    node: Mapping[str, str], passed: Collection[str], variables: Mapping[str, str], mark: str
) -> dict[str, str]:
    """The whole environment of a command. ``passed`` are more names of the node's own.
    ``mark`` tells the processes of the command from others.
    """
    kept = {
        name: value
        for name, value in node.items()
        if name in ALLOWED or name in passed or name.startswith("LC_")
    }
    return {"PATH": DEFAULT_PATH, **kept, **variables, MARK: mark}
