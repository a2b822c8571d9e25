"""Child processes of a test use the databases of the test."""

import json
import os
from typing import Final

from django.db import connections

VARIABLE: Final = "ELIHU_TEST_DATABASES"


def give_to_children() -> None:
    """Name the databases of a test in the environment."""
    names = {alias: str(connections.settings[alias]["NAME"]) for alias in connections}
    os.environ[VARIABLE] = json.dumps({"pid": os.getpid(), "names": names})


def in_test() -> bool:
    """Whether this process uses the databases of a test, or is a child of one that does."""
    return VARIABLE in os.environ


def take_back() -> None:
    """Name no database any more: the test is over."""
    os.environ.pop(VARIABLE, None)


def take_from_parent() -> None:
    """Use the databases that a test's process named in the environment, if this process
    is another one: it has read the names of the project's own from the settings.
    """
    given = json.loads(os.environ.get(VARIABLE, "{}"))
    if given and given["pid"] != os.getpid():
        for alias, name in given["names"].items():
            connections.settings[alias]["NAME"] = name
