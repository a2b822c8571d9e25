"""The reference of the JSON API, made from its document.

``python -m tests.docs.api_reference`` writes it; a test compares it with the code.
"""

from pathlib import Path
from typing import Any

from elihu import Elihu
from elihu.web import create_app

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "api.md"

HEAD = """# JSON API

`elihu web` and `elihu up` serve it: see [the page and the JSON API](../operate/web.md) for sign-in,
roles and keys. `/api/openapi.json` is its document, and `/api/docs` shows each operation with its
fields.

- A list is `{"items": [...], "next": cursor or null}`. Give `next` back as `after`, and `limit` up
  to 1,000. A list of jobs reads a bounded number of them, so that a page may be short, or empty,
  while `next` is not null.
- Times are RFC 3339 with a zone; durations are seconds unless the name says `_ms`.
- What people edit has an `ETag`. `PATCH` and `DELETE` with `If-Match` are refused with 412 where
  another user was first; `current` and `given` in the answer have both texts. Of two who change the
  same ETag at once, one is refused.
- `POST` that starts a run, and `POST /api/system/jobs`, take `Idempotency-Key`: a repeated request
  does nothing and has the same answer, for a day.
- An error is a problem document (RFC 9457): `status`, `title`, `detail`, `code` (the name of the
  [error](errors.md)) and, for values, `errors` with `field` and `detail`.
- `GET /api/stream?topic=overview&topic=run:ID` is a stream of server-sent events: each has the
  topic and what it says now. It resumes by `Last-Event-ID`. `GET /api/stream/poll` answers the same
  where streams are blocked. Topics are `overview`, `queues`, `nodes`, `job:ID` and `run:ID`.
  Nodes tell the server when a run writes, changes or ends. A signal that is lost delays an event by
  2 seconds at most.
- `GET /api/runs/ID/output/stream` sends `chunk`, `run` and `end`."""


def text() -> str:
    """The page."""
    document = create_app(Elihu("sqlite:///elihu.db")).openapi()
    areas: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            area = "/".join(path.split("/")[2:4]) if "/system/" in path else path.split("/")[2]
            areas.setdefault(area, []).append(_row(method, path, operation))
    parts = [HEAD]
    for area in sorted(areas):
        parts.append(
            f"\n## /api/{area}\n\n| operation | role | what it does |\n| --- | --- | --- |"
        )
        parts += areas[area]
    return "\n".join(parts) + "\n"


def _row(method: str, path: str, operation: dict[str, Any]) -> str:
    about = " ".join(operation["description"].split()).replace("``", "`")
    role = operation["x-elihu-role"]
    return f"| `{method.upper()} {path}` | {'none' if role == 'public' else role} | {about} |"


if __name__ == "__main__":
    PAGE.write_text(text())
