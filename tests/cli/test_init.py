"""``elihu init`` writes a project that works, and writes over nothing."""

import signal

import pytest

from tests.cli.shell import Shell


def test_the_starter_project_works_as_it_stands(bare: Shell) -> None:
    said = bare("init", "project")
    bare.folder /= "project"
    assert said.startswith(f"wrote elihu.toml and tasks.py in {bare.folder}\n")
    assert "  elihu enqueue tasks.greet --args '[\"Ada\"]'\n  elihu up\n" in said
    assert bare("enqueue", "tasks.greet", "--args", '["Ada"]') == "1\n"
    node = bare.begin("up")
    node.wait_for("Hello, Ada!")
    node.signal(signal.SIGTERM)
    assert node.end() == 0
    assert bare.json("jobs", "show", "1")["result"] == "greeted Ada"
    assert [entry["task"] for entry in bare.json("crons", "ls")] == ["tasks.each_morning"]


@pytest.mark.parametrize("name", ["elihu.toml", "tasks.py"])
def test_nothing_is_written_over(bare: Shell, name: str) -> None:
    (bare.folder / name).write_text("mine")
    said = bare.refused("init", status=1)
    assert said == f"elihu: {bare.folder} already has {name}; nothing was written\n"
    assert {path.name for path in bare.folder.iterdir()} == {"shop.py", name}
    assert (bare.folder / name).read_text() == "mine"


def test_a_folder_that_cannot_be(bare: Shell) -> None:
    assert "shop.py" in bare.refused("init", "shop.py/below", status=1)
