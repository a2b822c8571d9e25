"""Every event is documented, and costs nothing where nobody listens."""

import inspect

from tests.telemetry.event_reference import PAGE, every_event, text


def test_the_reference_is_that_of_the_code() -> None:
    assert PAGE.read_text() == text(), "write it with: python -m tests.telemetry.event_reference"


def test_every_event_says_what_happened() -> None:
    for event in every_event():
        own = vars(event).get("__doc__")
        assert own, f"{event.__name__} has no text of its own"
        assert not own.startswith(f"{event.__name__}("), f"{event.__name__}: made by dataclass"
        assert inspect.cleandoc(own).endswith((".", ")"))
