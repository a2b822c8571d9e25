"""The table of events, made from their types.

``python -m tests.telemetry.event_reference`` writes it; a test compares it with the code.
"""

from dataclasses import fields
from pathlib import Path

from elihu.telemetry import events
from elihu.telemetry.events import Event

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "python" / "events.md"
START = "| event | fields | what happened |\n| --- | --- | --- |\n"
END = "\n::: elihu.telemetry.events\n"


def every_event() -> list[type[Event]]:
    """Every type, in the order of the module."""
    return [
        value
        for value in vars(events).values()
        if isinstance(value, type) and issubclass(value, Event)
    ]


def table() -> str:
    """A row for each event."""
    return START + "".join(
        f"| `{event.__name__}` | {_fields(event)} | {' '.join(_about(event).split())} |\n"
        for event in every_event()
    )


def _about(event: type[Event]) -> str:
    return (event.__doc__ or "").replace("``", "`")


def _fields(event: type[Event]) -> str:
    return " ".join(f"`{field.name}`" for field in fields(event)) or "none"


def text() -> str:
    """The page with the table of the code."""
    page = PAGE.read_text()
    return page[: page.index(START)] + table() + page[page.index(END) :]


if __name__ == "__main__":
    PAGE.write_text(text())
