"""Pages on the internals: their paths, columns and words exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INTERNALS = ROOT / "docs" / "internals"
MIGRATIONS = ROOT / "src" / "elihu" / "engines"
MAPS = [
    INTERNALS / "map.md",
    ROOT / "CONTRIBUTING.md",
    *(ROOT / name / "README.md" for name in ("bench", "oracle", "tests")),
]
ROOTS = ("src", "tests", "docs", "script", "bench", "oracle", "examples", ".github")


def columns(engine: str) -> set[str]:
    """Every ``table.column`` that the engine's migrations create or add."""
    found = set()
    text = "\n".join(
        path.read_text() for path in (MIGRATIONS / engine / "migrations").rglob("*.sql")
    )
    for table, body in re.findall(
        r"CREATE TABLE (?:elihu\.)?(\w+) \((.*?)\)[^()\n]*;", text, re.DOTALL
    ):
        found |= {
            f"{table}.{column}"
            for column in re.findall(r"(?:^|\()\s*([a-z_]+) [a-zA-Z]", body, re.MULTILINE)
        }
    for table, body in re.findall(
        r"ALTER TABLE (?:elihu\.)?(\w+) (ADD COLUMN .*?);", text, re.DOTALL
    ):
        found |= {f"{table}.{column}" for column in re.findall(r"ADD COLUMN (\w+)", body)}
    return found


def glossary() -> dict[str, str]:
    """The words of the glossary, each with its cell of columns."""
    rows = re.findall(
        r"^\| (?!word |---)(.+?) \| .+ \| ?(.*?) ?\|$",
        (INTERNALS / "glossary.md").read_text(),
        re.MULTILINE,
    )
    assert len(rows) == len(dict(rows)), "a word has one meaning"
    return dict(rows)


@pytest.mark.parametrize("word", glossary())
def test_columns_of_the_glossary(word: str) -> None:
    cell = glossary()[word]
    engines = ["postgres"] if "(PostgreSQL)" in cell else ["postgres", "sqlite"]
    for engine in engines:
        assert set(re.findall(r"`(\w+\.\w+)`", cell)) <= columns(engine)


@pytest.mark.parametrize("page", MAPS, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_exist(page: Path) -> None:
    """A path in backticks begins with a folder of the checkout or, in a README, with one
    of its own; `*` stands for any name.
    """
    for path in re.findall(r"`([\w./*-]+)`", page.read_text()):
        base = ROOT if path.split("/")[0] in ROOTS else page.parent
        if "/" in path and (base is ROOT or page.name == "README.md"):
            assert list(base.glob(path.rstrip("/"))), path
