"""``elihu start --health``: probes of a node."""

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from elihu.cli.health import Health, address_of
from tests.cli.shell import Process, Shell


def asked(url: str, method: str = "GET") -> tuple[int, str]:
    """The status and body of an answer."""
    try:
        with urlopen(Request(url, method=method), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def address(process: Process) -> str:
    """Where the process answers."""
    return process.wait_for("health  ").split()[3]


def test_a_node_answers_probes(shop: Shell) -> None:
    node = shop.begin("start", "--health", "127.0.0.1:0")
    url = address(node)
    assert asked(f"{url}/livez") == (200, '{"status": "ok"}')
    node.wait_for("node  ")
    assert asked(f"{url}/readyz?verbose") == (200, '{"status": "ok"}')
    assert asked(f"{url}/readyz", "HEAD") == (200, "")
    assert asked(f"{url}/readyz", "POST")[0] == 405
    assert asked(f"{url}/")[0] == 404
    shop("enqueue", "long")
    node.wait_for("long job begins")
    node.signal(signal.SIGTERM)
    node.wait_for("stopping: ")
    assert asked(f"{url}/readyz") == (503, '{"status": "stopping"}')
    assert asked(f"{url}/livez")[0] == 200
    node.signal_until(signal.SIGTERM, "stopped ")
    assert node.end() == 0


def test_the_supervisor_answers_for_its_processes(shop: Shell) -> None:
    supervisor = shop.begin("start", "--processes", "2", "--health", "127.0.0.1:0")
    url = address(supervisor)
    supervisor.wait_for("processes ")
    assert asked(f"{url}/readyz")[0] == 200
    supervisor.signal(signal.SIGTERM)
    assert supervisor.end() == 0


@pytest.fixture
async def unready() -> AsyncIterator[Health]:
    async def ready() -> str | None:
        return "the tables cannot be used (DatabaseUnavailable)"

    async with Health(("127.0.0.1", 0), ready) as health:
        yield health


async def test_not_ready(unready: Health) -> None:
    status, body = await asyncio.to_thread(asked, f"{unready.url}/readyz")
    assert status == 503
    assert json.loads(body) == {"status": "the tables cannot be used (DatabaseUnavailable)"}


def test_an_address_that_is_taken(shop: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        error = shop.refused("start", "--health", f"127.0.0.1:{port}", status=1)
    assert f"got 127.0.0.1:{port}" in error


def test_addresses() -> None:
    assert address_of("[::1]:8700") == ("::1", 8700)
    assert address_of("localhost:1") == ("localhost", 1)


@pytest.mark.parametrize("text", ["8700", "127.0.0.1", "127.0.0.1:99999", ":8700", "a b:1"])
def test_wrong_addresses(bare: Shell, text: str) -> None:
    assert "--health" in bare.refused("start", "--health", text, status=2)
