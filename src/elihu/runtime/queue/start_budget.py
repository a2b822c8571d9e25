"""How many attempts the producers of a node may still begin together."""

from collections.abc import Callable


class StartBudget:
    """Shared by producers; ``left`` None is without end."""

    def __init__(self, left: int | None = None) -> None:
        self.left = left
        self._waiting: list[Callable[[], None]] = []

    def on_return(self, call: Callable[[], None]) -> None:
        """Call it whenever more may begin than before."""
        self._waiting.append(call)

    def most(self, wanted: int) -> int:
        """As many of them as may begin."""
        return wanted if self.left is None else min(wanted, self.left)

    def take(self, wanted: int) -> int:
        """Set as many of them aside as may begin, and return their number: two fetches
        under way at once do not count the same.
        """
        taken = self.most(wanted)
        if self.left is not None:
            self.left -= taken
        return taken

    def add(self, more: int) -> None:
        """Let so many more begin: new ones, or those taken that did not."""
        if self.left is not None and more:
            self.left += more
            for call in self._waiting:
                call()
