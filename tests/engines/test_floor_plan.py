"""Both engines have the same files, functions and statements; the differences are listed
here.
"""

import ast
from importlib.resources import files
from pathlib import Path

import pytest

ENGINES = Path(str(files("elihu.engines")))
FEATURES = (
    "insert", "exchange", "maintenance", "nodes", "waits", "jobs", "queues", "crons", "templates",
    "triggers", "reads", "rollups", "diagnosis", "transfer",
)  # fmt: skip

ONLY_POSTGRES_FILES = {
    "channel.py",  # NOTIFY; SQLite has datagrams
    "connect.py",  # one connection; connections.py is the set of them, pool.py their pool
    "connections.py",
    "pool.py",
    "url.py",
}
ONLY_SQLITE_FILES = {
    "checkpoints.py",  # of the write-ahead log
    "connection.py",
    "database.py",  # the threads
    "datagrams.py",  # what NOTIFY is for PostgreSQL
    "locks.py",  # nodes and leader hold file locks
    "thread.py",
}
ELSEWHERE = {("sqlite", "notify"): "SQLite: datagrams.py"}

# PostgreSQL writes with CTEs what SQLite does in several statements under the write lock. So
# SQLite has more parts, and the verbs whose only statements are parts. Each of these verbs is
# listed with the reason why one engine lacks its statement.
WITHOUT_STATEMENT = {
    "sqlite": {
        "exchange": "exchange_*",
        "cancel": "cancel_waiting and cancel_executing",
        "deregister_node": "remove_dead_node, since a node has no beat",
        "heartbeat": "peers, since a lock needs no renewal",
        "remove_silent_nodes": "remove_dead_node",
        "lead": "a file lock",
        "resign": "a file lock",
        "notify": "a datagram",
        "schemas_named": "the names of files",
        "vitals": "the clock, and the system's table of mounts",
    },
    "postgres": {},
}


def statements(engine: str) -> set[str]:
    return {path.stem for path in (ENGINES / engine / "sql").glob("*.sql")}


def public_names(path: Path) -> set[str]:
    return {
        statement.name
        for statement in ast.parse(path.read_text("utf-8")).body
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef)
        and not statement.name.startswith("_")
    }


def verbs(feature: str) -> set[str]:
    """The verbs of the protocol in one file."""
    tree = ast.parse((ENGINES / "protocol" / f"{feature}.py").read_text("utf-8"))
    return {
        method.name
        for statement in tree.body
        if isinstance(statement, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id == "Protocol" for base in statement.bases)
        for method in statement.body
        if isinstance(method, ast.AsyncFunctionDef)
    }


ALL_VERBS = {verb for feature in (*FEATURES, "schema") for verb in verbs(feature)}


def test_the_files_are_the_same() -> None:
    found = {
        engine: {
            path.name for path in (ENGINES / engine).iterdir() if not path.name.startswith("__")
        }
        for engine in ("postgres", "sqlite")
    }
    assert found["postgres"] - found["sqlite"] == ONLY_POSTGRES_FILES
    assert found["sqlite"] - found["postgres"] == ONLY_SQLITE_FILES


@pytest.mark.parametrize("engine", ["postgres", "sqlite"])
@pytest.mark.parametrize("feature", [*FEATURES, "schema"])
def test_a_verb_is_a_function_in_the_file_of_its_feature(engine: str, feature: str) -> None:
    file = "migrations" if feature == "schema" else feature
    missing = verbs(feature) - public_names(ENGINES / engine / f"{file}.py")
    assert {verb for verb in missing if (engine, verb) not in ELSEWHERE} == set()


@pytest.mark.parametrize("engine", ["postgres", "sqlite"])
def test_a_statement_is_named_for_its_verb(engine: str) -> None:
    shared = {"piece", "clock", "in_transaction"}  # of several verbs, or of callers' connections
    strangers = {
        name
        for name in statements(engine)
        if not any(name == verb or name.startswith(f"{verb}_") for verb in ALL_VERBS | shared)
    }
    assert strangers == set()


def test_the_statements_of_verbs_are_the_same() -> None:
    postgres, sqlite = statements("postgres") & ALL_VERBS, statements("sqlite") & ALL_VERBS
    assert postgres - sqlite == set(WITHOUT_STATEMENT["sqlite"])
    assert sqlite - postgres == set(WITHOUT_STATEMENT["postgres"])


def test_the_migrations_are_the_same() -> None:
    def names(engine: str) -> set[str]:
        folder = ENGINES / engine / "migrations"
        return {str(path.relative_to(folder)) for path in folder.rglob("*.sql")}

    assert names("postgres") == names("sqlite")


@pytest.mark.parametrize("engine", ["postgres", "sqlite"])
def test_engine_py_is_the_list_of_verbs(engine: str) -> None:
    tree = ast.parse((ENGINES / engine / "engine.py").read_text("utf-8"))
    (class_,) = [statement for statement in tree.body if isinstance(statement, ast.ClassDef)]
    methods = [
        method
        for method in class_.body
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert {method.name for method in methods} == ALL_VERBS | {
        "__init__", "open", "close", "abandon", "notifier",
    }  # fmt: skip
    long = [method.name for method in methods if len(method.body) > 3]
    assert long == []
