"""All tests of the project in ``project``, on each engine, in one process for each."""

from pathlib import Path

import pytest

from tests.django.support import ROOT, environ, run

PROJECT = ROOT / "tests" / "django" / "project"


@pytest.mark.timeout(300)
def test_the_tests_of_a_project(database: str, tmp_path: Path) -> None:
    options = ["-m", "pytest", "-q", "-c", str(PROJECT / "pytest.ini"), "--rootdir", str(PROJECT)]
    output = run(
        *options, str(PROJECT), folder=tmp_path, environ=environ(database, tmp_path), within=280
    )
    assert " passed" in output
