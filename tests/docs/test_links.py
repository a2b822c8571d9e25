"""Links of the pages outside docs/: the site's own build checks those inside."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    {
        *ROOT.glob("*.md"),
        *ROOT.glob(".github/*.md"),
        *(ROOT / name / "README.md" for name in ("bench", "oracle", "tests")),
    }
)
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(?:#[\w-]+)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target
