"""No file of code is longer than 400 lines, unless a reason is given here."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("src", "tests", "oracle", "bench")
BUDGET = 400

REASONS = {
    "src/elihu/errors.py": "one tree of errors, drawn at its head",
    "src/elihu/testing/postgres.py": "a server's whole life, and the command that starts one",
}
"""Files that may be longer, by their path from the root, and why."""


def long_files() -> dict[str, int]:
    lines = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
    }
    return {path: count for path, count in lines.items() if count > BUDGET}


def test_each_file_is_within_the_budget() -> None:
    assert {path: count for path, count in long_files().items() if path not in REASONS} == {}


def test_each_reason_is_needed() -> None:
    assert set(REASONS) <= set(long_files())
