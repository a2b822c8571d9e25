"""Programs whose own file declares process tasks."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

HEAD = """
import asyncio, sys
from elihu import Elihu

app = Elihu(sys.argv[1], poll=0.2, poll_fallback=0.2)

class Boom(Exception): ...

@app.task(run_in="process", record=True)
def double(number: int) -> int:
    return 2 * number

@app.task(run_in="process", discard_on=Boom)
def fails() -> None:
    raise Boom("on purpose")

async def main(*jobs):
    async with app, app.running({"default": 1}):
        stored = [await app.aenqueue(job) for job in jobs]
        async with asyncio.timeout(40):
            while await app.jobs.count(state=["available", "executing"]):
                await asyncio.sleep(0.05)
        for job in stored:
            seen = await app.jobs.get(job.id)
            print(seen.task, seen.state, seen.result, seen.reason)
"""


def run(folder: Path, url: str, body: str) -> list[str]:
    """The lines that the program prints."""
    (folder / "shop.py").write_text(HEAD + textwrap.dedent(body), "utf-8")
    done = subprocess.run(
        [sys.executable, "shop.py", url],
        cwd=folder,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=50,
    )
    return done.stdout.splitlines()


def test_a_program_is_imported_under_the_name_of_its_file(tmp_path: Path, sqlite_url: str):
    lines = run(
        tmp_path,
        sqlite_url,
        """
        if __name__ == "__main__":
            asyncio.run(main(double.build(4), fails.build()))
        """,
    )
    assert lines == ["shop.double completed 8 None", "shop.fails discarded None Boom: on purpose"]


def test_a_program_that_runs_when_it_is_imported_is_refused_in_the_child(
    tmp_path: Path, sqlite_url: str
):
    (line,) = run(tmp_path, sqlite_url, "asyncio.run(main(double.build(4)))")
    assert line.startswith(
        "shop.double retryable None NotImportable: expected a module 'shop' that a fresh "
        "interpreter can import, got"
    )
    assert "ProcessError" in line
    assert 'if __name__ == "__main__"' in line


@pytest.mark.parametrize("how", ["-c", "-"])
def test_what_no_import_reaches_is_refused_when_declared(how: str):
    program = "from elihu import Elihu\napp = Elihu()\n@app.task(run_in='process')\ndef t(): ..."
    command = [sys.executable, how, program] if how == "-c" else [sys.executable, how]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=50, input=program
    )
    assert done.returncode == 1
    *_, last = done.stderr.splitlines()
    assert last.startswith("elihu.errors.InvalidTask: task ")
    assert last.endswith("got one of the program itself, which is not an importable file")
