"""The log of a node: one line for each record, wherever a task runs and whatever the app
configures.
"""

import json
import re
import signal
from collections import Counter

import pytest

from tests.cli.shell import Process, Shell

TASKS = """
import logging
from contextlib import asynccontextmanager
from elihu import Context, Elihu

log = logging.getLogger("shop")
{at_import}

@asynccontextmanager
async def lifespan(app):
    {in_lifespan}
    logging.getLogger("shop.lifespan").warning("lifespan entered")
    yield

app = Elihu(lifespan=lifespan, queues={{"default": 1}})

def speak(ctx, where):
    log.debug("debug of %s", where)
    log.info("info of %s", where, extra={{"shelf": 7}})
    log.warning("warning of %s", where)
    ctx.log.info("kept line of %s", where)
    logging.getLogger("library.part").warning("library of %s", where)
    raise ValueError(f"failure of {{where}}")

logging.getLogger("library").addHandler(logging.NullHandler())

@app.task(name="loop", max_attempts=1)
async def loop(*, ctx: Context):
    speak(ctx, "loop")

@app.task(name="thread", max_attempts=1)
def thread(*, ctx: Context):
    speak(ctx, "thread")

@app.task(name="process", max_attempts=1, run_in="process")
def process(*, ctx: Context):
    speak(ctx, "process")

@app.task(name="over")
async def over():
    print("all ran", flush=True)
"""

DICT = """
import logging.config
logging.config.dictConfig({
    "version": 1,
    "formatters": {"own": {"format": "own|%(levelname)s|%(name)s|%(message)s"}},
    "handlers": {"own": {"class": "logging.StreamHandler", "formatter": "own"}},
    "root": {"level": "INFO", "handlers": ["own"]},
    "loggers": {"shop": {}},
})
"""
OWN = """
handler = logging.StreamHandler()
handler.setFormatter(logging.Formatter("own|%(levelname)s|%(name)s|%(message)s"))
log.addHandler(handler)
"""
ERRORS = """
handler = logging.FileHandler("errors.log")
handler.setLevel("ERROR")
logging.root.addHandler(handler)
"""
BASIC = 'logging.basicConfig(level="INFO", format="own|%(levelname)s|%(name)s|%(message)s")'

WAYS = {
    "nothing": ("", ""),
    "basicConfig at import": (BASIC, ""),
    "basicConfig in the lifespan": ("", BASIC),
    "dictConfig with its defaults at import": (DICT, ""),
    "dictConfig with its defaults in the lifespan": ("", DICT),
    "a handler of its own": (OWN, ""),
    "a handler for errors alone": (ERRORS, ""),
}
PLACES = ("loop", "thread", "process")
LINES = (
    "info of X",
    "warning of X",
    "kept line of X",
    "library of X",
    "failed in attempt 1 of 1 and is discarded: ValueError: failure of X",
)


def ran(bare: Shell, at_import: str, in_lifespan: str, *flags: str) -> Process:
    """A node that has run one task of each kind, and has stopped."""
    (bare.folder / "shop.py").write_text(
        TASKS.format(at_import=at_import, in_lifespan=in_lifespan.replace("\n", "\n    ") or "pass")
    )
    bare.environ["ELIHU_APP"] = "shop:app"
    bare("migrate")
    for name in (*PLACES, "over"):
        bare("enqueue", name)
    node = bare.begin("start", *flags)
    node.wait_for("all ran")
    node.signal(signal.SIGTERM)
    assert node.end() == 0
    return node


def form(line: str, place: str) -> str:
    """The line without what differs between two jobs."""
    line = re.sub(r"\b(job_id=|job )\d+", r"\1N", line)
    return re.sub(r"^[\d-]+ [\d:,]+", "TIME", line.replace(place, "X"))


@pytest.mark.parametrize(
    "way", [pytest.param(way, marks=[pytest.mark.more] * (way != "nothing")) for way in WAYS]
)
def test_each_record_is_one_line_in_the_same_form_everywhere(bare: Shell, way: str) -> None:
    node = ran(bare, *WAYS[way])
    lines = node.errors.splitlines()
    shown = {
        place: Counter(
            form(line, place)
            for line in lines
            if line.endswith(f" of {place}") and not line.startswith("ValueError: ")
        )
        for place in PLACES
    }
    expected: tuple[str, ...] = LINES
    if way == "a handler for errors alone":
        kept = (bare.folder / "errors.log").read_text()
        counts = [kept.count(f"is discarded: ValueError: failure of {each}") for each in PLACES]
        assert counts == [1, 1, 1]
        expected = LINES[:-1]
    assert shown["loop"] == shown["thread"] == shown["process"], node.errors
    assert set(shown["loop"].values()) == {1}
    assert len(shown["loop"]) == len(expected), node.errors
    assert all(any(text in line for line in shown["loop"]) for text in expected)
    if way != "a handler for errors alone":
        assert node.errors.count("Traceback (most recent call last)") == 3
        assert node.errors.count("in speak\n") == 3
    entered = [form(line, "none") for line in lines if "lifespan entered" in line]
    assert len(entered) == 2, "in the node and in the child"
    assert entered[0] == entered[1]
    if way == "nothing":
        assert all(
            "[job_id=N task=X attempt=1 queue=default node=" in line for line in shown["loop"]
        )


def test_json_lines(bare: Shell) -> None:
    node = ran(bare, BASIC, "", "--log-format", "json", "--log-level", "DEBUG")
    logged = [json.loads(line) for line in node.errors.splitlines()]
    status = [json.loads(line) for line in node.seen if line != "all ran\n"]
    assert [each["logger"] for each in status] == ["elihu.status"] * len(status)
    assert status[0]["message"] == "app: shop:app (4 tasks)"
    for number, place in enumerate(PLACES, 1):
        about = {"job_id": number, "task": place, "attempt": 1, "queue": "default"}
        of = [each for each in logged if each["message"].endswith(f" of {place}")]
        assert len(of) == len(LINES) + 1
        assert all(about.items() <= each.items() and each["node"] for each in of)
        assert [each["level"] for each in of if each["message"].startswith("debug")] == ["DEBUG"]
        assert [each["shelf"] for each in of if each["message"].startswith("info")] == [7]
        (failed,) = (each for each in of if each["level"] == "ERROR")
        assert "in speak\n" in failed["traceback"]
        assert {"time", "level", "logger", "message"} <= failed.keys()


def test_a_wrong_level_is_refused(bare: Shell) -> None:
    assert "--log-level" in bare.refused("start", "--log-level", "loud", status=2)
    bare.environ |= {"ELIHU_LOG_LEVEL": "loud", "ELIHU_APP": "shop:app"}
    assert 'log_level: expected "debug"' in bare.refused("start", status=1)
