"""The app of the node processes: tasks that take their time, and a line of output for
each event that a test waits for.
"""

import asyncio
import signal
import time
from pathlib import Path

from elihu import Context, Elihu
from elihu.telemetry.events import (
    Event,
    JobRescued,
    JobStarted,
    LeaderElected,
    LeaderLost,
    NodeRejoined,
    NodeRemoved,
    NodeStarted,
    NodeStopped,
    Ticked,
    TickFailed,
)

app = Elihu()


@app.task(name="brief")
async def brief(number: int) -> None:
    await asyncio.sleep(0.005)


@app.task(name="lasting")
async def lasting(seconds: float) -> None:
    await asyncio.sleep(seconds)


@app.task(name="lasting_thread")
def lasting_thread(seconds: float) -> None:
    time.sleep(seconds)


@app.task(name="blocking")
async def blocking(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251 - as bad tasks do


@app.task(name="until_file")
async def until_file(path: str) -> None:
    while not await asyncio.to_thread(Path(path).exists):  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.02)


@app.task(name="deaf_process", run_in="process")
def deaf_process(path: str) -> None:
    """Does not end when it is asked to."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(path).touch()
    while True:
        time.sleep(3_600)


@app.task(name="stubborn")
async def stubborn(*, ctx: Context) -> None:
    """Cleans up at its own pace when it is cancelled."""
    try:
        await asyncio.Event().wait()
    finally:
        print("cleaning up", flush=True)
        await asyncio.sleep(0.3)
        print("cleaned up", flush=True)


def tell(event: Event) -> None:
    match event:
        case Ticked():
            if event.service == "notifier":
                print(f"mode {event.data['mode']}", flush=True)
        case TickFailed():
            print(f"failed {event.service} {event.failures}", flush=True)
        case JobStarted():
            print(f"began {event.task} {event.job_id}", flush=True)
        case NodeRemoved():
            print(f"buried {event.dead}", flush=True)
        case NodeRejoined():
            print(f"reborn {event.node}", flush=True)
        case _:
            print(f"event {type(event).__name__}", flush=True)


for kind in (
    JobRescued,
    JobStarted,
    LeaderElected,
    LeaderLost,
    NodeRemoved,
    NodeRejoined,
    NodeStarted,
    NodeStopped,
    Ticked,
    TickFailed,
):
    app.on(kind, tell)
