"""The code uses the words of the glossary: identifiers in ``src`` have no retired word."""

import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from elihu.engines.protocol import Engine

SRC = Path(__file__).parents[2] / "src"

RETIRED = {
    "allowance": "StartBudget",
    "bond": "parent_death",
    "bury": "remove_dead_node",
    "buried": "removed",
    "enlist": "register_node",
    "heard": "received",
    "hungry": "more_expected",
    "latecomers": "LateResults",
    "liveness": "Heartbeat",
    "lookout": "ResultPoller",
    "queuerule": "QueueOverride",
    "reborn": "NodeRejoined",
    "settle": "ack_for, forget or wait_idle",
    "settled": "wait_idle",
    "told": "AttemptReport, or what was reported",
    "touched": "BulkResult",
    "trouble": "FailureLog",
    "twin": "holder",
    "twins": "holders",
    "uncount": "refund_attempt",
    "verdicts": "ack_statuses",
    "wish": "intent",
}
"""Retired words, in lower case and as parts of identifiers, and what to write."""

RETIRED_TYPES = {
    "Attached": "AwaitedJob",
    "Contexts": "TemplateCheck",
    "Late": "LateResult",
    "Prepared": "ConfiguredTask",
    "Pulse": "HeartbeatReply",
    "Waiting": "PendingWaits",
    "Watch": "FailureDetector",
}
"""Retired names of classes, which are ordinary words elsewhere."""

RETIRED_MODULES = {
    "callers": "engines/in_transaction",
    "children": "runtime/attempts/processes",
    "cli/link": "cli/supervisor_link",
    "cli/loops": "cli/event_loop",
    "cli/opening": "cli/load_app",
    "cli/serve": "cli/start",
    "cli/steering": "cli/bulk",
    "cli/stops": "cli/signals",
    "cli/values": "cli/parse",
    "loop": "event_loop",
    "remote": "remote_errors",
    "runtime/attempts/processes/bond": "processes/parent_death",
    "runtime/attempts/processes/guard": "runtime/attempts/processes/import_guard",
    "runtime/attempts/processes/home": "runtime/attempts/processes/task_loader",
    "runtime/attempts/processes/origin": "runtime/attempts/processes/import_path",
    "runtime/attempts/processes/wire": "runtime/attempts/processes/protocol",
    "task/host": "task/enqueuer",
    "task/origin": "task/importable",
    "task/plain": "task/plain_json",
    "task/shape": "task/arguments",
    "task/walk": "task/json_paths",
    "text": "storable_text",
}
"""Retired modules and packages of ``elihu``."""

RETIRED_VERBS = {
    "beat": "heartbeat",
    "describe": "update_node_info",
    "identified": "get_by_identifier",
    "keep": "add_results",
    "retire": "deregister_node",
    "taken": "lost_claims",
}
"""Retired verbs of the engine, which are ordinary words elsewhere."""


def identifiers(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.NAME:
                yield token.start[0], token.string


def words(identifier: str) -> list[str]:
    """The words of an identifier, in lower case: of ``_NodeWatch``, node and watch."""
    found = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)
    return [word.lower() for word in found]


def test_an_identifier_is_split_into_its_words() -> None:
    assert words("_job_twin2") == ["job", "twin"]
    assert words("HTTPWatch") == ["http", "watch"]
    assert words("TOLD_AWAY") == ["told", "away"]


def test_no_identifier_has_a_retired_word() -> None:
    found = [
        f"{path.relative_to(SRC)}:{line}: {name}: write {RETIRED[word]}"
        for path in sorted(SRC.rglob("*.py"))
        for line, name in identifiers(path)
        for word in [*words(name), name.strip("_").lower()]
        if word in RETIRED
    ]
    found += [
        f"{path.relative_to(SRC)}:{line}: {name}: write {RETIRED_TYPES[name.strip('_')]}"
        for path in sorted(SRC.rglob("*.py"))
        for line, name in identifiers(path)
        if name.strip("_") in RETIRED_TYPES
    ]
    assert found == []


@pytest.mark.parametrize("module", RETIRED_MODULES)
def test_no_module_has_a_retired_name(module: str) -> None:
    path = SRC / "elihu" / module
    assert not path.with_suffix(".py").exists(), f"write {RETIRED_MODULES[module]}"
    assert not path.is_dir(), f"write {RETIRED_MODULES[module]}"


@pytest.mark.parametrize("verb", RETIRED_VERBS)
def test_the_engine_has_no_retired_verb(verb: str) -> None:
    assert not hasattr(Engine, verb), f"write {RETIRED_VERBS[verb]}"
