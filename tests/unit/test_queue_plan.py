"""What a node serves: its configuration, overlaid by what was said to every node,
overlaid by what was said to it alone.
"""

import pytest

from elihu.engines.protocol import QueueOverride
from elihu.runtime.queue.manager import Setting, plan

CONFIGURED = {"default": 10, "mail": 5}
HERE = "a-node"


def rule(
    queue: str,
    node: str | None = None,
    *,
    served: bool | None = None,
    limit: int | None = None,
    paused: bool | None = None,
):
    return QueueOverride(queue, node, served, limit, paused)


@pytest.mark.parametrize("split", [False, True])
def test_as_configured(split: bool) -> None:
    assert plan(CONFIGURED, [], split=split) == {"default": Setting(10), "mail": Setting(5)}


@pytest.mark.parametrize(
    ("rules", "mail"),
    [
        ([rule("mail", paused=True)], Setting(5, True)),
        ([rule("mail", limit=2, paused=False)], Setting(2)),
        ([rule("mail", served=True)], Setting(5)),
        ([rule("mail", served=False, limit=2)], None),
        ([rule("mail", paused=True), rule("mail", HERE, paused=False)], Setting(5)),
        ([rule("mail", limit=2), rule("mail", HERE, limit=7)], Setting(7)),
        ([rule("mail", limit=2), rule("mail", HERE, paused=True)], Setting(2, True)),
        ([rule("mail", served=False), rule("mail", HERE, served=True)], Setting(5)),
        ([rule("mail", served=True, paused=True), rule("mail", HERE, served=False)], None),
    ],
)
@pytest.mark.parametrize("split", [False, True])
def test_what_was_said_wins(rules: list[QueueOverride], mail: Setting | None, split: bool) -> None:
    planned = plan(CONFIGURED, rules, split=split)
    assert planned.pop("default") == Setting(10)
    assert planned == ({} if mail is None else {"mail": mail})


def test_a_new_queue_is_served_by_all_but_split_nodes() -> None:
    rules = [rule("b", served=True, limit=3), rule("a", served=True, limit=2, paused=True)]
    assert list(plan(CONFIGURED, rules).items())[2:] == [("a", Setting(2, True)), ("b", Setting(3))]
    assert plan(CONFIGURED, rules, split=True) == plan(CONFIGURED, [])


@pytest.mark.parametrize("split", [False, True])
def test_a_new_queue_on_this_node(split: bool) -> None:
    assert plan({}, [rule("new", HERE, served=True, limit=3)], split=split) == {"new": Setting(3)}
    assert plan({}, [rule("new", limit=4), rule("new", HERE, served=True)], split=split) == {
        "new": Setting(4)
    }


def test_without_a_limit_nothing_is_served() -> None:
    assert plan({}, [rule("new", served=True), rule("other", HERE, served=True)]) == {}
    assert plan({}, [rule("paused", paused=True), rule("scaled", limit=3)]) == {}
