"""Templates."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from elihu.template import NewTemplate, Template


class Place(NamedTuple):
    """A template's place in the order of lists."""

    display_order: int
    code: str


class Front(NamedTuple):
    """The front of a queue: the current time of the database, and a time before that of
    every available job of priority 0 (at most the current time).
    """

    now: datetime
    before_all: datetime


class Templates(Protocol):
    """Templates."""

    async def add_template(self, new: NewTemplate, revision: str) -> Template | None:
        """Store a template. None where its code is taken."""
        ...

    async def change_template(self, new: NewTemplate, revision: str, known: str) -> Template | None:
        """Write all of a template if its revision is ``known``; None where it is
        another.
        """
        ...

    async def remove_template(self, code: str, known: str | None = None) -> bool:
        """Remove a template, with ``known`` only if that is its revision. False where
        there is none.
        """
        ...

    async def template(self, code: str) -> Template | None:
        """The template with this code."""
        ...

    async def find_templates(
        self, active: bool | None, after: Place | None, limit: int
    ) -> list[Template]:
        """At most ``limit`` templates after a place, by display order and code. ``active``
        None means any.
        """
        ...

    async def schemas(self, codes: Sequence[str]) -> dict[str, str]:
        """The JSON Schemas of existing templates as code → text."""
        ...

    async def front(self, queue: str) -> Front:
        """The front of a queue."""
        ...
