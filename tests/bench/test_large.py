"""The tables that ``bench.pages`` fills show what it says: jobs of nodes that live."""

from bench.large import NODES, fill, living_nodes
from elihu import Elihu


async def test_the_nodes_of_a_large_table_live(database_url: str) -> None:
    async with Elihu(database_url) as app:
        await app.migrate()
        await fill(app, 100, 0)
        assert await app.nodes.list() == []
        async with living_nodes(app):
            nodes = await app.nodes.list()
            assert [node.name for node in nodes] == [f"node {number}" for number in range(NODES)]
            assert sum(node.running for node in nodes) == await app.jobs.count(state="executing")
            queues = await app.queues.list()
            assert {len(queue.nodes) for queue in queues if queue.name.startswith("q")} == {NODES}
        async with living_nodes(app):
            assert len(await app.nodes.list()) == NODES
