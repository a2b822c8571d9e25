"""How many attempts producers may still begin together."""

from elihu.runtime.queue.start_budget import StartBudget


def test_without_end() -> None:
    start_budget = StartBudget()
    assert (start_budget.most(7), start_budget.take(5)) == (7, 5)
    start_budget.add(2)
    assert start_budget.left is None


def test_what_was_taken_counts_until_it_comes_back() -> None:
    start_budget = StartBudget(3)
    returned: list[int | None] = []
    start_budget.on_return(lambda: returned.append(start_budget.left))
    assert (start_budget.take(2), start_budget.take(2), start_budget.take(1)) == (2, 1, 0)
    start_budget.add(0)
    assert returned == []
    start_budget.add(1)
    assert returned == [1]
    assert (start_budget.most(4), start_budget.take(4)) == (1, 1)
