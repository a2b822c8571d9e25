"""What both engines do for job kinds in the database."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from elihu.template import NewTemplate, Template


class Place(NamedTuple):
    """A template's place in the lists."""

    display_order: int
    code: str


class Front(NamedTuple):
    """The database's now, and a time before that of every available job of priority 0
    in a queue (now, where that is earlier).
    """

    now: datetime
    before_all: datetime


class Templates(Protocol):
    """The part of ``Engine`` that is about templates."""

    async def add_template(self, new: NewTemplate, revision: str) -> Template | None:
        """Store a template; None, and nothing stored, where its code is taken."""
        ...

    async def change_template(self, new: NewTemplate, revision: str, known: str) -> Template | None:
        """Write all of a template of which ``known`` is the revision; None, and nothing
        written, where it is no longer.
        """
        ...

    async def remove_template(self, code: str) -> bool:
        """Remove a template; whether there was one."""
        ...

    async def template(self, code: str) -> Template | None: ...

    async def find_templates(
        self, active: bool | None, after: Place | None, limit: int
    ) -> list[Template]:
        """By display order, then code; ``active`` None is any."""
        ...

    async def schemas(self, codes: Sequence[str]) -> dict[str, str]:
        """code → JSON Schema, as text, of those templates that are there."""
        ...

    async def front(self, queue: str) -> Front:
        """Where the front of a queue is."""
        ...
