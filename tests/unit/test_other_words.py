"""Options under the names of other queues: the error names ours."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from elihu import InvalidOption, Tasks
from elihu.task.options import TaskKeywords, UsingKeywords
from elihu.task.other_words import OTHER_WORDS

WORDS = [
    ("countdown", "delay="),
    ("eta", "run_at="),
    ("max_retries", "max_attempts="),
    ("retry_backoff", "backoff="),
    ("default_retry_delay", "backoff="),
    ("time_limit", "timeout="),
    ("soft_time_limit", "timeout="),
    ("ignore_result", "record="),
    ("autoretry_for", "retry_on="),
    ("throws", "discard_on="),
    ("bind", "a parameter annotated ctx: Context"),
    ("task_id", "unique="),
    ("queue_name", "queue="),
]


def nothing() -> None: ...


@pytest.mark.parametrize(("word", "ours"), WORDS)
def test_using_names_our_word(word: str, ours: str):
    using: Any = Tasks().task(name="t")(nothing).using
    with pytest.raises(InvalidOption, match=re.escape(f"got {word}: write {ours}")) as raised:
        using(**{word: 1})
    assert "did you mean" not in str(raised.value)


@pytest.mark.parametrize(("word", "ours"), WORDS)
def test_a_declaration_names_our_word(word: str, ours: str):
    declare: Any = Tasks().task
    with pytest.raises(InvalidOption, match=re.escape(f"got {word}: write {ours}")):
        declare(**{word: 1})(nothing)


def test_no_word_of_ours_is_among_them():
    ours = TaskKeywords.__optional_keys__ | UsingKeywords.__optional_keys__
    assert not ours & OTHER_WORDS.keys()


def test_the_options_that_they_name_are_ours():
    ours = TaskKeywords.__optional_keys__ | UsingKeywords.__optional_keys__
    named = {name for text in OTHER_WORDS.values() for name in re.findall(r"(\w+)=", text)}
    assert named <= ours


def test_a_job_must_expire_within_the_calendar():
    task = Tasks().task(name="t", expires="300d")(nothing)
    late = datetime(9998, 6, 1, tzinfo=UTC)
    with pytest.raises(InvalidOption, match="task t: using: expires: expected an end in the years"):
        task.using(run_at=late)
    assert task.using(run_at=late, expires=1).build().run_at == late
