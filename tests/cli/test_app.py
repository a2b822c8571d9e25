"""How a command finds and imports its app, and the errors if it cannot."""

import pytest

from tests.cli.shell import Shell

pytestmark = pytest.mark.sqlite_first


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        (
            "nowhere:app",
            None,
            (
                "expected the module 'nowhere', got no module named 'nowhere' in the working "
                "folder or among"
            ),
        ),
        ("shop.sub:app", None, "expected the module 'shop.sub', got no module named 'shop.sub'"),
        (
            "other:app",
            "x = 1",
            (
                "expected 'app' in the module 'other', got no such name, and no Elihu under "
                "another name (flag --app)"
            ),
        ),
        (
            "other:ap",
            "from shop import app",
            (
                "expected 'ap' in the module 'other', got no such name; the module has app (flag "
                "--app)"
            ),
        ),
        (
            "other:app",
            "app = 5",
            "expected 'other:app' to be an Elihu, got a value of type int (flag --app)",
        ),
        (
            "other:app",
            "def app(): ...",
            "expected 'other:app' to be an Elihu, got a value of type function (flag --app)",
        ),
        (
            "other:app",
            "\n\n1 / 0",
            (
                "got ZeroDivisionError while importing it: division by zero ({file}, line 3) (flag "
                "--app)"
            ),
        ),
        (
            "other:app",
            "\ndef f(:",
            "got SyntaxError while importing it: invalid syntax ({file}, line 2) (flag --app)",
        ),
        (
            "other:app",
            "import nonesuch",
            (
                "got ModuleNotFoundError while importing it: No module named 'nonesuch' "
                "({file}, line 1)"
            ),
        ),
        (
            "other:app",
            "import json\n\njson.loads('{')",
            "got JSONDecodeError while importing it: Expecting property name",
        ),
        (
            "other:app",
            "import sys; sys.exit(3)",
            "got SystemExit while importing it: 3 ({file}, line 1)",
        ),
        (
            "other:app",
            "from elihu import Elihu\napp = Elihu(pol=3)",
            "elihu: module 'other': pol: expected a known setting, got 'pol' (keyword pol)",
        ),
    ],
)
def test_invalid_app_names_and_modules(
    bare: Shell, name: str, source: str | None, expected: str
) -> None:
    file = bare.folder / "other.py"
    if source is not None:
        file.write_text(source)
    assert expected.replace("{file}", str(file)) in bare.refused(
        "--app", name, "jobs", "ls", status=1
    )


def test_flag_environment_and_file_name_the_app(bare: Shell) -> None:
    (bare.folder / "elihu.toml").write_text('app = "filed:app"\n')
    assert (
        "'filed' in the working folder or among the installed packages (file "
        f"{bare.folder / 'elihu.toml'})" in bare.refused("enqueue", "x", status=1)
    )
    bare.environ["ELIHU_APP"] = "environed:app"
    assert "(environment variable ELIHU_APP)" in bare.refused("enqueue", "x", status=1)
    assert "(flag --app)" in bare.refused("--app", "flagged:app", "enqueue", "x", status=1)


@pytest.mark.parametrize(
    "source",
    ["def f(:", "import nonesuch", "import elihu\napp = elihu.Elihu(pol=3)", "app = 5", None],
)
def test_changing_jobs_works_without_the_app(bare: Shell, source: str | None) -> None:
    bare("--app", "shop:app", "enqueue", "brief")
    (bare.folder / "elihu.toml").write_text('app = "broken:app"\n')
    if source is not None:
        (bare.folder / "broken.py").write_text(source)
    for arguments in (["jobs", "cancel", "1"], ["jobs", "ls"], ["nodes", "ls"]):
        done = bare.run(*arguments)
        assert done.returncode == 0, done.stderr
        assert done.stdout
        assert done.stderr.startswith(
            "elihu: warning: the app could not be imported, its own settings are ignored ("
        )
        assert bare.environ.get("ELIHU_DATABASE_URL", "elihu.db").rpartition("/")[2] in done.stderr
        assert done.stderr.count("\n") == 1
        bare.refused(*arguments, "--app", "broken:app", status=1)
    for arguments in (["start"], ["up"], ["migrate"], ["enqueue", "brief"]):
        assert not bare.refused(*arguments, status=1).startswith("elihu: warning")


def test_app_in_a_file_is_imported_from_its_folder(bare: Shell) -> None:
    (bare.folder / "elihu.toml").write_text('app = "shop:app"\n')
    deeper = bare.folder / "deeper" / "still"
    deeper.mkdir(parents=True)
    (deeper / "shop.py").write_text("raise AssertionError")
    top, bare.folder = bare.folder, deeper
    assert bare("enqueue", "brief") == "1\n"
    (top / "elihu.toml").write_text('app = "nowhere:app"\n')
    assert f"no module named 'nowhere' in {top}, in the working folder or among" in bare.refused(
        "enqueue", "brief", status=1
    )


def test_shared_options_before_and_after_the_command(bare: Shell) -> None:
    bare("migrate")
    for arguments in (
        ["--app", "shop:app", "nodes", "ls"],
        ["nodes", "--app", "shop:app", "ls"],
        ["nodes", "ls", "--app", "shop:app"],
    ):
        bare(*arguments)
    bare("--app", "nowhere:app", "nodes", "ls", "--app", "shop:app")
    assert (
        bare("--json", "nodes", "ls")
        == bare("nodes", "--json", "ls")
        == bare("nodes", "ls", "--json")
        == "[]\n"
    )


def test_app_as_a_nested_attribute(bare: Shell) -> None:
    (bare.folder / "deep").mkdir()
    (bare.folder / "deep" / "inner.py").write_text(
        "import shop\nclass Registry:\n    app = shop.app\n"
    )
    assert bare("enqueue", "shop.add", "--args", "[1]", "--app", "deep.inner:Registry.app") == "1\n"


def test_flags_override_keywords_of_the_app(bare: Shell) -> None:
    (bare.folder / "keyed.py").write_text(
        'from elihu import Elihu\napp = Elihu("sqlite:///keyed.db", schema="one")\n'
    )
    bare.environ["ELIHU_APP"] = "keyed:app"
    bare.environ["ELIHU_DATABASE_URL"] = "sqlite:///environed.db"
    assert f"sqlite:///{bare.folder}/keyed-one.db" in bare("migrate")
    assert f"sqlite:///{bare.folder}/flagged-one.db" in bare(
        "migrate", "--database", "sqlite:///flagged.db"
    )
    assert f"sqlite:///{bare.folder}/keyed.db" in bare("migrate", "--schema", "elihu")
    assert {file.name for file in bare.folder.glob("*.db")} == {
        "keyed-one.db",
        "flagged-one.db",
        "keyed.db",
    }


def test_unknown_task(bare: Shell) -> None:
    assert "shop.ad" in bare.refused("--app", "shop:app", "enqueue", "shop.ad", status=1)


def test_database_without_an_app(bare: Shell) -> None:
    bare("migrate")
    assert (bare.folder / "elihu.db").exists()
    assert bare.json("jobs", "ls") == {"items": [], "next": None}
