"""celery on Redis: late acknowledgement, so that a job outlives its worker as with the
others, no results, no events, and a long prefetch.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from celery import Celery
from celery.signals import worker_ready

from bench.compare.programs.protocol import Request, Worker

POOL = "solo"
PREFETCH = 128
QUEUES = ("celery", "unacked")


def app_of(url: str) -> Celery:
    app = Celery("bench", broker=url)
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        worker_prefetch_multiplier=PREFETCH,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
    )
    return app


def task_of(app: Celery, note: Callable[[float], object]) -> Any:
    @app.task(name="note")
    def noted(sent: float) -> None:
        note(sent)

    return noted


async def install(_url: str) -> None:
    """Redis has no tables."""


async def bulk(url: str, jobs: int) -> float:
    app = app_of(url)
    task = task_of(app, float)
    with app.producer_pool.acquire(block=True) as producer:
        began = time.perf_counter()
        for _ in range(jobs):
            task.apply_async((0.0,), producer=producer)
        return time.perf_counter() - began


@asynccontextmanager
async def sender(url: str, _callers: int) -> AsyncIterator[Callable[[float], Awaitable[object]]]:
    app = app_of(url)
    task = task_of(app, float)
    with app.producer_pool.acquire(block=True) as producer:

        async def send(sent: float) -> None:
            task.apply_async((sent,), producer=producer)

        yield send


@asynccontextmanager
async def pending(url: str) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    with app_of(url).connection_for_read() as connection:
        client = connection.default_channel.client

        async def count() -> int:
            return int(client.llen(QUEUES[0])) + int(client.hlen(QUEUES[1]))

        yield count


def work(request: Request, worker: Worker) -> None:
    app = app_of(request.url)
    task_of(app, worker.note)

    @worker_ready.connect(weak=False)
    def ready(**_: object) -> None:
        worker.ready()

    def stop() -> None:
        worker.wait()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop, daemon=True).start()
    app.worker_main(
        [
            "--quiet",
            "worker",
            f"--pool={POOL}",
            "--loglevel=ERROR",
            "--without-gossip",
            "--without-mingle",
            f"--hostname=worker{os.getpid()}@{socket.gethostname()}",
        ]
    )
