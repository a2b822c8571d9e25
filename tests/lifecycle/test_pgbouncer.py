"""Everything works behind PgBouncer in transaction mode, where a statement may reach
another server process than the one before. Skipped where no `pgbouncer` is on the PATH.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from elihu import Elihu, Unique
from elihu.telemetry.events import NotifierSwitched
from elihu.testing.postgres import free_port

PROGRAM = shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin")
CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
"""

pytestmark = [
    pytest.mark.more,
    pytest.mark.timeout(60),
    pytest.mark.skipif(PROGRAM is None, reason="needs pgbouncer on the PATH"),
]


@pytest.fixture
def pooled_url(new_postgres_url: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a new database, by way of a pooler with three connections."""
    assert PROGRAM is not None
    port = free_port()
    server = urlsplit(new_postgres_url)
    tmp_path.chmod(0o755)
    file = tmp_path / "pgbouncer.ini"
    file.write_text(CONFIGURATION.format(server=server.port, port=port))
    user = ["-u", "nobody"] if os.getuid() == 0 else []
    pooler = subprocess.Popen([PROGRAM, "-q", *user, file])
    try:
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert pooler.poll() is None
            time.sleep(0.05)
        yield new_postgres_url.replace(f":{server.port}/", f":{port}/")
    finally:
        pooler.terminate()
        pooler.wait()


@pytest.mark.parametrize("listens", [True, False])
async def test_jobs_run_behind_a_pooler(
    pooled_url: str, new_postgres_url: str, listens: bool
) -> None:
    app = Elihu(
        pooled_url,
        listen_url=new_postgres_url if listens else None,
        poll="50s" if listens else "5s",
        poll_fallback=0.1,
        heartbeat=0.5,
    )
    polling = asyncio.Event()
    app.on(NotifierSwitched, lambda event: polling.set() if event.mode == "polling" else None)

    @app.task(name="double")
    async def double(number: int) -> int:
        return 2 * number

    @app.task(name="once", unique=Unique(), record=True)
    def once(number: int) -> int:
        return number

    async with app:
        await app.migrate()
        async with app.running():
            if not listens:
                await polling.wait()
            relays = await asyncio.gather(*(double.asubmit(number) for number in range(60)))
            results = [await relay.aresult(timeout=30) for relay in relays]
            assert results == [2 * number for number in range(60)]
            await asyncio.gather(*(once.using(delay="1h").aenqueue(1) for _ in range(20)))
            assert await app.jobs.count(task="once") == 1
            assert polling.is_set() != listens
