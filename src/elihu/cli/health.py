"""``/livez`` and ``/readyz`` of a node, for probes, without the packages of the page."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from elihu.cli.group import Failure

READ_TIMEOUT: Final = 5.0
"""Seconds that a client has to send its request."""
LARGEST_REQUEST: Final = 16_384
_ADDRESS: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]\s]+):([0-9]{1,5})")
_WORDS: Final = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}

Ready = Callable[[], Awaitable[str | None]]
"""Why the node is not ready, None if it is."""


def address_of(text: str) -> tuple[str, int]:
    """The host and port of ``HOST:PORT``. Raises ``ValueError``."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found[2]) > 65_535:
        raise ValueError(f"expected HOST:PORT, such as 127.0.0.1:8700, got {text!r}")
    return found[1].strip("[]"), int(found[2])


class Health:
    """Listens while it is entered. ``/livez`` answers 200 while the event loop runs,
    ``/readyz`` 200 where ``ready`` returns None and else 503.
    """

    def __init__(self, address: tuple[str, int], ready: Ready) -> None:
        self._host, self._port = address
        self._ready = ready
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    async def __aenter__(self) -> Self:
        try:
            self._server = await asyncio.start_server(
                self._answer, self._host, self._port, limit=LARGEST_REQUEST
            )
        except OSError as error:
            raise Failure(
                f"--health: expected an address to listen at, got {self._host}:{self._port} "
                f"({error})"
            ) from error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            async with asyncio.timeout(READ_TIMEOUT):
                request = await reader.readuntil(b"\r\n\r\n")
            method, path, _ = request.decode("latin-1").split("\r\n")[0].split(" ")
            status, body = await self._status(method, path.partition("?")[0])
            text = json.dumps(body)
            head = (
                f"HTTP/1.1 {status} {_WORDS[status]}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(text)}\r\nCache-Control: no-store\r\n"
                "Connection: close\r\n\r\n"
            )
            writer.write((head if method == "HEAD" else head + text).encode())
            await writer.drain()
        writer.close()

    async def _status(self, method: str, path: str) -> tuple[int, dict[str, str]]:
        if path not in {"/livez", "/readyz"}:
            return 404, {"status": "not found"}
        if method not in {"GET", "HEAD"}:
            return 405, {"status": "method not allowed"}
        reason = await self._ready() if path == "/readyz" else None
        return (200, {"status": "ok"}) if reason is None else (503, {"status": reason})
