"""A template of an invoice, and the task that it needs."""

from typing import Any

from elihu import (
    Elihu,
    Template,
)

SCHEMA = {
    "type": "object",
    "properties": {
        "number": {"type": "integer", "minimum": 1},
        "lines": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["number"],
    "additionalProperties": False,
}


def declare(app: Elihu) -> list[Any]:
    """A task, and what it was called with."""
    called: list[Any] = []

    @app.task(name="billing.invoice", queue="mail", priority=2, tags=["billing"], max_orphans=5)
    async def invoice(number: int, lines: list[str] | None = None) -> None:
        called.append((number, lines))

    return called


async def create(app: Elihu, code: str = "invoice", **fields: Any) -> Template:
    given: dict[str, Any] = {"name": "Send an invoice", "task": "billing.invoice", "schema": SCHEMA}
    return await app.templates.create(code, **(given | fields))
