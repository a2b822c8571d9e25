"""The proxy passes bytes on, and misbehaves as asked."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from oracle.proxy import HOST, IDLE, IN_TRANSACTION, Proxy

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy before a server that sends back what it gets."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, HOST, 0)
    async with Proxy(
        f"postgresql://user@{HOST}:{server.sockets[0].getsockname()[1]}/name"
    ) as proxy:
        yield proxy
    server.close()


async def connect(proxy: Proxy) -> Streams:
    port = int(proxy.url.rsplit(":", 1)[1].split("/")[0])
    return await asyncio.open_connection(HOST, port)


async def ask(streams: Streams, text: bytes) -> bytes:
    reader, writer = streams
    writer.write(text)
    async with asyncio.timeout(20):
        return await reader.read(100)


async def silent(streams: Streams, text: bytes) -> None:
    """Send, and see that nothing comes back."""
    reader, writer = streams
    writer.write(text)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await reader.read(100)


async def test_it_passes_on(proxy: Proxy):
    assert proxy.url.startswith(f"postgresql://user@{HOST}:")
    streams = await connect(proxy)
    assert await ask(streams, b"one") == b"one"
    assert await ask(streams, b"two") == b"two"
    streams[1].close()


async def test_what_was_stalled_arrives_when_that_ends(proxy: Proxy):
    streams = await connect(proxy)
    assert await ask(streams, b"one") == b"one"
    proxy.stalled = True
    await silent(streams, b"two")
    proxy.stalled = False
    assert await streams[0].read(100) == b"two"
    streams[1].close()


async def test_an_answer_that_was_swallowed_never_arrives_and_others_do(proxy: Proxy):
    streams, others = await connect(proxy), await connect(proxy)
    proxy.swallow()
    await silent(streams, b"one")
    assert proxy.swallowed == 1
    assert await ask(others, b"two") == b"two"
    await silent(streams, b"three")
    for _, writer in (streams, others):
        writer.close()


async def test_a_drop_cuts_every_connection(proxy: Proxy):
    streams = await connect(proxy)
    assert await ask(streams, b"one") == b"one"
    proxy.drop()
    with pytest.raises(ConnectionResetError):
        await ask(streams, b"two")
    again = await connect(proxy)
    assert await ask(again, b"three") == b"three"
    again[1].close()


async def test_a_connection_is_cut_off_inside_a_transaction_and_stays_open(proxy: Proxy):
    streams, others = await connect(proxy), await connect(proxy)
    proxy.hold_after = 2
    assert await ask(streams, b"BEGIN" + IN_TRANSACTION) == b"BEGIN" + IN_TRANSACTION
    assert await ask(streams, b"COMMIT" + IDLE) == b"COMMIT" + IDLE
    assert await ask(streams, b"BEGIN" + IN_TRANSACTION) == b"BEGIN" + IN_TRANSACTION
    await silent(streams, b"INSERT" + IN_TRANSACTION)
    assert proxy.held == 1
    await silent(streams, b"COMMIT")
    assert await ask(others, b"one") == b"one"
    for _, writer in (streams, others):
        writer.close()
