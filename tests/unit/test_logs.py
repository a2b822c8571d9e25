"""Fields of records, formats, and what reaches the terminal."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from elihu import Elihu, InvalidOption
from elihu.attempt_waits import AttemptWaits, current_attempt
from elihu.telemetry import logs
from elihu.telemetry.formats import JsonFormatter, TextFormatter
from elihu.telemetry.records import FIELDS, add_fields, enable_own_loggers

ABOUT = {"job_id": 7, "task": "t", "attempt": 2, "queue": "q", "node": "n"}


class Attempt:
    """What runs here."""

    waits = AttemptWaits()
    log_fields = ABOUT


@pytest.fixture
def attempt() -> Iterator[None]:
    add_fields()
    token = current_attempt.set(Attempt())
    yield
    current_attempt.reset(token)


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def kept() -> Iterator[Kept]:
    """A handler of the logger ``shop``, which passes nothing on."""
    shop = logging.getLogger("shop")
    handler = Kept()
    shop.addHandler(handler)
    shop.propagate = False
    yield handler
    shop.removeHandler(handler)
    shop.propagate = True


def fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: vars(record)[name] for name in FIELDS if name in vars(record)}


def test_records_carry_the_attempt(kept: Kept, attempt: None):
    logging.getLogger("shop").warning("charged")
    add_fields()
    logging.getLogger("shop.deep").warning("charged")
    assert [fields(record) for record in kept.records] == [ABOUT, ABOUT]


def test_records_elsewhere_carry_nothing(kept: Kept):
    add_fields()
    logging.getLogger("shop").warning("charged")
    assert fields(kept.records[0]) == {}


def test_extra_of_the_same_name_wins(kept: Kept, attempt: None):
    logging.getLogger("shop").warning("charged", extra={"queue": "mine", "task": "own"})
    assert fields(kept.records[0]) == {**ABOUT, "queue": "mine", "task": "own"}


def test_text_names_the_job_before_the_message(kept: Kept, attempt: None):
    logging.getLogger("shop").warning("charged %d", 5)
    line = TextFormatter().format(kept.records[0])
    assert line.endswith(" WARNING shop [job_id=7 task=t attempt=2 queue=q node=n]: charged 5"), (
        line
    )


def test_json_holds_everything(kept: Kept, attempt: None):
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError

    try:
        raise ValueError("declined")
    except ValueError:
        logging.getLogger("shop").exception(
            "no\nway", extra={"nan": float("nan"), "map": {"a": [1]}, "odd": Odd(), "at": {1}}
        )
    line = JsonFormatter().format(kept.records[0])
    assert "\n" not in line
    read = json.loads(line)
    assert ABOUT.items() <= read.items()
    assert read["message"] == "no\nway"
    assert (read["level"], read["logger"]) == ("ERROR", "shop")
    assert read["traceback"].endswith("ValueError: declined")
    assert (read["nan"], read["map"], read["at"]) == ("nan", {"a": [1]}, "{1}")
    assert "cannot be read" in read["odd"]
    assert "msg" not in read
    assert read["time"].endswith("+00:00")


def test_own_loggers_are_enabled_again():
    own, other = logging.getLogger("elihu.job"), logging.getLogger("shop")
    own.disabled = other.disabled = True
    enable_own_loggers()
    assert not own.disabled
    assert other.disabled
    other.disabled = False


def test_the_terminal_shows_what_no_handler_takes(kept: Kept, capsys: pytest.CaptureFixture[str]):
    shop = logging.getLogger("shop")
    terminal = logs.Terminal()
    shop.handlers[:] = [kept, terminal]
    try:
        kept.setLevel(logging.ERROR)
        shop.warning("shown")
        shop.error("taken")
    finally:
        shop.removeHandler(terminal)
    assert "shown" in capsys.readouterr().err
    assert [record.getMessage() for record in kept.records] == ["taken"]


@pytest.mark.parametrize("wrong", [{"format": "xml"}, {"level": "loud"}])
def test_instrument_refuses(wrong: dict[str, Any]):
    with pytest.raises(InvalidOption, match=r"expected .*, got '(xml|loud)'"):
        logs.instrument(Elihu("sqlite:///x.db"), **wrong)
