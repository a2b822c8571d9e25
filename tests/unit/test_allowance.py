"""How many attempts producers may still begin together."""

from elihu.runtime.allowance import Allowance


def test_without_end() -> None:
    allowance = Allowance()
    assert (allowance.most(7), allowance.take(5)) == (7, 5)
    allowance.add(2)
    assert allowance.left is None


def test_what_was_taken_counts_until_it_comes_back() -> None:
    allowance = Allowance(3)
    returned: list[int | None] = []
    allowance.on_return(lambda: returned.append(allowance.left))
    assert (allowance.take(2), allowance.take(2), allowance.take(1)) == (2, 1, 0)
    allowance.add(0)
    assert returned == []
    allowance.add(1)
    assert returned == [1]
    assert (allowance.most(4), allowance.take(4)) == (1, 1)
