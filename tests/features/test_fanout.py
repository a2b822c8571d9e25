"""The example examples/fanout, on both engines: the endpoint here, the nodes in
processes of their own.
"""

import argparse
import asyncio
import inspect
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fanout.app import WORD, app, count, split
from fanout.web import api

EXAMPLE = Path(__file__).parents[2] / "examples" / "fanout"
BOUND = 40.0


@pytest.fixture
async def web(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    """The web process, with the example's app on this test's database."""
    monkeypatch.setenv("ELIHU_DATABASE_URL", database_url)
    app.override(database_url=database_url)
    async with app:
        await app.migrate()
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(api), base_url="http://web"
        ) as client:
            yield client


async def start_node() -> asyncio.subprocess.Process:
    """`elihu start` in the example's folder, when it runs."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ELIHU_") or name == "ELIHU_DATABASE_URL"
    }
    node = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "elihu",
        "start",
        cwd=EXAMPLE,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert node.stdout
    async with asyncio.timeout(BOUND):
        async for line in node.stdout:
            if b" node  " in line:
                break
    return node


async def test_the_parts_are_counted_in_other_processes(web: httpx.AsyncClient):
    nodes = [await start_node(), await start_node()]
    try:
        answer = (await web.get("/words/argparse", params={"parts": 16, "within": 20})).json()
        jobs = (await app.jobs.list()).items
    finally:
        for node in nodes:
            node.terminate()
        await asyncio.gather(*(node.communicate() for node in nodes))  # its pipe ends too
    expected = Counter(WORD.findall(inspect.getsource(argparse).lower()))
    assert (answer["parts"], answer["counted"], answer["missing"]) == (16, 16, {})
    assert answer["words"] == dict(expected.most_common(20))
    assert [(job.state, job.node is None) for job in jobs] == [("completed", False)] * 16


async def test_it_answers_in_time_with_what_is_there(web: httpx.AsyncClient):
    answer: dict[str, Any] = (
        await web.get("/words/this", params={"parts": 4, "within": 0.2})
    ).json()
    assert (answer["parts"], answer["counted"], answer["words"]) == (4, 0, {})
    assert all("did not end within 0.2 s" in reason for reason in answer["missing"].values())
    assert await app.jobs.count(state="available") == 4


async def test_bad_input(web: httpx.AsyncClient):
    for module, status in (("nosuchmodule", 404), ("sys", 404), ("os.path", 404)):
        assert (await web.get(f"/words/{module}")).status_code == status
    for wrong in ({"parts": 0}, {"within": -1}, {"within": "soon"}):
        assert (await web.get("/words/this", params=wrong)).status_code == 422
    assert await app.jobs.count() == 0


def test_the_text_is_split_without_loss():
    text = "".join(f"line {n}\n" for n in range(10))
    for parts in (1, 3, 10, 64):
        pieces = list(split(text, parts))
        assert "".join(pieces) == text
        assert len(pieces) <= parts
    assert list(split("", 3)) == []
    assert count("One one two, three3") == {"one": 2, "two": 1, "three": 1}
