"""What a child tells its node of the waits of its job, and what it is told."""

import socket
from collections.abc import Iterator

import pytest

from elihu.runtime.attempts.processes.channel import Channel
from elihu.runtime.attempts.processes.context import ChildWaits
from elihu.runtime.attempts.processes.protocol import Frames, Message, frame


class Node:
    """The node's end of the connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._frames = Frames()

    def tell(self, text: str, job: int = 1) -> None:
        self._connection.sendall(frame("blocked", job, text))

    def told(self) -> list[Message]:
        """The messages so far."""
        try:
            data = self._connection.recv(65_536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        return list(self._frames.feed(data))


@pytest.fixture
def pair() -> Iterator[tuple[ChildWaits, Node]]:
    ours, theirs = socket.socketpair()
    with ours:
        channel = Channel(theirs.detach())
        yield ChildWaits(channel, 1), Node(ours)
        channel._socket.close()


def test_the_node_is_told_of_waits_and_their_ends(pair: tuple[ChildWaits, Node]) -> None:
    waits, node = pair
    waits.begin([1, 2])
    waits.begin([2])
    waits.end([1, 2])
    assert node.told() == [["waits", [1, 2]], ["waits", [2]], ["waited", [1, 2]]]
    assert waits.jobs == {2: 1}


def test_what_the_node_found_belongs_to_the_waits_of_that_time(
    pair: tuple[ChildWaits, Node],
) -> None:
    waits, node = pair
    waits.begin([1])
    assert waits.hint() is None
    node.tell("first")
    assert waits.hint() == "first"
    waits.begin([2])
    waits.end([1])
    assert waits.hint() == "first"
    node.tell("again")
    assert waits.hint() == "again"
    waits.end([2])
    waits.begin([3])
    assert waits.hint() is None
    node.tell("other")
    assert waits.hint() == "other"


def test_what_the_node_found_of_another_job_is_not_for_this(pair: tuple[ChildWaits, Node]) -> None:
    waits, node = pair
    waits.begin([1])
    node.tell("other", job=2)
    assert waits.hint() is None


def test_after_the_job_the_node_is_told_nothing(pair: tuple[ChildWaits, Node]) -> None:
    waits, node = pair
    waits.begin([1])
    waits.close()
    waits.end([1])
    waits.begin([2])
    assert node.told() == [["waits", [1]]]
