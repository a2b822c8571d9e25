"""How many more attempts the producers of one node may start together."""

from collections.abc import Callable


class StartBudget:
    """Shared by the producers of a node; ``left`` None means without limit."""

    def __init__(self, left: int | None = None) -> None:
        self.left = left
        self._on_return: list[Callable[[], None]] = []

    def on_return(self, call: Callable[[], None]) -> None:
        """Call it whenever the budget grows."""
        self._on_return.append(call)

    def most(self, wanted: int) -> int:
        """``wanted``, or what is left where that is less."""
        return wanted if self.left is None else min(wanted, self.left)

    def take(self, wanted: int) -> int:
        """Reserve at most ``wanted`` starts and return their number, so that two
        fetches at the same time do not share any.
        """
        taken = self.most(wanted)
        if self.left is not None:
            self.left -= taken
        return taken

    def add(self, more: int) -> None:
        """Raise the budget, or return reserved starts that were not used."""
        if self.left is not None and more:
            self.left += more
            for call in self._on_return:
                call()
