"""Words and shapes of the pages, without a server."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from elihu.web.pages.cron_words import in_brief
from elihu.web.pages.shapes import level, nights
from elihu.web.pages.texts import error_name, kind_of, size, took
from elihu.web.pages.traces import trace_of


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * * *", "every minute"),
        ("*/15 * * * *", "every 15 min"),
        ("*/7 * * * *", "*/7 * * * *"),
        ("5 * * * *", "hourly at :05"),
        ("0 * * * *", "hourly"),
        ("0 2,14 * * *", "02:00 and 14:00"),
        ("20 3 * * *", "daily at 03:20"),
        ("30 7 * * 1-5", "weekdays at 07:30"),
        ("30 2 * * 0", "Sundays at 02:30"),
        ("30 2 * * 7", "Sundays at 02:30"),
        ("0 22 1 * *", "1st at 22:00"),
        ("0 22 12 * *", "12th at 22:00"),
        ("0 22 1 1 *", "0 22 1 1 *"),
        ("0 22 1 * 1", "0 22 1 * 1"),
        ("0 2,4,6,8 * * *", "0 2,4,6,8 * * *"),
        ("@daily", "daily at 00:00"),
        ("@reboot", "at a start of nodes"),
    ],
)
def test_a_cron_in_a_few_words(expression: str, words: str) -> None:
    assert in_brief(expression) == words


def test_nights_are_those_of_the_zone() -> None:
    left = datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert nights(left, UTC) == [(600, 480)]
    assert nights(left, ZoneInfo("Europe/Oslo")) == [(480, 480)]
    assert nights(datetime(2026, 7, 1, 3, tzinfo=UTC), UTC) == [(0, 180), (1140, 300)]


def test_levels_are_relative_to_the_quietest_hour() -> None:
    assert [level(each, [0, 10, 20, 30, 50]) for each in (10, 20, 30, 50)] == [1, 2, 3, 4]
    assert level(7, [7, 7, 0]) == 1
    assert [level(each, [11, 12]) for each in (11, 12)] == [1, 2]


def test_an_error_is_named_once() -> None:
    assert kind_of("builtins:ValueError", "ValueError: no invoice") == ("ValueError", "no invoice")
    assert kind_of("shop.mail:SmtpError", "gone") == ("SmtpError", "gone")
    assert kind_of(None, "exit status 6") == ("exit status 6", "")


def test_an_error_is_told_by_its_name() -> None:
    assert error_name("ConnectionRefusedError: [Errno 111]") == "ConnectionRefusedError"
    assert error_name("shop.mail.SmtpError: gone") == "shop.mail.SmtpError"
    assert error_name("exit status 6: gone") == "exit status 6: gone"


def test_whole_lengths_and_sizes_have_no_noughts() -> None:
    assert [took(each) for each in (0.44, 21, 1_205, 3_600, 41_280)] == [
        "0.4\u00a0s", "21\u00a0s", "20:05", "1\u00a0h", "11\u00a0h 28\u00a0min",
    ]  # fmt: skip
    assert [size(each) for each in (0, 900, 10 * 2**20, 4_300_000, 2**40)] == [
        "0\u00a0B", "900\u00a0B", "10\u00a0MiB", "4.1\u00a0MiB", "1,024\u00a0GiB",
    ]  # fmt: skip


LIBRARY = """  File "/app/lib/python3.11/site-packages/elihu/runtime/executor.py", line 75, in run
    value = await call()
            ^^^^^^^^^^^^
"""
OWN = """  File "/home/elihu/shop/tasks.py", line 3, in render
    page = render(invoice)
           ^^^^^^^^^^^^^^^
"""
HEAD, WHY = "Traceback (most recent call last):\n", "ValueError: no invoice\n"


def test_a_traceback_shows_its_own_frames_first() -> None:
    trace = trace_of(HEAD + LIBRARY + OWN + LIBRARY + WHY)
    assert "\n".join(line for _, line in trace.brief) + "\n" == HEAD + OWN + WHY
    assert [look for look, _ in trace.brief] == ["", "own", "own", "own", "why"]
    assert trace.left_out == 2
    assert len(trace.whole) == 11


def test_a_traceback_of_libraries_alone_is_whole() -> None:
    trace = trace_of(HEAD + LIBRARY + WHY)
    assert trace.brief == trace.whole
    assert trace.left_out == 0
    assert trace_of("no traceback").whole == [("why", "no traceback")]
