"""The app a command works with: how it is named and found, and what is said when it is not."""

import pytest

from tests.cli.shell import Shell


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("nowhere:app", None, "expected the module 'nowhere', got no module named 'nowhere' in the working folder or among"),
        ("shop.sub:app", None, "expected the module 'shop.sub', got no module named 'shop.sub'"),
        ("other:app", "x = 1", "expected 'app' in the module 'other', got no such name, and no Elihu under another (flag --app)"),
        ("other:ap", "from shop import app", "expected 'ap' in the module 'other', got no such name; apps there are app (flag --app)"),
        ("other:app", "app = 5", "expected 'other:app' to be an Elihu, got a value of type int (flag --app)"),
        ("other:app", "def app(): ...", "expected 'other:app' to be an Elihu, got a value of type function (flag --app)"),
        ("other:app", "\n\n1 / 0", "got ZeroDivisionError while importing it: division by zero ({file}, line 3) (flag --app)"),
        ("other:app", "def f(:", "got SyntaxError while importing it: "),
        ("other:app", "import nonesuch", "got ModuleNotFoundError while importing it: No module named 'nonesuch' ({file}, line 1)"),
        ("other:app", "import sys; sys.exit(3)", "got SystemExit while importing it: 3 ({file}, line 1)"),
        ("other:app", "from elihu import Elihu\napp = Elihu(pol=3)", "pol: expected a known setting, got 'pol' (keyword pol)"),
    ],
)
def test_an_app_that_cannot_be_had(bare: Shell, name: str, source: str | None, expected: str) -> None:
    file = bare.folder / "other.py"
    if source is not None:
        file.write_text(source)
    assert expected.format(file=file) in bare.refused("--app", name, "jobs", "ls", status=1)


def test_where_the_name_of_the_app_may_stand(bare: Shell) -> None:
    (bare.folder / "elihu.toml").write_text('app = "filed:app"\n')
    assert f"'filed' in the working folder or among the installed packages (file {bare.folder / 'elihu.toml'})" in bare.refused(
        "jobs", "ls", status=1
    )
    bare.environ["ELIHU_APP"] = "environed:app"
    assert "(environment variable ELIHU_APP)" in bare.refused("jobs", "ls", status=1)
    assert "(flag --app)" in bare.refused("--app", "flagged:app", "jobs", "ls", status=1)


def test_a_flag_may_stand_before_and_behind_the_command_and_the_last_one_wins(bare: Shell) -> None:
    bare("migrate")
    for arguments in (["--app", "shop:app", "nodes", "ls"], ["nodes", "--app", "shop:app", "ls"], ["nodes", "ls", "--app", "shop:app"]):
        bare(*arguments)
    bare("--app", "nowhere:app", "nodes", "ls", "--app", "shop:app")
    assert bare("--json", "nodes", "ls") == bare("nodes", "--json", "ls") == bare("nodes", "ls", "--json") == "[]\n"


def test_an_app_deeper_in_a_module(bare: Shell) -> None:
    (bare.folder / "deep").mkdir()
    (bare.folder / "deep" / "inner.py").write_text("import shop\nclass Registry:\n    app = shop.app\n")
    assert bare("enqueue", "shop.add", "--args", "[1]", "--app", "deep.inner:Registry.app") == "1\n"


def test_flags_win_over_the_keywords_of_the_app(bare: Shell) -> None:
    (bare.folder / "keyed.py").write_text('from elihu import Elihu\napp = Elihu("sqlite:///keyed.db", schema="one")\n')
    bare.environ["ELIHU_APP"] = "keyed:app"
    bare.environ["ELIHU_DATABASE_URL"] = "sqlite:///environed.db"
    assert f"sqlite:///{bare.folder}/keyed-one.db" in bare("migrate")
    assert f"sqlite:///{bare.folder}/flagged-one.db" in bare("migrate", "--database", "sqlite:///flagged.db")
    assert f"sqlite:///{bare.folder}/keyed.db" in bare("migrate", "--schema", "elihu")
    assert {file.name for file in bare.folder.glob("*.db")} == {"keyed-one.db", "flagged-one.db", "keyed.db"}


def test_an_unknown_task(bare: Shell) -> None:
    assert "shop.ad" in bare.refused("--app", "shop:app", "enqueue", "shop.ad", status=1)


def test_without_an_app_the_database_is_enough(bare: Shell) -> None:
    bare("migrate")
    assert (bare.folder / "elihu.db").exists()
    assert bare.json("jobs", "ls") == {"items": [], "next": None}
