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


async def test_a_limit_bounds_the_attempts_of_a_drain(app: Elihu, store: Store) -> None:
    trigger = declared(app, store)
    store.add(*(Invoice() for _ in range(5)))
    counts = await app.schedule_and_run_triggers(trigger, drain=True, with_limit=3)
    assert (counts.success, counts.queues_not_drained) == (3, ["triggers"])  # a scan, two actions
    assert sum(invoice.processed for invoice in store.all(select(Invoice))) == 2
    with pytest.raises(InvalidOption, match="with_limit"):
        await app.schedule_and_run_triggers(trigger, drain=True, with_limit=0)


async def test_retries_run_with_scheduled_alone(app: Elihu, store: Store) -> None:
    def fail_first(invoice: Invoice, session: object, ctx: Context) -> None:
        act(invoice, session, ctx)
        if ctx.attempt == 1:
            raise ValueError("first")

    trigger = declared(app, store, fail_first, max_attempts=2, backoff=600)
    store.add(Invoice())
    counts = await app.schedule_and_run_triggers(trigger, drain=True)
    assert (counts.success, counts.failure, counts.queues_not_drained) == (1, 1, [])
    counts = await app.schedule_and_run_triggers(
        trigger, triggers=False, scheduled_actions=False, drain=True, with_scheduled=True
    )
    assert counts.success == 0  # nothing is chosen, so that no queue is drained
    counts = await app.schedule_and_run_triggers(trigger, drain=True, with_scheduled=True)
    assert (counts.success, counts.failure) == (2, 0)


async def test_an_actor_is_given_to_all_jobs_of_a_drain(app: Elihu, store: Store) -> None:
    seen: list[object] = []

    def note(invoice: Invoice, session: object, ctx: Context) -> None:
        act(invoice, session, ctx)
        seen.append(ctx.actor)

    trigger = declared(app, store, note)
    store.add(Invoice(), Invoice())
    await app.schedule_and_run_triggers(trigger, drain=True, actor={"name": "ada"})
    assert seen == [{"name": "ada"}] * 2


async def test_without_recursion_one_round_runs(app: Elihu, store: Store) -> None:
    def again(invoice: Invoice, session: object, ctx: Context) -> None:
        invoice.acts += 1

    trigger = declared(app, store, again)
    store.add(Invoice())
    counts = await app.schedule_and_run_triggers(trigger, drain=True, with_recursion=False)
    assert counts.success == 2
