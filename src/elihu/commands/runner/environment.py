"""The environment of a command: an allow-list of the node's, and the variables."""

from collections.abc import Mapping
from typing import Final

from elihu.processes.tree import MARK

ALLOWED: Final = frozenset(
    {"HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER"}
)
"""What a command gets of the node's environment, beside ``LC_*``."""

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment_of(
    node: Mapping[str, str], variables: Mapping[str, str], mark: str
) -> dict[str, str]:
    """The whole environment of a command. ``mark`` tells its processes from others."""
    kept = {
        name: value for name, value in node.items() if name in ALLOWED or name.startswith("LC_")
    }
    return {"PATH": DEFAULT_PATH, **kept, **variables, MARK: mark}
