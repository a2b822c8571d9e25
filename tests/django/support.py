"""Runs commands in a process of their own, with the Django project of the tests."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PYTHON: Final = os.environ.get("ELIHU_TEST_DJANGO_PYTHON", sys.executable)
"""The interpreter of another version of Django, if one is named."""


def environ(database: str, folder: Path) -> dict[str, str]:
    """The environment of the project on this database."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ELIHU_", "DJANGO_", "PYTEST_", "COV_"))
    }
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "tests.django.project.settings",
        "DJANGO_TEST_DATABASE": database,
        "DJANGO_OTHER_DATABASE": str(folder / "other.db"),
    }


def run(
    *arguments: str,
    folder: Path,
    environ: Mapping[str, str],
    status: int = 0,
    within: float = 120,
) -> str:
    """The output of a command of Python, which has to end with this status."""
    done = subprocess.run(
        [PYTHON, *arguments],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=within,
        check=False,
    )
    assert done.returncode == status, done.stdout
    return done.stdout
