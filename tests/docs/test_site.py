"""The site of the documentation: it builds without a warning and holds every page and
every public name.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import elihu

ROOT = Path(__file__).parents[2]
BUILD_BOUND = 110


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The built site, in a folder of its own: other runs may build the checkout's at the
    same time.
    """
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copyfile(ROOT / "zensical.toml", tmp_path / "zensical.toml")
    (tmp_path / "src").symlink_to(ROOT / "src")
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(
        command,
        check=False,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_BOUND,
    )
    assert done.returncode == 0, done.stdout
    assert "No issues found" in done.stdout
    return tmp_path / ".site"


def pages_of(nav: Any) -> Iterator[str]:
    """The pages that an entry of the navigation names, those below it too."""
    match nav:
        case str():
            yield nav
        case list():
            for entry in nav:
                yield from pages_of(entry)
        case dict():
            for entry in nav.values():
                yield from pages_of(entry)


def test_the_navigation_names_each_page_once() -> None:
    nav = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
    pages = (ROOT / "docs").rglob("*.md")
    assert sorted(pages_of(nav)) == sorted(str(page.relative_to(ROOT / "docs")) for page in pages)


@pytest.mark.timeout(BUILD_BOUND + 10)
def test_the_reference_has_every_public_name_and_each_block_of_code_is_one(site: Path) -> None:
    """One test, since each worker would build a site."""
    built = "".join(page.read_text() for page in (site / "reference" / "python").rglob("*.html"))
    anchors = set(re.findall(r'id="elihu\.(\w+)"', built))
    assert anchors >= set(elihu.__all__)
    assert [str(page) for page in site.rglob("*.html") if "<p>```" in page.read_text()] == []
