"""Actions and the node's own writes take turns at SQLite's write lock."""

import asyncio

import pytest
from sqlalchemy import select

from elihu import Elihu
from elihu.engines.sqlite.connection import database_path
from elihu.write_turns import line_at
from tests.triggers.models import Invoice
from tests.triggers.store import Store
from tests.triggers.test_run import declared


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


async def test_the_node_and_actions_stand_in_one_line(
    app: Elihu, store: Store, database_url: str
) -> None:
    trigger = declared(app, store)
    store.add(Invoice(), Invoice())
    await trigger.scan()
    line = line_at(database_path(database_url))
    turn = line.enter()

    async with app.running() as node, asyncio.timeout(20):
        while not line._waiting:  # noqa: ASYNC110 (the line tells nobody)
            await asyncio.sleep(0.001)
        line.leave(turn)
        for producer in node.producers:
            await producer.wait_idle()
    assert [invoice.acts for invoice in store.all(select(Invoice))] == [1, 1]


async def test_an_action_waits_for_its_turn(app: Elihu, store: Store, database_url: str) -> None:
    turns: list[bool] = []
    line = line_at(database_path(database_url))

    def note(invoice: Invoice, session: object, ctx: object) -> None:
        invoice.processed = True
        turns.append(line._taken)

    trigger = declared(app, store, note)
    store.add(Invoice())
    await app.schedule_and_run_triggers(trigger, drain=True)
    assert turns == [True]
