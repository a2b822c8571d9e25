"""script/commit-msg: which messages the hook takes, and what it says of the others."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "script" / "commit-msg"


def check(*arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
    )


def faults(message: str, folder: Path) -> str:
    """What the hook prints of a message; its status is 1 just where it prints something."""
    path = folder / "message"
    path.write_text(message, "utf-8")
    done = check(str(path), folder=folder)
    assert done.returncode == (1 if done.stderr else 0)
    return done.stderr


@pytest.mark.parametrize(
    "message",
    [
        "Add a setting for the size of a batch\n\nProblem, cause, why this.\n",
        "A" + "d" * 59,
        "Ä" * 60,
        "Bring back the starter project",
        "Focus the tests of the ledger\n# a comment of git\n",
        "Fix it\n# ------------------------ >8 ------------------------\ndiff --git a b\nmore\n",
        "fixup! Fix it",
        'Revert "' + "x" * 80 + '"',
        "Merge branch 'main'",
    ],
)
def test_a_good_message_passes(message: str, tmp_path: Path) -> None:
    assert faults(message, tmp_path) == ""


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ("", "expected a subject, got an empty message"),
        ("# only a comment", "expected a subject, got an empty message"),
        ("A" + "d" * 60, "expected a subject of at most 60 characters, got 61"),
        ("add a setting", "begins with a capital letter, got 'a'"),
        ("Add a setting.", "without a full stop"),
        (
            "Added a setting",
            "expected an imperative as the first word, such as Add or Fix, got 'Added'",
        ),
        ("Adds a setting", "got 'Adds'"),
        ("Adding a setting", "got 'Adding'"),
        ("Add a setting\nand its test", "expected an empty line after the subject"),
    ],
)
def test_a_bad_message_is_refused(message: str, complaint: str, tmp_path: Path) -> None:
    assert complaint in faults(message, tmp_path)


def test_all_commits_of_a_range_are_checked(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = [
            "-c",
            "user.name=A",
            "-c",
            "user.email=a@example.com",
            "-c",
            "commit.gpgsign=false",
        ]
        subprocess.run(
            ["git", *identity, *arguments], check=True, cwd=tmp_path, capture_output=True
        )

    git("init", "--initial-branch=main")
    for message in ("Begin", "Add one thing\n\nIts body.", "added another"):
        git("commit", "--allow-empty", "--message", message)
    assert check("--range", "HEAD~2..HEAD~1", folder=tmp_path).returncode == 0
    done = check("--range", "HEAD~2..HEAD", folder=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2  # no capital letter, no imperative


def test_wrong_use_says_how(tmp_path: Path) -> None:
    done = check(folder=tmp_path)
    assert done.returncode == 1
    assert "script/commit-msg FILE" in done.stderr
