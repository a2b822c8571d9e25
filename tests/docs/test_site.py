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


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site, in a folder of its own: other runs may build the checkout's at the
    same time.
    """
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", folder / "docs")
    shutil.copyfile(ROOT / "zensical.toml", folder / "zensical.toml")
    (folder / "src").symlink_to(ROOT / "src")
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_BOUND,
    )
    assert done.returncode == 0, done.stdout
    assert "No issues found" in done.stdout
    return folder / ".site"


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
def test_the_reference_has_every_public_name(site: Path) -> None:
    built = "".join(page.read_text() for page in (site / "reference" / "python").rglob("*.html"))
    anchors = set(re.findall(r'id="elihu\.(\w+)"', built))
    assert anchors >= set(elihu.__all__)


@pytest.mark.timeout(BUILD_BOUND + 10)
def test_each_code_block_is_rendered_as_one(site: Path) -> None:
    assert [str(page) for page in site.rglob("*.html") if "<p>```" in page.read_text()] == []
