"""Triggers in tests: which jobs they have, and which records a scan would choose."""

from collections.abc import Mapping
from typing import Any

import pytest

from elihu import InvalidOption, Trigger
from elihu.testing import AppUnderTest, Drained
from tests.triggers.models import Invoice
from tests.triggers.store import Store


@pytest.fixture
def store(elihu_database_url: str) -> Any:
    return Store(elihu_database_url, "sync")


@pytest.fixture
def elihu_settings(store: Store) -> Mapping[str, Any]:
    return {"sessions": store.sessions}


@pytest.fixture(params=["sqlite"])
def elihu_database_url(request: pytest.FixtureRequest) -> str:
    """What these helpers read is the same on both engines."""
    return f"sqlite:///{request.getfixturevalue('tmp_path')}/records.db"


@pytest.fixture
def process(elihu_app: AppUnderTest) -> Trigger:
    @elihu_app.trigger(Invoice, where=Invoice.processed.is_(False), name="process", cron=None)
    def process(invoice: Invoice, *, session: Any) -> None:
        invoice.processed = True

    return process


def test_a_scan_and_its_jobs(elihu_app: AppUnderTest, process: Trigger, store: Store) -> None:
    due, done = store.add(Invoice(), Invoice(processed=True))
    elihu_app.assert_would_schedule(process, due)
    elihu_app.refute_would_schedule("process", done)
    with pytest.raises(AssertionError, match=r"trigger process to choose .*\ngot 1 other record$"):
        elihu_app.assert_would_schedule(process, done)
    with pytest.raises(AssertionError, match=r"leave .* out"):
        elihu_app.refute_would_schedule(process, due)
    elihu_app.refute_triggered(process)
    with pytest.raises(AssertionError, match="for any record\ngot none"):
        elihu_app.assert_triggered(process)
    elihu_app.run(process.scan())
    job = elihu_app.assert_triggered(process, due, count=1)
    with pytest.raises(AssertionError, match=rf"got 1 of other records\n  job {job.id} process "):
        elihu_app.assert_triggered("process", done)
    with pytest.raises(AssertionError, match="expected no job of trigger process"):
        elihu_app.refute_triggered(process, due)
    with pytest.raises(AssertionError, match="expected 2 jobs"):
        elihu_app.assert_triggered(process, due, count=2)
    elihu_app.assert_enqueued(process, queue=process.options.queue)
    assert elihu_app.drain() == Drained(completed=1)
    elihu_app.refute_would_schedule(process, due)
    assert elihu_app.assert_triggered(process, due).state == "completed"


def test_a_paused_trigger_chooses_nothing(elihu_app: AppUnderTest, store: Store) -> None:
    @elihu_app.trigger(Invoice, name="paused", state="paused")
    def paused(invoice: Invoice) -> None: ...

    (invoice,) = store.add(Invoice())
    with pytest.raises(AssertionError, match="which is paused"):
        elihu_app.assert_would_schedule(paused, invoice)
    with pytest.raises(InvalidOption, match="a trigger or its name"):
        elihu_app.assert_would_schedule(7, invoice)  # type: ignore[arg-type]
