"""Batches of ends that wait for the next exchange."""

from elihu.engines.protocol import Ack
from elihu.engines.protocol.exchange import plain_ack
from elihu.job import JobState, RunOutcome
from elihu.runtime.queue.outbox import BATCH_BYTES, BATCH_ROWS, Outbox


def with_text(job_id: int, size: int) -> Ack:
    return Ack(job_id, 1, RunOutcome.FAILED, JobState.RETRYABLE, 1.0, error="x" * size)


def filled(*acks: Ack) -> Outbox:
    outbox = Outbox()
    for ack in acks:
        outbox.put(ack)
    return outbox


def test_everything_is_taken_in_the_order_in_which_it_ended():
    acks = [plain_ack((3, 1)), with_text(1, 10), plain_ack((2, 1), "7")]
    outbox = filled(*acks)
    assert outbox.take() == acks
    assert not outbox
    assert outbox.take() == []


def test_put_returns_how_many_wait():
    outbox = Outbox()
    assert [outbox.put(plain_ack((job_id, 1))) for job_id in range(3)] == [1, 2, 3]


def test_two_ends_of_one_job_are_sent_one_after_the_other():
    first, again, other = plain_ack((1, 1)), plain_ack((1, 2)), plain_ack((2, 1))
    outbox = filled(first, again, other)
    assert outbox.take() == [first, other]
    assert outbox.take() == [again]


def test_a_batch_has_at_most_so_many_rows():
    outbox = filled(*(plain_ack((job_id, 1)) for job_id in range(BATCH_ROWS + 2)))
    assert len(outbox.take()) == BATCH_ROWS
    assert [ack.id for ack in outbox.take()] == [BATCH_ROWS, BATCH_ROWS + 1]


def test_a_batch_has_about_so_many_bytes():
    half = BATCH_BYTES // 2
    outbox = filled(*(with_text(job_id, half) for job_id in range(5)))
    assert [[ack.id for ack in outbox.take()] for _ in range(3)] == [[0, 1], [2, 3], [4]]


def test_a_batch_that_was_put_back_comes_first_and_counts_again():
    half = BATCH_BYTES // 2
    outbox = filled(*(with_text(job_id, half) for job_id in range(2)))
    batch = outbox.take()
    outbox.put(with_text(2, half))
    outbox.put_back(batch)
    assert [[ack.id for ack in outbox.take()] for _ in range(2)] == [[0, 1], [2]]
