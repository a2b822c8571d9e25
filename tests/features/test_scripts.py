"""Plain programs that enqueue: they may forget to close, fork, and run side by side."""

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from elihu import Elihu
from tests.support import BUSY_MACHINE, QUICK

pytestmark = pytest.mark.sqlite_first

NO_FORK_WARNING = "ignore:This process:DeprecationWarning"
"""Python 3.12 and later warn of each fork of a process with threads."""

HEAD = """
import asyncio, os, sys
from elihu import Elihu, Unique

app = Elihu(sys.argv[1])

@app.task(name="t", unique=Unique())
async def t(number: int): ...
"""


class Scripts:
    """Starts programs, and ends those that are left."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url
        self._started: list[subprocess.Popen[str]] = []

    def start(self, body: str, *arguments: str) -> "subprocess.Popen[str]":
        path = self._folder / f"script_{len(self._started)}.py"
        path.write_text(HEAD + textwrap.dedent(body), "utf-8")
        command = [sys.executable, "-W", NO_FORK_WARNING, str(path), self._url, *arguments]
        process = subprocess.Popen(
            command, cwd=self._folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._started.append(process)
        return process

    def run(self, body: str, *arguments: str) -> str:
        """Its output; fails where it fails or says anything on the error channel."""
        return finished(self.start(body, *arguments))

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.communicate()


def finished(process: "subprocess.Popen[str]") -> str:
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    return output


@pytest.fixture
def scripts(tmp_path: Path, database_url: str):
    app = Elihu(database_url, **QUICK | BUSY_MACHINE)
    app.run(app.migrate())
    started = Scripts(tmp_path, database_url)
    yield started, app
    started.close()
    app.run(app.aclose())


def numbers(app: Elihu) -> list[int]:
    return sorted(job.args["number"] for job in app.run(app.jobs.list(limit=1_000)).items)


def test_a_script_that_forgets_to_close_ends_promptly(scripts: tuple[Scripts, Elihu]):
    start, app = scripts
    body = """
        import time
        t.enqueue(1)
        print(t.enqueue(2).id, t.enqueue(2).conflict)
        print(time.monotonic())
    """
    _, conflict, done = start.run(body).split()
    assert conflict == "True"
    assert time.monotonic() - float(done) < 3
    assert numbers(app) == [1, 2]


def test_an_asynchronous_script_that_forgets_to_close_ends_promptly(scripts: tuple[Scripts, Elihu]):
    start, app = scripts
    start.run("asyncio.run(t.aenqueue(1))\nasyncio.run(t.aenqueue(2))\nt.enqueue(3)")
    assert numbers(app) == [1, 2, 3]


def test_loops_that_come_and_go_leave_no_threads(scripts: tuple[Scripts, Elihu]):
    started, app = scripts
    output = started.run(
        """
        import threading

        def threads():
            main = threading.main_thread()
            return [thread for thread in threading.enumerate() if thread is not main]

        for number in range(8):
            asyncio.run(t.aenqueue(number))
            last = threads()
        for thread in last[:-2]:
            thread.join(5)
        print(len(threads()) <= 2)
        """
    )
    assert output.split() == ["True"]
    assert numbers(app) == list(range(8))


def test_files_of_the_package_are_read_once_in_a_process(scripts: tuple[Scripts, Elihu]):
    """Not again for another loop, another client of the same app, or another app."""
    started, _ = scripts
    output = started.run(
        """
        import elihu
        from pathlib import Path

        home = str(Path(elihu.__file__).parent)
        opened = []

        def hook(event, arguments):
            if event == "open" and str(arguments[0]).startswith(home):
                opened.append(arguments[0])

        sys.addaudithook(hook)

        def count(work):
            opened.clear()
            work()
            return len(opened)

        def closed():
            asyncio.run(app.aclose())
            asyncio.run(t.aenqueue(3))

        def another():
            other = Elihu(sys.argv[1])
            asyncio.run(other.jobs.count())

        asyncio.run(t.aenqueue(1))
        print(count(lambda: asyncio.run(t.aenqueue(2))), count(closed), count(another))
        """
    )
    assert all(int(number) < 10 for number in output.split()), output


def test_an_app_closed_from_another_loop_leaves_nothing_behind(scripts: tuple[Scripts, Elihu]):
    started, app = scripts
    output = started.run(
        """
        import threading

        asyncio.run(t.aenqueue(1))
        t.enqueue(2)
        app.run(app.jobs.count())
        asyncio.run(app.aclose())
        for thread in threading.enumerate():
            if thread is not threading.main_thread():
                thread.join(5)
        print(threading.active_count())
        t.enqueue(3)
        app.run(app.aclose())
        """
    )
    assert output.split() == ["1"]
    assert numbers(app) == [1, 2, 3]


def test_a_coroutine_that_exits_does_so_in_its_caller_and_the_app_stays_usable(
    scripts: tuple[Scripts, Elihu],
):
    started, app = scripts
    output = started.run(
        """
        async def main():
            await t.aenqueue(1)
            sys.exit(3)

        try:
            app.run(main())
        except SystemExit as end:
            print(end.code)
        t.enqueue(2)
        """
    )
    assert output.split() == ["3"]
    assert numbers(app) == [1, 2]


def test_a_script_that_fails_ends_with_its_own_error(scripts: tuple[Scripts, Elihu]):
    start, app = scripts
    process = start.start("t.enqueue(1)\nraise SystemExit('mine')")
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (1, "mine\n")
    assert numbers(app) == [1]


def test_a_script_forks_before_and_after_it_enqueues(scripts: tuple[Scripts, Elihu]):
    start, app = scripts
    body = """
        def child(number):
            pid = os.fork()
            if pid == 0:
                t.enqueue(number)
                sys.exit(0)
            assert os.waitpid(pid, 0)[1] == 0

        child(1)
        t.enqueue(2)
        child(3)
        t.enqueue(4)
    """
    start.run(body)
    assert numbers(app) == [1, 2, 3, 4]


def test_a_pool_of_forked_workers_enqueues(scripts: tuple[Scripts, Elihu]):
    start, app = scripts
    body = """
        from multiprocessing import get_context

        def work(number):
            return t.enqueue(number).conflict

        t.enqueue(0)
        with get_context("fork").Pool(2) as pool:
            print(pool.map(work, range(20)).count(False))
    """
    assert start.run(body) == "19\n"
    assert numbers(app) == list(range(20))


def test_processes_that_store_the_same_unique_jobs_make_each_once(scripts: tuple[Scripts, Elihu]):
    start, app = scripts
    body = """
        async def main():
            async with app:
                single = await asyncio.gather(*(t.aenqueue(number) for number in range(40)))
                bulk = await app.enqueue_many(t.build(number) for number in range(40, 400))
                print(sum(not job.conflict for job in single), bulk.inserted)
        asyncio.run(main())
    """
    processes = [start.start(body) for _ in range(3)]
    counts = [tuple(map(int, finished(process).split())) for process in processes]
    assert [sum(of) for of in zip(*counts, strict=True)] == [40, 360]
    assert numbers(app) == list(range(400))
