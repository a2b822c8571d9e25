"""``elihu web`` and the page of ``elihu up``, as processes."""

import asyncio
import os
import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests.cli.shell import Process, Shell

pytestmark = pytest.mark.sqlite_first


@pytest.fixture
def page(shell: Shell) -> Iterator[tuple[Process, str]]:
    """A running ``elihu web``, and its address."""
    process = shell.begin("web")
    yield process, process.wait_for("page ").split()[3]
    process.signal(signal.SIGTERM)


def refused(shell: Shell, *arguments: str) -> str:
    """The error of a command that cannot start."""
    done = shell.run(*arguments)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_it_serves_until_a_signal(shell: Shell, page: tuple[Process, str]) -> None:
    process, url = page
    assert "no users" in process.wait_for("sign-in")
    assert httpx.get(f"{url}readyz").status_code == 200
    assert httpx.get(f"{url}api/system/queues").json()["items"]
    assert "server" not in httpx.get(f"{url}livez").headers
    process.signal(signal.SIGTERM)
    process.wait_for("stopped")
    assert process.process.wait(20) == 0


def test_an_open_stream_ends_with_the_server(page: tuple[Process, str]) -> None:
    process, url = page
    with httpx.stream("GET", f"{url}api/stream?topic=overview", timeout=30) as stream:
        lines = stream.iter_lines()
        while "event: overview" not in next(lines):
            pass
        process.signal(signal.SIGTERM)
        for _ in lines:
            pass
    assert process.process.wait(20) == 0


def test_another_address_needs_users_first(shell: Shell) -> None:
    error = refused(shell, "web", "--host", "0.0.0.0")
    assert "elihu users add NAME --role admin" in error
    socket_path = shell.folder / "web.sock"
    assert "expected users" in refused(shell, "web", "--unix", str(socket_path))
    shell("users", "add", "ann", "--role", "admin", "--password-stdin", text="long enough\n")
    process = shell.begin("web", "--unix", str(socket_path))
    process.wait_for("page ")
    assert stat.S_IMODE(socket_path.stat().st_mode) == 0o600
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket_path))) as client:
        assert client.get("http://localhost/livez").status_code == 200
        assert client.get("http://localhost/api/system/jobs").status_code == 401
    process.signal(signal.SIGTERM)
    assert process.process.wait(20) == 0
    assert not socket_path.exists()


def test_a_port_in_use_is_named(shell: Shell, page: tuple[Process, str]) -> None:
    port = str(urlsplit(page[1]).port)
    assert f"expected a free address, got 127.0.0.1:{port}" in refused(shell, "web", "--port", port)


def test_up_serves_the_page_beside_its_node_and_ends_it(shell: Shell) -> None:
    node = shell.begin("up")
    url = node.wait_for("page ").split()[3]
    assert httpx.get(f"{url}readyz").status_code == 200
    (child,) = psutil.Process(node.process.pid).children()
    child.kill()
    again = node.wait_for("page ").split()[3]
    assert httpx.get(f"{again}readyz").status_code == 200
    (child,) = psutil.Process(node.process.pid).children()
    node.process.kill()
    psutil.wait_procs([child], timeout=20)
    assert not child.is_running()


def test_up_without_the_page(shell: Shell) -> None:
    node = shell.begin("up", "--no-web")
    node.wait_for("node      ")
    assert psutil.Process(node.process.pid).children() == []
    node.signal(signal.SIGTERM)
    assert node.process.wait(20) == 0


async def test_idle_and_slow_connections_stop_nobody_else(page: tuple[Process, str]) -> None:
    _, url = page
    parts = urlsplit(url)
    writers = []
    for number in range(200):
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        if number % 2:
            writer.write(b"POST /api/system/jobs/bulk HTTP/1.1\r\nHost: localhost\r\n")
        writers.append(writer)
    async with httpx.AsyncClient(timeout=20) as client:
        assert (await client.get(f"{url}livez")).status_code == 200
        assert (await client.get(f"{url}api/system/jobs")).status_code == 200
    for writer in writers:
        writer.close()


async def test_a_thousand_streams_are_refused_beyond_the_bounds(page: tuple[Process, str]) -> None:
    _, url = page
    parts = urlsplit(url)
    request = (
        f"GET /api/stream?topic=overview HTTP/1.1\r\nHost: localhost:{parts.port}\r\n\r\n"
    ).encode()

    async def ask() -> tuple[bytes, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(request)
        return (await reader.readline()).split()[1], writer

    async with asyncio.timeout(50):
        answers = await asyncio.gather(*(ask() for _ in range(900)))
    statuses = [status for status, _ in answers]
    assert statuses.count(b"200") <= 20
    assert set(statuses) <= {b"200", b"429", b"503"}
    for _, writer in answers:
        writer.close()


def test_a_socket_that_a_dead_server_left_is_replaced(shell: Shell, tmp_path: Path) -> None:
    shell("users", "add", "ann", "--role", "admin", "--no-password")
    path = tmp_path / "left.sock"
    with closing(socket.socket(socket.AF_UNIX)) as left:
        left.bind(os.fspath(path))
    process = shell.begin("web", "--unix", str(path))
    process.wait_for("page ")
    process.signal(signal.SIGTERM)
    assert process.process.wait(20) == 0
