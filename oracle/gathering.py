"""Collects the evidence of an experiment from journals, effects and the database."""

import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path

from elihu.job import JobState
from oracle.checks.faults import CLOCKS
from oracle.evidence import Answer, Attempt, Evidence, Removal
from oracle.progress import Progress
from oracle.recording import Database


async def gather(evidence: Evidence, progress: Progress, folder: Path, database: Database) -> None:
    """Add to the evidence all that processes wrote and the database holds."""
    _gather_intents(evidence, progress)
    _gather_nodes(evidence, progress)
    ends = {(line["id"], line["claim"]): line["at"] for line in progress.lines("end")}
    evidence.attempts += [
        Attempt(
            line["id"],
            line["claim"],
            line["key"],
            line["pid"],
            line["node"],
            line["at"],
            ends.get((line["id"], line["claim"])),
        )
        for line in progress.lines("begin")
    ]
    evidence.effects += _effects(folder)
    await database.read(evidence)
    _gather_children(evidence, progress)


def _effects(folder: Path) -> list[tuple[int, int, str]]:
    effects: list[tuple[int, int, str]] = []
    for path in folder.glob("effects-*.db"):
        with closing(sqlite3.connect(path)) as connection:
            effects += connection.execute("SELECT id, claim, key FROM effect").fetchall()
    return effects


def _gather_intents(evidence: Evidence, progress: Progress) -> None:
    intents = progress.lines("intent")
    evidence.intended |= {line["key"] for line in intents}
    evidence.bound |= {line["key"] for line in intents if line.get("beside")}
    evidence.once |= {line["key"] for line in intents if line.get("once")}
    evidence.timed |= {line["key"] for line in intents if line.get("timed")}
    evidence.awaited |= {line["key"] for line in intents if line.get("awaited")}
    evidence.answers += [
        Answer(line["key"], line["right"], line["got"]) for line in progress.lines("answer")
    ]
    evidence.acknowledged += [(line["key"], line["id"]) for line in progress.lines("acknowledged")]


def _gather_nodes(evidence: Evidence, progress: Progress) -> None:
    evidence.nodes |= {
        line["node"]: line["pid"] for kind in ("node", "rejoined") for line in progress.lines(kind)
    }
    evidence.removals += [
        Removal(line["removed"], line["at"])
        for kind in ("removed", "rejoined")
        for line in progress.lines(kind)
    ]
    evidence.elections += [(line["at"], line["node"]) for line in progress.lines("elected")]


def _gather_children(evidence: Evidence, progress: Progress) -> None:
    """What child processes wrote. They do not know the claims of their attempts: the
    claim is the last that their node had made and no other line names. A stopped
    attempt whose child started late may begin after the next.
    """
    made: defaultdict[tuple[int, int | None], list[tuple[float, int, str]]] = defaultdict(list)
    for change in evidence.changes:
        if change.after == JobState.EXECUTING and change.node:
            made[change.job_id, evidence.nodes.get(change.node)].append(
                (change.at, change.claim, change.node)
            )
    ends = {
        (line["id"], line["pid"], line["begun"]): line["at"] for line in progress.lines("child end")
    }
    claims: dict[tuple[int, int, float], int] = {}
    for line in sorted(progress.lines("child begin"), key=lambda line: line["at"]):
        which = line["id"], line["pid"], line["begun"]
        mine = made[line["id"], line["node_pid"]]
        _, claim, node = before = next(
            each for each in reversed(mine) if each[0] <= line["at"] + CLOCKS
        )
        mine.remove(before)
        claims[which] = claim
        evidence.attempts.append(
            Attempt(
                line["id"],
                claim,
                line["key"],
                line["node_pid"],
                node,
                line["at"],
                ends.get(which),
            )
        )
    evidence.effects += [
        (line["id"], claims[line["id"], line["pid"], line["begun"]], line["key"])
        for line in progress.lines("child effect")
    ]
