"""What a test reads in a page, without a browser."""

import re
from html.parser import HTMLParser
from typing import Any

import httpx


class Page(HTMLParser):
    """The elements of an answer: tag, attributes and the text inside."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.answer = answer
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._hidden = 0
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._hidden += tag in {"script", "style"}

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in {"script", "style"}

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words += data + " "

    def all(self, tag: str, **wanted: str) -> list[dict[str, Any]]:
        """The attributes of the elements of this tag that have these attributes."""
        return [
            found
            for name, found in self.tags
            if name == tag and all(found.get(key) == value for key, value in wanted.items())
        ]

    def text(self) -> str:
        """What people read, with single spaces."""
        return re.sub(r"\s+", " ", self.words)

    def field(self, name: str) -> str:
        """The value of an input."""
        value: str = self.all("input", name=name)[0].get("value") or ""
        return value


def problems(page: Page) -> list[str]:
    """What breaks the rules of the markup, and what a strict policy would block."""
    found = []
    for tag, attributes in page.tags:
        found += [
            f"<{tag} {name}>"
            for name in attributes
            if name == "style" or name.startswith(("on", "hx-on"))
        ]
        if tag == "style" or (tag == "script" and not attributes.get("src")):
            found.append(f"<{tag}>")
    if len(page.all("h1")) != 1:
        found.append(f"{len(page.all('h1'))} h1")
    if len(page.all("main")) != 1:
        found.append(f"{len(page.all('main'))} main")
    ids = [found["id"] for _, found in page.tags if found.get("id")]
    found += [f"id {each} twice" for each in {each for each in ids if ids.count(each) > 1}]
    return found
