"""``elihu queues`` changes running nodes and nodes that start later."""

import json
import signal

from tests.cli.shell import Shell


def test_change_is_stored_and_reaches_a_running_node(shop: Shell) -> None:
    node = shop.begin("start")
    identity = node.wait_for("node  ").split("node  ")[1].split()[0]
    assert shop("queues", "pause", "default") == "queue default paused\n"
    assert shop("queues", "scale", "default", "3") == "queue default scaled to 3\n"
    assert (
        shop("queues", "start", "mail", "2", "--node", identity[:8])
        == f"queue mail started on node {identity[:8]}\n"
    )
    shop("enqueue", "brief")
    shop("enqueue", "mailed")
    node.wait_for("mail job ran")
    assert "brief job ran\n" not in node.seen
    rows = {line.split()[0]: line.split()[1:] for line in shop("queues", "ls").splitlines()}
    assert rows["queue"] == ["stored", "limit", "available", "executing", "nodes", "slots"]
    assert rows["default"] == ["paused", "3", "1", "0", "1", "(1", "paused)", "3"]
    assert rows["mail"][:2] == ["-", "-"]
    node.signal(signal.SIGTERM)
    assert node.end() == 0
    again = shop.begin("start")
    assert " queues" in again.wait_for("default=3 (paused)")
    again.wait_for("node  ")
    assert shop.json("queues", "resume", "default") == {
        "queue": "default",
        "node": None,
        "done": "resumed",
    }
    again.wait_for("brief job ran")
    assert shop("queues", "stop", "default") == "queue default stopped\n"
    again.signal(signal.SIGTERM)
    assert again.end() == 0
    (default,) = [queue for queue in shop.json("queues", "ls") if queue["name"] == "default"]
    assert default == {
        "name": "default",
        "limit": 3,
        "paused": False,
        "stopped": True,
        "available": 0,
        "executing": 0,
        "longest_wait": None,
        "nodes": [],
    }


def test_without_an_app(bare: Shell) -> None:
    bare("enqueue", "--app", "shop:app", "brief")
    assert json.loads(bare("queues", "ls", "--json"))[0]["available"] == 1
    assert bare("queues", "pause", "default") == "queue default paused\n"


def test_wrong_use(shop: Shell) -> None:
    known = "elihu: queue: expected a known queue (default, mail), got 'typo'\n"
    for verb in (("pause", "typo"), ("resume", "typo"), ("stop", "typo"), ("scale", "typo", "2")):
        assert shop.refused("queues", *verb, status=1) == known
    assert "limit: expected a whole number from 1 to 10,000, got 0" in shop.refused(
        "queues", "scale", "default", "0", status=2
    )
    assert "'many' is not a valid integer" in shop.refused(
        "queues", "scale", "default", "many", status=2
    )
    assert "limit: expected" in shop.refused("queues", "start", "new", status=2)
    assert "node: expected the id of a node (none runs), got 'x'" in shop.refused(
        "queues", "pause", "default", "--node", "x", status=1
    )
    assert "none runs" in shop.refused("queues", "ls", "--node", "x", status=1)
    assert "did you mean 'queues pause'?" in shop.refused("pause", "default", status=2)
