"""The example examples/filescan, on both engines: every kind of file, the totals, runs
that repeat, and `elihu up` as users start it.
"""

import asyncio
import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest

import filescan.examine
from elihu import Elihu
from elihu.telemetry.events import JobStopped
from filescan.app import app, scan
from filescan.paths import read_path, write_path
from tests.fixtures.warm import Warm

EXAMPLE = Path(__file__).parents[2] / "examples" / "filescan"
BOUND = 30.0


class Row(NamedTuple):
    """A row of the example's table."""

    size: int | None
    sha256: str | None
    lines: int | None
    error: str | None


CONTENTS: dict[bytes, tuple[bytes, int | None]] = {
    b"a.txt": (b"one\ntwo\n", 2),
    b"copy/a again.txt": (b"one\ntwo\n", 2),
    b"no end.txt": (b"one\ntwo\nthree", 3),
    b"windows.txt": (b"one\r\ntwo\r\n", 2),
    b"empty": (b"", 0),
    b"copy/empty too": (b"", 0),
    b"bytes.bin": (bytes(range(256)), None),
    b"large.txt": (b"x\n" * 100_000, 100_000),
    b"copy/deep/large.bin": (b"\0" * 2_500_000, None),
    b"latin1-caf\xe9.txt": ("café\n".encode("latin-1"), 1),
    "ünïcode %41\nname".encode(): (b"\n\n\n", 3),
}
UNREADABLE = b"unreadable.txt"
TOTALS = {
    "files": "11",
    "bytes": f"{8 + 8 + 13 + 10 + 256 + 200_000 + 2_500_000 + 5 + 3:,}",
    "lines": "100,013 in 9 text files",
    "duplicates": "1 (8 bytes)",
    "failures": "1",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with every kind of file."""
    folder = tmp_path / "folder"
    for name, (content, _) in CONTENTS.items():
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "nothing in it").mkdir()
    for left_out in ("site-packages", "copy/deep/__pycache__"):
        (folder / left_out).mkdir()
        (folder / left_out / "left out.txt").write_text("left out")
    (folder / "loop").symlink_to(folder)
    (folder / "link").symlink_to("a.txt")
    (folder / "dangling").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    unreadable = folder / os.fsdecode(UNREADABLE)
    unreadable.write_bytes(b"secret")
    unreadable.chmod(0)
    if os.geteuid() == 0:  # whom no mode shuts out
        monkeypatch.setattr(filescan.examine, "read_path", lambda text: refuse(read_path(text)))
    return folder


def refuse(path: str) -> str:
    if path.endswith(os.fsdecode(UNREADABLE)):
        raise PermissionError(13, "Permission denied", path)
    return path


@pytest.fixture
async def scanner(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Elihu]:
    """The example's app on an empty database."""
    monkeypatch.chdir(EXAMPLE)
    app.override(database_url=database_url)
    await app.migrate()
    yield app
    await app.aclose()


async def stored(database_url: str, number: int) -> dict[str, Row]:
    """What the example wrote about a scan, read past it."""
    select = "SELECT path, size, sha256, lines, error FROM filescan_file WHERE scan = "
    if database_url.startswith("sqlite"):
        connection = sqlite3.connect(database_url.removeprefix("sqlite:///"))
        rows = connection.execute(f"{select}?", (number,)).fetchall()
        connection.close()
    else:
        postgres = await asyncpg.connect(database_url)
        rows = await postgres.fetch(f"{select}$1", number)
        await postgres.close()
    return {path: Row(*values) for path, *values in rows}


def expected_rows(folder: Path) -> dict[str, Row]:
    rows = {
        write_path(f"{folder}/{os.fsdecode(name)}"): Row(
            len(content), hashlib.sha256(content).hexdigest(), lines, None
        )
        for name, (content, lines) in CONTENTS.items()
    }
    rows[write_path(f"{folder}/{os.fsdecode(UNREADABLE)}")] = Row(
        None, None, None, "PermissionError: Permission denied"
    )
    return rows


def read_report(text: str) -> dict[str, str]:
    """The lines of a report by their names."""
    return dict(re.findall(r"^  (\w+) +(.*)$", text, re.MULTILINE))


async def wait_for_end(app: Elihu, task: str, state: str, times: int = 1) -> None:
    """Return when jobs of this task ended in this state, counted from now."""
    ended = asyncio.Semaphore(0)

    def look(event: JobStopped) -> None:
        if event.task == task and event.state == state:
            ended.release()

    ended_with = app.on(JobStopped, look)
    async with asyncio.timeout(BOUND):
        for _ in range(times):
            await ended.acquire()
    ended_with()


async def run_scan(app: Elihu, folder: Path) -> int:
    """Scan once, with a node of its own; the number of the scan."""
    async with app.running():
        report = asyncio.create_task(wait_for_end(app, "filescan.report", "completed"))
        job = await scan.aenqueue(str(folder))
        await report
    return job.id


async def test_every_file_is_examined_and_counted(
    scanner: Elihu, folder: Path, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    number = await run_scan(scanner, folder)
    assert await stored(database_url, number) == expected_rows(folder)
    text = capsys.readouterr().out
    assert f"scan {number} of {folder} has ended" in text
    report = read_report(text)
    assert {name: report[name] for name in TOTALS} == TOTALS
    assert report["largest"] == f"{write_path(str(folder))}/copy/deep/large.bin (2,500,000 bytes)"
    assert f"{write_path(str(folder))}/unreadable.txt: PermissionError: Permission denied" in text
    assert await scanner.jobs.count(task="filescan.examine_small", state="completed") == 10
    assert await scanner.jobs.count(task="filescan.examine_large", state="completed") == 2


async def test_jobs_that_run_twice_change_nothing(
    scanner: Elihu, folder: Path, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    number = await run_scan(scanner, folder)
    first = read_report(capsys.readouterr().out)
    async with scanner.running():
        report = asyncio.create_task(wait_for_end(scanner, "filescan.report", "completed"))
        await scanner.jobs.retry(number)
        await report
    assert await scanner.jobs.count(task="filescan.examine_small", state="completed") == 20
    assert await stored(database_url, number) == expected_rows(folder)
    again = read_report(capsys.readouterr().out)
    assert {**again, "duration": ""} == {**first, "duration": ""}


async def test_what_is_no_folder_is_discarded(scanner: Elihu, tmp_path: Path) -> None:
    async with scanner.running():
        ended = asyncio.create_task(wait_for_end(scanner, "filescan.scan", "discarded"))
        job = await scan.aenqueue(str(tmp_path / "nowhere"))
        await ended
    assert (await scanner.jobs.get(job.id)).reason == (
        f"expected a folder, got '{tmp_path}/nowhere': FileNotFoundError: No such file or directory"
    )


async def test_jobs_that_end_unfinished_are_failures(
    scanner: Elihu, folder: Path, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    scanner.override(database_url=database_url, queues={"default": 2, "small": 8})
    async with scanner.running():
        snoozed = asyncio.create_task(wait_for_end(scanner, "filescan.report", "scheduled"))
        await scan.aenqueue(str(folder))
        await snoozed
        report = asyncio.create_task(wait_for_end(scanner, "filescan.report", "completed"))
        assert await scanner.jobs.cancel(queue="large", state="available") == 2
        await report
    text = capsys.readouterr().out
    assert read_report(text)["failures"] == "3"
    assert "2 jobs were discarded or cancelled" in text


async def test_nodes_that_start_together_scan_once(
    scanner: Elihu, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILESCAN_FOLDER", str(folder))
    report = asyncio.create_task(wait_for_end(scanner, "filescan.report", "completed"))
    async with scanner.running(), scanner.running():
        await report
    async with scanner.running():
        assert await scanner.jobs.count(task="filescan.scan") == 1
    assert await scanner.jobs.count(tags="scan-1") == len(expected_rows(folder))


@dataclass
class Served:
    """`elihu up` as a process, and what it prints."""

    process: subprocess.Popen[str]

    def wait_for(self, text: str) -> str:
        """Read until a line that contains the text; everything read. The watchdog of
        `serving` bounds it.
        """
        assert self.process.stdout is not None
        read = ""
        for line in self.process.stdout:
            read += line
            if text in line:
                return read
        raise AssertionError(f"expected {text!r}, got\n{read}")

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        assert self.process.stdout is not None
        self.process.stdout.read()
        return self.process.wait(BOUND)


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A copy of the example, so that its database is elsewhere."""
    return Path(
        shutil.copytree(
            EXAMPLE, tmp_path / "example", ignore=shutil.ignore_patterns("*.db*", "__pycache__")
        )
    )


def environment(**more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ELIHU_")}
    return {**clean, "NO_COLOR": "1", "ELIHU_WEB__PORT": "0", **more}


@contextmanager
def serving(elihu: Path, example: Path, **variables: str) -> Iterator[Served]:
    with subprocess.Popen(
        [elihu, "up"],
        cwd=example,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        watchdog = threading.Timer(BOUND, process.kill)
        watchdog.start()
        yield Served(process)
        watchdog.cancel()
        process.kill()


@pytest.mark.timeout(4 * BOUND)
def test_up_scans_once_and_again_when_asked(
    folder: Path, example: Path, database_url: str, warm: Warm
) -> None:
    elihu = warm.bin / "elihu"
    variables = {"FILESCAN_FOLDER": str(folder)}
    if not database_url.startswith("sqlite"):  # else what elihu.toml and its folder say
        variables["ELIHU_DATABASE_URL"] = database_url
    with serving(elihu, example, **variables) as served:
        report = read_report(served.wait_for("duration"))
        assert (report["files"], report["lines"]) == (
            ("12", "100,014 in 10 text files") if os.geteuid() == 0 else ("11", TOTALS["lines"])
        )
        assert served.interrupt() == 0
    with serving(elihu, example, **variables) as served:
        assert f"scan 1 of {folder} is completed" in served.wait_for("FILESCAN_AGAIN")
        enqueue = [
            str(elihu),
            "enqueue",
            "filescan.scan",
            "--args",
            json.dumps([str(folder)]),
        ]
        done = subprocess.run(
            enqueue,
            cwd=example,
            env=environment(**variables),
            capture_output=True,
            text=True,
            timeout=BOUND,
            check=True,
        )
        text = served.wait_for("duration")
        assert f"scan {done.stdout.strip()} of {folder} has ended" in text
        assert read_report(text)["files"] == report["files"]
        assert served.interrupt() == 0
    with serving(elihu, example, FILESCAN_AGAIN="1", **variables) as served:
        assert read_report(served.wait_for("duration"))["files"] == report["files"]
        assert served.interrupt() == 0


def test_paths_are_text_and_come_back() -> None:
    for name in [*CONTENTS, b"\xff\xfe %", b"%41"]:
        path = os.fsdecode(b"/srv/" + name)
        text = write_path(path)
        assert text.isascii()
        assert text.isprintable()
        assert read_path(text) == path
