"""Exceptions of another process, raised again."""

import sys
from typing import Any

import pytest

from elihu.remote_errors import rebuild, type_name


class Shop:
    class Closed(ValueError):
        def __init__(self, day: str, hour: int) -> None:
            raise AssertionError("never run")


class Strict(Exception):
    def __new__(cls, *args: Any) -> "Strict":
        raise AssertionError("never run")


class Silent(Exception):
    def __str__(self) -> str:
        return self.reason  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "error", "args"),
    [
        (ValueError, "ValueError: no: good", ("no: good",)),
        (ValueError, "ValueError", ("",)),
        (KeyError, "KeyError: 'a'", ("a",)),
        (KeyError, "KeyError: (1, 2)", ((1, 2),)),
        (OSError, "OSError: [Errno 2] gone", ("[Errno 2] gone",)),
        (Shop.Closed, "Shop.Closed: on Sunday", ("on Sunday",)),
        (Strict, "Strict: x", ("x",)),
        (
            TimeoutError,
            "backoff of task 't' failed: E\nTimeoutError: x",
            ("backoff of task 't' failed: E\nTimeoutError: x",),
        ),
    ],
)
def test_the_type_and_what_it_said_come_back(
    kind: type[Exception], error: str, args: tuple[Any, ...]
) -> None:
    found = rebuild(type_name(kind), error, "Traceback\n  in t\n")
    assert type(found) is kind
    assert found.args == args
    assert found.__notes__ == ["raised in another process:\nTraceback\n  in t"]
    assert not hasattr(rebuild(type_name(kind), error, None), "__notes__")


@pytest.mark.parametrize(
    "name",
    [
        "builtins:SystemExit",
        "builtins:BaseException",
        "builtins:ExceptionGroup",
        "builtins:int",
        "builtins:len",
        "builtins:ValueError.mro",
        "builtins:",
        "builtins",
        "",
        ":",
        "this:Zen",
        "sys:modules",
        "tests.unit.test_remote:Shop.<locals>.E",
        "tests.unit.test_remote:Silent",
        "elihu:JobFailed.x",
    ],
)
def test_nothing_else_does(name: str) -> None:
    assert rebuild(name, "x", None) is None
    assert "this" not in sys.modules


class Fields(Exception):
    """Its text comes from fields, which have defaults."""

    code = 0

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code

    def __str__(self) -> str:
        return f"code {self.code}"


@pytest.mark.parametrize(
    "error",
    [
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        UnicodeEncodeError("ascii", "\xff", 0, 1, "not in range"),
        Fields(7),
        ExceptionGroup("several", [ValueError("x")]),
    ],
)
def test_one_that_would_lose_its_text_does_not(error: Exception) -> None:
    kind = type(error)
    assert rebuild(type_name(kind), f"{kind.__qualname__}: {error}", None) is None


def test_a_text_that_was_cut_does_not_become_another() -> None:
    assert rebuild("builtins:KeyError", "KeyError: 'not a literal…", None) is None


def test_a_name_that_a_module_would_import_on_demand_is_not_looked_up() -> None:
    elihu = sys.modules["elihu"]
    vars(elihu).pop("WrongLoop", None)
    assert rebuild("elihu:WrongLoop", "x", None) is None
    assert "WrongLoop" not in vars(elihu)
    assert rebuild("elihu.errors:WrongLoop", "x", None) is not None
