"""The messages between a node and its child."""

from hypothesis import given
from hypothesis import strategies as st

from elihu.runtime.attempts.processes.protocol import Frames, frame

TEXT = st.text(st.characters(codec="utf-8"))


@given(
    st.lists(st.lists(TEXT | st.none() | st.integers(-(2**60), 2**60), min_size=1)),
    st.integers(1, 9),
)
def test_messages_come_whole_however_the_bytes_come(
    messages: list[list[object]], size: int
) -> None:
    data = b"".join(frame(*message) for message in messages)
    frames = Frames()
    received = [
        message
        for start in range(0, len(data), size)
        for message in frames.feed(data[start : start + size])
    ]
    assert received == messages
