"""Figures for Prometheus, read by its own parser, and the dashboard that shows them."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from elihu import Elihu
from elihu.telemetry import prometheus
from elihu.telemetry.measures import MEASURES
from tests.support import EventRecorder

OPERATE = Path(__file__).parents[2] / "docs" / "operate"


def samples(registry: CollectorRegistry) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Name → labels → value."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for each in family.samples:
            found.setdefault(each.name, {})[tuple(sorted(each.labels.items()))] = each.value
    return found


async def test_jobs_are_counted(app: Elihu):
    registry = CollectorRegistry()
    prometheus.instrument(app, registry=registry, interval=0.05)
    events = EventRecorder(app)

    @app.task(name="good")
    async def good() -> None: ...

    @app.task(name="bad", max_attempts=1)
    async def bad() -> None:
        raise ValueError

    async with app.running({"default": 3}):
        await (await good.asubmit()).aresult(timeout=20)
        with pytest.raises(ValueError):  # noqa: PT011
            await (await bad.asubmit()).aresult(timeout=20)
        stored = (("queue", "default"), ("state", "completed"))
        await events.until(lambda: samples(registry).get("elihu_jobs_stored", {}).get(stored) == 1)
        during = samples(registry)
        assert during["elihu_leader"] == {(): 1}
        assert during["elihu_listening"] == {(): 1}
        assert during["elihu_queue_slots"] == {(("queue", "default"),): 3}
    found = samples(registry)
    ended = {
        (labels["task"], labels["outcome"], labels["state"]): value
        for labels, value in (
            (dict(pairs), value) for pairs, value in found["elihu_jobs_ended_total"].items()
        )
    }
    assert ended == {("good", "completed", "completed"): 1, ("bad", "failed", "discarded"): 1}
    of_good = (("queue", "default"), ("task", "good"))
    assert found["elihu_jobs_started_total"][of_good] == 1
    assert found["elihu_job_duration_seconds_count"][of_good] == 1
    assert found["elihu_job_wait_seconds_count"][of_good] == 1
    assert found["elihu_jobs_running"] == {(("queue", "default"),): 0}
    assert found["elihu_engine_duration_seconds_count"][("verb", "exchange"),] > 0
    assert found["elihu_queue_slots"] == {(("queue", "default"),): 0}


def exposed() -> set[str]:
    """The name of every sample that there can be."""
    names: set[str] = set()
    for each in MEASURES:
        name = prometheus.metric_name(each)
        match each.kind:
            case "counter":
                names.add(f"{name}_total")
            case "gauge":
                names.add(name)
            case "histogram":
                names |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    return names


def test_the_dashboard_shows_figures_that_there_are():
    board = json.loads((OPERATE / "grafana-dashboard.json").read_text())
    texts = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    assert len(texts) >= 10
    used = {name for text in texts for name in re.findall(r"\belihu_\w+", text)}
    assert used <= exposed(), used - exposed()
    labels = {label for each in MEASURES for label in each.labels} | {"le", "instance"}
    by = {
        label.strip()
        for text in texts
        for group in re.findall(r"by \(([^)]*)\)", text)
        for label in group.split(",")
    }
    assert by <= labels
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    assert all(panel["title"] and panel["gridPos"]["w"] <= 24 for panel in board["panels"])


def test_every_figure_is_documented():
    page = (OPERATE / "logging-and-metrics.md").read_text()
    for each in MEASURES:
        name = prometheus.metric_name(each) + ("_total" if each.kind == "counter" else "")
        labels = " ".join(f"`{label}`" for label in each.labels) or "none"
        assert f"| `{each.name}` | `{name}` | {labels} | {each.about} |" in page
