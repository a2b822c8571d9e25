"""The socket of the server."""

import asyncio
import socket

from elihu.config import WebConfig
from elihu.web.server import bind


async def test_parts_of_an_answer_are_sent_at_once() -> None:
    """A part would else wait until the client acknowledges the one before: 40 ms."""
    delays = asyncio.Queue[bool]()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        await delays.put(not connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async with await asyncio.start_server(serve, sock=bind(WebConfig(port=0))) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await delays.get() is False
        writer.close()
        await writer.wait_closed()
