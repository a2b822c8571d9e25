"""The document of the API as a page, and the schema of problems."""

from html import escape
from typing import Any, Final

PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "the name of the error"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "detail"],
                "properties": {"field": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}


def page(document: dict[str, Any]) -> str:
    """A page that lists every operation with its role, parameters and fields."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Elihu: API</title>",
        "<h1>API</h1><p>The same as a document: <a href=openapi.json>openapi.json</a>.</p>",
    ]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parts.append(_operation(document, method, path, operation))
    return "".join(parts)


def _operation(document: dict[str, Any], method: str, path: str, found: dict[str, Any]) -> str:
    role = found.get("x-elihu-role", "none")
    about = escape(found.get("description") or found.get("summary", ""))
    parameters = "".join(
        f"<li><code>{escape(each['name'])}</code> in {escape(each['in'])}"
        f"{', needed' if each.get('required') else ''}"
        for each in found.get("parameters", [])
    )
    body = found.get("requestBody", {}).get("content", {}).get("application/json", {})
    fields = "".join(
        f"<li><code>{escape(name)}</code> in the body{', needed' if needed else ''}"
        for name, needed in _fields(document, body.get("schema", {}))
    )
    return (
        f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{about}</p>"
        f"<p>Role: <code>{escape(str(role))}</code></p><ul>{parameters}{fields}</ul>"
    )


def _fields(document: dict[str, Any], schema: dict[str, Any]) -> list[tuple[str, bool]]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found = document["components"]["schemas"].get(name, schema)
    needed = found.get("required", [])
    return [(each, each in needed) for each in found.get("properties", {})]
