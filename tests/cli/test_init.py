"""``elihu init`` writes a working project and never overwrites a file."""

import signal

import pytest

from tests.cli.shell import Shell


def test_starter_project_works_unchanged(bare: Shell) -> None:
    output = bare("init", "project")
    bare.folder /= "project"
    assert output.startswith(f"wrote elihu.toml and tasks.py in {bare.folder}\n")
    assert "  elihu enqueue tasks.greet --args '[\"Ada\"]'\n  elihu up\n" in output
    assert bare("enqueue", "tasks.greet", "--args", '["Ada"]') == "1\n"
    node = bare.begin("up")
    node.wait_for("Hello, Ada!")
    node.signal(signal.SIGTERM)
    assert node.end() == 0
    assert bare.json("jobs", "show", "1")["result"] == "greeted Ada"
    assert "tasks.each_morning" in [entry["task"] for entry in bare.json("crons", "ls")]


@pytest.mark.parametrize("name", ["elihu.toml", "tasks.py"])
def test_existing_files_are_kept(bare: Shell, name: str) -> None:
    (bare.folder / name).write_text("mine")
    output = bare.refused("init", status=1)
    assert output == f"elihu: {bare.folder} already has {name}; nothing was written\n"
    assert {path.name for path in bare.folder.iterdir()} == {"shop.py", name}
    assert (bare.folder / name).read_text() == "mine"


def test_invalid_folder(bare: Shell) -> None:
    assert "shop.py" in bare.refused("init", "shop.py/below", status=1)
