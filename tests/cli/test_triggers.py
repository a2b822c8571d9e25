"""``elihu triggers``, on both engines."""

import json

import pytest
from sqlalchemy import create_engine

from tests.cli.shell import Shell
from tests.triggers.store import driver_url

pytestmark = pytest.mark.sqlite_first

APP = """
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
from elihu import Elihu

engine = create_engine({url!r})
app = Elihu(sessions=sessionmaker(engine), queues={{"default": 2}})


class Base(DeclarativeBase): ...


class Invoice(Base):
    __tablename__ = "invoice"
    id: Mapped[int] = mapped_column(primary_key=True)
    note: Mapped[str] = mapped_column(default="")
    region: Mapped[str] = mapped_column(default="no")


class Line(Base):
    __tablename__ = "line"
    invoice: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)


@app.trigger(Invoice, where=Invoice.note == "", queue="default", name="process")
def process(invoice: Invoice, *, note: str = "done") -> None:
    invoice.note = note


@app.trigger(Line, cron=None, queue="default", name="check")
def check(line: Line) -> None: ...


@app.trigger(Invoice, cron=None, queue="default", name="by_region",
             extra_args=lambda record: {{"region": record.region}})
def by_region(invoice: Invoice) -> None: ...


"""
TABLES = (
    "CREATE TABLE invoice (id INTEGER PRIMARY KEY, note VARCHAR NOT NULL, region VARCHAR NOT NULL)",
    "CREATE TABLE line (invoice INTEGER, name VARCHAR, PRIMARY KEY (invoice, name))",
)


@pytest.fixture
def billing(shell: Shell, database_url: str, tables: None) -> Shell:
    """A shell with an app that has triggers, and three invoices."""
    path = shell.folder / "billing.py"
    path.write_text(APP.format(url=driver_url(database_url, "sync")))
    shell.environ["ELIHU_APP"] = "billing:app"
    engine = create_engine(driver_url(database_url, "sync"))
    with engine.begin() as connection:
        for table in TABLES:
            connection.exec_driver_sql(table)
        connection.exec_driver_sql(
            "INSERT INTO invoice VALUES (1, '', 'no'), (2, '', 'no'), (3, 'old', 'no')"
        )
    engine.dispose()
    return shell


def test_ls_lists_what_the_app_declares(billing: Shell) -> None:
    assert [
        (row["name"], row["model"], row["cron"], row["queue"], row["state"], row["task"])
        for row in billing.json("triggers", "ls")
    ] == [
        ("process", "Invoice", "* * * * *", "default", "active", "process"),
        ("check", "Line", None, "default", "active", "check"),
        ("by_region", "Invoice", None, "default", "active", "by_region"),
    ]
    assert billing("triggers", "ls").splitlines()[0].split()[:3] == ["name", "model", "cron"]


def test_show_shows_every_option(billing: Shell) -> None:
    shown = billing.json("triggers", "show", "process")
    assert (shown["batch_size"], shown["max_attempts"], shown["lock"]) == (1_000, 1, True)
    assert "invoice.note" in shown["where"]
    assert "batch_size" in billing("triggers", "show", "process")
    assert "did you mean 'process'" in billing.refused("triggers", "show", "proces", status=1)


def test_scan_counts_and_stores(billing: Shell) -> None:
    assert billing("triggers", "scan", "process", "--count") == "2 records match\n"
    assert billing.json("triggers", "scan", "process", "--count") == {"matched": 2}
    assert billing.json("jobs", "ls")["items"] == []
    text = "2 records match: 2 jobs enqueued, 0 had one\n"
    assert billing("triggers", "scan", "process") == text
    assert billing.json("triggers", "scan", "process") == {
        "matched": 2,
        "enqueued": 0,
        "conflicts": 2,
    }


def test_run_stores_a_job_for_each_key(billing: Shell) -> None:
    ids = billing("triggers", "run", "process", "1", "3", "--input", '{"note": "x"}').split()
    jobs = [billing.json("jobs", "show", each) for each in ids]
    assert [job["args"] for job in jobs] == [
        {"key": [1], "action_input": {"note": "x"}},
        {"key": [3], "action_input": {"note": "x"}},
    ]
    (own,) = billing("triggers", "run", "check", '[7, "a b"]', "--tenant", "no").split()
    assert billing.json("jobs", "show", own)["args"] == {"key": [7, "a b"], "tenant": "no"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("process", "x"), "expected a key of Invoice"),
        (("check", "7"), "expected 2 values for Line"),
        (("process", "1", "--input", '{"not": 1}'), "expected parameters of the action"),
        (("by_region", "1"), "expected a record, since extra_args"),
        (("nothing", "1"), "expected the name of a trigger"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_run_refuses_what_does_not_fit(
    billing: Shell, arguments: tuple[str, ...], expected: str
) -> None:
    assert expected in billing.refused("triggers", "run", *arguments, status=1)
    assert billing.json("jobs", "ls")["items"] == []


def test_pause_and_resume_stop_the_scans_alone(billing: Shell) -> None:
    billing("tick")
    billing("triggers", "pause", "process")
    (entry,) = billing.json("crons", "ls")
    assert (entry["name"], entry["paused"]) == ("process.scan", True)
    billing("triggers", "resume", "process")
    assert not billing.json("crons", "ls")[0]["paused"]
    assert "did you mean" in billing.refused("triggers", "pause", "proces", status=1)


def test_commands_need_an_app(billing: Shell) -> None:
    del billing.environ["ELIHU_APP"]
    (billing.folder / "shop.py").unlink(missing_ok=True)
    for command in ("ls", "show process", "scan process", "run process 1", "pause process"):
        assert "--app" in billing.refused("triggers", *command.split(), status=2)


def test_run_prints_json_ids(billing: Shell) -> None:
    assert json.loads(billing("triggers", "run", "process", "1")) == 1
