"""Exceptions between a child process and its node."""

import sys
import traceback
from types import ModuleType

import pytest

from elihu.runtime.attempts.error_text import describe, traceback_of
from elihu.runtime.attempts.processes.errors import pack, unpack
from elihu.runtime.attempts.processes.protocol import frame


class Plain(Exception):
    pass


class Rich(Plain):
    """Its ``__init__`` cannot be called with its arguments, and its text is not theirs."""

    def __init__(self, code: int, *, why: str) -> None:
        super().__init__(code)
        self.why = why
        self.handle = object()

    def __str__(self) -> str:
        return f"{self.args[0]} since {self.why}"


class Needy(Exception):
    """Says what no plain JSON brings back."""

    def __init__(self, handle: object) -> None:
        super().__init__(handle)
        self.handle = handle

    def __str__(self) -> str:
        return f"needs {type(self.handle).__name__}"


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


def raised(error: BaseException) -> BaseException:
    """The error after it was raised and has crossed."""
    try:
        raise error
    except BaseException as caught:
        packed = pack(caught)
    assert frame("error", packed)
    return unpack(packed)


@pytest.mark.parametrize(
    "error",
    [
        Plain("x"),
        Plain(),
        KeyError("x"),
        OSError(2, "no such"),
        Rich(7, why="the door"),
        SystemExit(3),
        UnicodeError(),
    ],
)
def test_of_its_own_type(error: BaseException) -> None:
    back = raised(error)
    assert type(back) is type(error)
    assert (str(back), back.args) == (str(error), error.args)
    assert describe(back) == describe(error)


def test_what_is_plain_comes_along() -> None:
    back = raised(Rich(7, why="the door"))
    assert isinstance(back, Rich)
    assert back.why == "the door"
    assert not hasattr(back, "handle")


@pytest.mark.parametrize(
    "error",
    [
        Needy(object()),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "why"),
        Mute(),
        ExceptionGroup("two", [Plain("a")]),
    ],
)
def test_by_a_stand_in_of_its_type(error: BaseException) -> None:
    back = raised(error)
    assert isinstance(back, Exception if isinstance(error, ExceptionGroup) else type(error))
    assert describe(back) == describe(error)


def test_of_a_type_that_is_not_imported_here() -> None:
    module = ModuleType("elsewhere")
    sys.modules["elsewhere"] = module
    exec("from tests.unit.test_child_errors import Rich\nclass Sub(Rich): pass", module.__dict__)
    try:
        packed = pack(module.Sub(7, why="so"))
    finally:
        del sys.modules["elsewhere"]
    back = unpack(packed)
    assert isinstance(back, Rich)
    assert describe(back) == "Sub: 7 since so"
    assert type(back).__module__ == "elsewhere"


def test_the_traceback_is_that_of_the_other_side() -> None:
    try:
        try:
            raise ValueError("first")
        except ValueError as first:
            raise Plain("second") from first
    except Plain as error:
        expected = traceback.format_exc()
        back = unpack(pack(error))
    assert traceback_of(back) == expected


def test_text_is_cleaned_and_bounded() -> None:
    back = raised(Plain("nul \0 lone \ud800 " + "x" * 1_000_000))
    assert str(back).startswith("nul ␀ lone ? xxx")
    assert len(str(back)) < 20_000
