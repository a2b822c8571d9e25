"""Output is passed on while a command runs: capped, masked, in pieces."""

import asyncio
import sys
from collections.abc import Sequence
from itertools import pairwise

import pytest

from elihu.commands.runner import OutputChunk
from elihu.commands.runner.output import CHUNK, FLUSH, Output
from tests.commands.runner.support import KeptOutput, Run, ended


async def test_both_streams() -> None:
    _, sink = await ended("echo out; echo err >&2; echo out again")
    assert sink.out == b"out\nout again\n"
    assert sink.err == b"err\n"


async def test_it_is_there_while_the_command_runs() -> None:
    run = Run("echo first; sleep 60")
    running = asyncio.create_task(run.end())
    await run.sink.until(b"first\n")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert run.left == []


async def test_bytes_that_are_not_text() -> None:
    _, sink = await ended(r"printf '\377\376\000\200a\n'")
    assert sink.out == b"\xff\xfe\x00\x80a\n"


async def test_characters_are_not_cut() -> None:
    text = "import sys; sys.stdout.buffer.write('€'.encode() * 20000)"
    _, sink = await ended(f'{sys.executable} -c "{text}"')
    assert sink.out.decode() == "€" * 20_000
    assert len(sink.chunks) >= 4
    for chunk in sink.chunks.values():
        assert set(chunk.data.decode()) == {"€"}


async def test_secrets_in_both_streams() -> None:
    _, sink = await ended(
        'echo "a $PASSWORD b"; echo "$PASSWORD" >&2; printf "%s" "${PASSWORD%?}"',
        variables={"PASSWORD": "correct horse"},
        secret_values=["correct horse", "short"],
    )
    assert sink.out == b"a *** b\ncorrect hors"
    assert sink.err == b"***\n"


async def test_a_secret_that_comes_in_pieces() -> None:
    _, sink = await ended(
        "printf '%s' correct; sleep 0.4; echo ' horse'", secret_values=["correct horse"]
    )
    assert sink.out == b"***\n"


async def test_the_first_and_the_last_half_are_kept() -> None:
    end, sink = await ended("seq 1 200000", output_limit=20_000)
    whole = b"".join(b"%d\n" % number for number in range(1, 200_001))
    assert len(sink.out) <= 20_000
    assert end.dropped_bytes == len(whole) - len(sink.out)
    assert sink.out.startswith(whole[:10_000])
    tail = sink.out[10_000:]
    assert len(tail) > 8_000
    assert whole.endswith(tail)
    assert gaps(sink) == 1


async def test_ten_million_lines() -> None:
    end, sink = await ended("yes | head -n 10000000", output_limit=100_000, timeout=50)
    assert (end.status, len(sink.out) + end.dropped_bytes) == ("succeeded", 20_000_000)
    assert 90_000 < len(sink.out) <= 100_000


async def test_what_was_printed_before_a_timeout_is_kept() -> None:
    _, sink = await ended("echo before; sleep 60", timeout=0.4)
    assert sink.out == b"before\n"


class Full(KeptOutput):
    async def write(self, _chunks: Sequence[OutputChunk]) -> None:
        self.batches.append([])
        raise OSError(28, "No space left on device")


async def test_a_sink_that_fails_does_not_end_the_command() -> None:
    run = Run("echo a; sleep 0.6; echo b; exit 5")
    run.command._sink = run.sink = Full()
    end = await run.end()
    assert (end.status, end.exit_code) == ("failed", 5)
    assert end.output_error == "OSError: [Errno 28] No space left on device"
    assert len(run.sink.batches) == 1


# the pieces, without a command


def sent(output: Output, now: float) -> list[bytes]:
    return [data for _, _, data in output.take(now)[1]] if output.due(now) else []


def test_a_piece_waits_for_250_ms() -> None:
    output = Output(1_000_000, [])
    output.feed("stdout", b"a", 0.0)
    assert sent(output, FLUSH - 0.01) == []
    output.feed("stdout", b"b", FLUSH - 0.01)
    assert sent(output, FLUSH) == [b"ab"]
    assert output.flush_at is None


def test_a_whole_chunk_does_not_wait() -> None:
    output = Output(1_000_000, [])
    output.feed("stdout", b"a" * (CHUNK + 5), 0.0)
    assert sent(output, 0.0) == [b"a" * CHUNK]
    assert sent(output, FLUSH) == [b"a" * 5]


def test_the_order_of_both_streams() -> None:
    output = Output(1_000_000, [])
    for number in range(5):
        output.feed("stdout", b"o%d" % number, 0.0)
        output.feed("stderr", b"e%d" % number, 0.0)
    assert b"".join(sent(output, 1.0)) == b"o0e0o1e1o2e2o3e3o4e4"


def test_many_changes_between_the_streams_make_few_chunks() -> None:
    output = Output(1_000_000, [])
    for _ in range(5_000):
        output.feed("stdout", b"o", 0.0)
        output.feed("stderr", b"e", 0.0)
    chunks = output.take(1.0)[1]
    assert len(chunks) < 50
    assert sorted(b"".join(data for _, _, data in chunks)) == sorted(b"oe" * 5_000)


def test_many_changes_take_little_memory_in_the_last_half() -> None:
    output = Output(200_000, [])
    output.feed("stdout", b"x" * 100_000, 0.0)
    for _ in range(40_000):
        output.feed("stdout", b"o", 0.0)
        output.feed("stderr", b"e", 0.0)
    assert len(output.close()[1]) < 1_200


def test_the_last_half_can_be_followed_live() -> None:
    output = Output(32_000, [])
    stored: dict[int, bytes] = {}
    whole = b""
    for number in range(2_000):
        line = b"line %d\n" % number
        whole += line
        now = number * FLUSH
        output.feed("stdout", line * 8, now)
        whole += line * 7
        keep(stored, output, now + FLUSH)
        assert line in b"".join(stored.values())
        assert sum(map(len, stored.values())) <= 32_000 + 8 * len(line)
    discard, chunks = output.close()
    store(stored, discard, chunks)
    kept = b"".join(data for _, data in sorted(stored.items()))
    assert kept[:16_000] == whole[:16_000]
    assert whole.endswith(kept[16_000:])
    assert len(kept) + output.dropped == len(whole)
    assert 28_000 < len(kept) <= 32_000


@pytest.mark.parametrize("limit", [0, 1, 2, 7, 100])
def test_a_small_limit(limit: int) -> None:
    output = Output(limit, [])
    output.feed("stdout", b"0123456789" * 100, 0.0)
    stored: dict[int, bytes] = {}
    keep(stored, output, 1.0)
    store(stored, *output.close())
    kept = b"".join(data for _, data in sorted(stored.items()))
    assert len(kept) == limit
    assert output.dropped == 1_000 - limit


def keep(stored: dict[int, bytes], output: Output, now: float) -> None:
    if output.due(now):
        store(stored, *output.take(now))


def store(
    stored: dict[int, bytes],
    discard: tuple[int, int] | None,
    chunks: list[tuple[int, str, bytes]],
) -> None:
    for sequence in range(*discard) if discard else ():
        stored.pop(sequence, None)
    stored |= {sequence: data for sequence, _, data in chunks}


def gaps(sink: KeptOutput) -> int:
    numbers = sorted(sink.chunks)
    return sum(b - a > 1 for a, b in pairwise(numbers))
