"""The reference of the JSON API is made from its document."""

from tests.docs.api_reference import PAGE, text


def test_the_reference_is_that_of_the_document() -> None:
    assert PAGE.read_text() == text(), "write it with: python -m tests.docs.api_reference"
