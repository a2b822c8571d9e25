"""Servers that receive webhooks and e-mails, on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any


class Receiver:
    """What a server has received."""

    def __init__(self) -> None:
        self.port = 0
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.mails: list[str] = []
        self.statuses: list[int] = []
        """The answers to come; 200 when there are none."""
        self._more = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?x=1"

    @property
    def events(self) -> list[dict[str, Any]]:
        """The bodies, read as JSON."""
        return [json.loads(body) for body in self.bodies]

    async def until(self, there: Callable[[], bool], *, within: float = 20) -> None:
        """Return when ``there()``, looked at after each message."""
        async with asyncio.timeout(within):
            while not there():
                self._more.clear()
                await self._more.wait()

    def took(self) -> None:
        """A message is there."""
        self._more.set()


@asynccontextmanager
async def webhooks() -> AsyncIterator[Receiver]:
    """A server for webhooks."""
    receiver = Receiver()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
        body = await reader.readexactly(int(headers["content-length"]))
        status = receiver.statuses.pop(0) if receiver.statuses else 200
        writer.write(
            f"HTTP/1.1 {status} X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        await writer.drain()
        writer.close()
        receiver.headers.append({"path": head[0].split(" ")[1], **headers})
        receiver.bodies.append(body)
        receiver.took()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    yield receiver
    server.close()
    await server.wait_closed()


@asynccontextmanager
async def mails() -> AsyncIterator[Receiver]:
    """A server for e-mails, without encryption."""
    receiver = Receiver()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := (await reader.readline()).decode().strip().upper():
            if line == "DATA":
                writer.write(b"354 go\r\n")
                receiver.mails.append((await reader.readuntil(b"\r\n.\r\n")).decode())
            writer.write(b"250 fine\r\n" if line != "QUIT" else b"221 bye\r\n")
            await writer.drain()
            if line == "DATA":
                receiver.took()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    yield receiver
    server.close()
    await server.wait_closed()
