"""Names and aliases: each belongs to one task."""

import pytest

from elihu.errors import DuplicateTask, UnknownTask
from elihu.task.declare import declare
from elihu.task.registry import Registry
from elihu.task.task import Task


def make(name: str, *aliases: str) -> Task[[], None]:
    def fn() -> None: ...

    return declare(fn, {"name": name, "aliases": aliases})


def test_by_name_and_by_alias() -> None:
    registry = Registry()
    monthly = make("reports.monthly", "reports.month")
    registry.add(monthly, make("mail"))
    assert registry.get("reports.monthly") is registry.get("reports.month") is monthly
    assert registry.names() == ["mail", "reports.monthly"]
    assert {task.name for task in registry} == {"mail", "reports.monthly"}
    assert len(registry) == 2
    assert "reports.month" in registry
    assert "reports" not in registry


def test_unknown_names_come_with_the_nearest() -> None:
    registry = Registry()
    with pytest.raises(UnknownTask, match=r"got 'mail'$"):
        registry.get("mail")
    registry.add(make("mail.send"))
    with pytest.raises(UnknownTask, match=r"got 'mail\.sned' \(did you mean 'mail\.send'\?\)"):
        registry.get("mail.sned")
    with pytest.raises(LookupError):
        registry.get("")


@pytest.mark.parametrize(
    ("first", "second"),
    [(("a",), ("a",)), (("a", "b"), ("b",)), (("a",), ("b", "a")), (("a", "c"), ("b", "c"))],
)
def test_a_name_is_taken_once(first: tuple[str, ...], second: tuple[str, ...]) -> None:
    registry = Registry()
    registry.add(make(*first))
    with pytest.raises(DuplicateTask) as caught:
        registry.add(make("fine"), make(*second))
    assert str(caught.value).count(f"{__name__}.make.<locals>.fn") == 2
    assert registry.names() == ["a"]
    assert "fine" not in registry


def test_both_functions_are_named() -> None:
    def one() -> None: ...
    def two() -> None: ...

    registry = Registry()
    registry.add(declare(one, {"name": "x"}))
    with pytest.raises(DuplicateTask, match=r"<locals>\.one .*and .*<locals>\.two "):
        registry.add(declare(two, {"name": "x"}))


def test_two_at_once() -> None:
    registry = Registry()
    with pytest.raises(DuplicateTask):
        registry.add(make("a"), make("a"))
    assert len(registry) == 0


def test_the_same_task_twice() -> None:
    registry, task = Registry(), make("a")
    registry.add(task)
    with pytest.raises(DuplicateTask, match="a second time"):
        registry.add(task)
