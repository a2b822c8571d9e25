"""Stylesheet and scripts, read once and sent compressed."""

import gzip
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from elihu.web.problems import Problem

router = APIRouter(include_in_schema=False)
_FOLDER: Final = Path(__file__).parents[1] / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@lru_cache(maxsize=1)
def _files() -> dict[str, tuple[bytes, bytes, str, str]]:
    """Name to content, compressed content, digest and type."""
    found = {}
    for path in sorted(_FOLDER.iterdir()):
        if path.suffix in _TYPES:
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:16]
            packed = gzip.compress(content, 9, mtime=0)
            found[path.name] = content, packed, digest, _TYPES[path.suffix]
    return found


def address_of_file(name: str) -> str:
    """The path of a file; it changes with the content."""
    return f"/static/{name}?v={_files()[name][2]}"


@router.get("/static/{name}")
async def get_file(request: Request, name: str) -> Response:
    """One file. Who asks with the digest may keep it."""
    known = _files().get(name)
    if known is None:
        raise Problem(404, "file not found")
    content, packed, digest, kind = known
    headers = {
        "ETag": f'"{digest}"',
        "Vary": "Accept-Encoding",
        "Cache-Control": "public, max-age=31536000, immutable"
        if request.query_params.get("v") == digest
        else "no-cache",
    }
    if request.headers.get("if-none-match") == f'"{digest}"':
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(packed, media_type=kind, headers=headers | {"Content-Encoding": "gzip"})
    return Response(content, media_type=kind, headers=headers)
