"""``app.schedule_and_run_triggers``, ``app.schedule`` and ``app.triggers``."""

import pytest
from sqlalchemy import select

from elihu import Context, Discard, Elihu, InvalidOption, Snooze, UnknownTrigger
from tests.triggers.models import Invoice
from tests.triggers.store import Store
from tests.triggers.test_run import act, declared


async def test_the_counts_of_a_drain_hold_scans_and_actions(app: Elihu, store: Store) -> None:
    def by_note(invoice: Invoice, session: object, ctx: Context) -> object:
        match invoice.note:
            case "snooze":
                raise Snooze(600)
            case "discard":
                raise Discard("no")
            case "fail":
                raise ValueError("broken")
        act(invoice, session, ctx)
        return None

    trigger = declared(app, store, by_note, max_attempts=2, backoff=600)
    store.add(*(Invoice(note=note) for note in ("", "", "snooze", "discard", "fail")))
    waiting = await app.schedule_and_run_triggers(trigger)
    assert (waiting.success, waiting.queues_not_drained) == (0, ["triggers"])
    counts = await app.schedule_and_run_triggers(Invoice, drain=True)
    assert (counts.success, counts.snoozed, counts.discard, counts.failure) == (3, 1, 1, 1)
    assert counts.queues_not_drained == []
    assert sum(invoice.processed for invoice in store.all(select(Invoice))) == 2


async def test_triggers_are_chosen_in_every_way(app: Elihu, store: Store) -> None:
    trigger = declared(app, store)
    for what in (trigger, "process", Invoice, (Invoice, "process"), [trigger], app):
        counts = await app.schedule_and_run_triggers(what, drain=True)
        assert counts.success == 1
    assert (await app.schedule_and_run_triggers(queue="other", drain=True)).success == 0
    with pytest.raises(InvalidOption, match="expected triggers"):
        await app.schedule_and_run_triggers(7)
    with pytest.raises(UnknownTrigger, match="did you mean 'process'"):
        app.triggers.get("proces")


async def test_a_scheduled_action_runs_once_for_each_tenant(app: Elihu, kind: str) -> None:
    seen: list[object] = []

    @app.schedule("0 4 * * *", name="report", tenants=lambda: ["a", "b"], action_input={"days": 7})
    async def report(days: int, *, ctx: Context = Context()) -> None:
        seen.append((ctx.tenant, days))

    counts = await app.schedule_and_run_triggers(scheduled_actions=True, drain=True)
    assert (counts.success, sorted(seen, key=str)) == (3, [("a", 7), ("b", 7)])


async def test_a_paused_scheduled_action_cancels_what_is_queued(app: Elihu, kind: str) -> None:
    @app.schedule("0 4 * * *", name="report", state="paused")
    async def report() -> None:
        raise AssertionError

    await report.aenqueue()
    counts = await app.schedule_and_run_triggers(scheduled_actions=True, drain=True)
    assert counts.success == 0
    assert app.crons is not None
    assert [entry.name for entry in await app.crons.list()] == []
