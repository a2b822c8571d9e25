"""Traces and metrics, by the SDK of OpenTelemetry."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from elihu import Elihu, JobDiscarded, Snooze
from elihu.telemetry import otel
from elihu.telemetry.measures import MEASURES
from tests.support import QUICK, make_tables
from tests.telemetry import traced


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> Iterator[TracerProvider]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider
    provider.shutdown()


@pytest.fixture
async def traced_app(database_url: str, exporter: InMemorySpanExporter) -> AsyncIterator[Elihu]:
    """The app that children import, on the database of the test."""
    await make_tables(database_url)
    traced.provider.add_span_processor(SimpleSpanProcessor(exporter))
    before = traced.app.config
    traced.app.override(database_url=database_url, **QUICK)
    yield traced.app
    await traced.app.aclose()
    traced.app.config = before


def span_id(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context
    return context.span_id


def trace_id(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context
    return context.trace_id


async def test_the_context_of_an_enqueue_reaches_every_kind_of_task(
    traced_app: Elihu, exporter: InMemorySpanExporter
):
    tracer = traced.provider.get_tracer("test")
    seen: dict[str, Any] = {}
    async with traced_app.running():
        with tracer.start_as_current_span("request") as request:
            relays = {
                task.name: await task.asubmit()
                for task in (traced.loop, traced.thread, traced.process)
            }
        for name, relay in relays.items():
            seen[name] = await relay.aresult(timeout=40)
    spans = exporter.get_finished_spans()
    assert {each for each, _ in seen.values()} == {f"{request.get_span_context().trace_id:032x}"}
    for name, (_, current) in seen.items():
        (create,) = (each for each in spans if of(each, name) and each.kind is SpanKind.PRODUCER)
        (process,) = (each for each in spans if of(each, name) and each.kind is SpanKind.CONSUMER)
        assert create.name == "create default"
        assert create.parent
        assert create.parent.span_id == request.get_span_context().span_id
        assert process.name == "process default"
        assert process.parent
        assert process.parent.span_id == span_id(create)
        assert f"{span_id(process):016x}" == current
        assert process.attributes
        assert {
            "messaging.system": "elihu",
            "messaging.operation.type": "process",
            "messaging.destination.name": "default",
            "messaging.message.id": str(relays[name].job.id),
            "elihu.attempt": 1,
            "elihu.outcome": "completed",
            "elihu.state": "completed",
        }.items() <= process.attributes.items()
        assert process.status.status_code is StatusCode.UNSET


def of(span: ReadableSpan, task: str) -> bool:
    return bool(span.attributes) and (span.attributes or {}).get("elihu.task") == task


async def test_a_retry_is_linked_and_a_failure_is_an_error(
    app: Elihu, exporter: InMemorySpanExporter, provider: TracerProvider
):
    otel.instrument(app, tracer_provider=provider)

    @app.task(name="flaky", max_attempts=2, backoff=0)
    async def flaky() -> None:
        raise ValueError("declined")

    async with app.running():
        relay = await flaky.using(meta={"shelf": 7}).asubmit()
        with pytest.raises((ValueError, JobDiscarded)):
            await relay.aresult(timeout=20, wait_retries=True)
    assert (await app.jobs.get(relay.job.id)).meta["shelf"] == 7
    create, first, second = exporter.get_finished_spans()
    assert first.parent
    assert first.parent.span_id == span_id(create)
    assert not first.links
    assert second.parent is None
    assert trace_id(second) != trace_id(create)
    assert [link.context.span_id for link in second.links] == [span_id(create)]
    for span, state in ((first, "retryable"), (second, "discarded")):
        assert span.status.status_code is StatusCode.ERROR
        assert span.attributes
        assert span.attributes["error.type"] == "ValueError"
        assert span.attributes["elihu.state"] == state
        assert [event.name for event in span.events] == ["exception"]


async def test_a_snooze_is_no_error_and_bulk_jobs_carry_a_context(
    app: Elihu, exporter: InMemorySpanExporter, provider: TracerProvider
):
    otel.instrument(app, tracer_provider=provider)
    snoozed = False

    @app.task(name="later", max_attempts=1)
    async def later() -> None:
        nonlocal snoozed
        if not snoozed:
            snoozed = True
            raise Snooze(0)

    await app.enqueue_many(later.using(hold=True).build() for _ in range(2))
    assert [each.kind for each in exporter.get_finished_spans()] == [SpanKind.PRODUCER] * 2
    assert all("traceparent" in job.meta for job in (await app.jobs.list()).items)
    exporter.clear()
    async with app.running():
        relay = await later.asubmit()
        await relay.aresult(timeout=20, wait_retries=True)
    runs = [each for each in exporter.get_finished_spans() if each.kind is SpanKind.CONSUMER]
    assert [(each.attributes or {})["elihu.outcome"] for each in runs] == ["snoozed", "completed"]
    assert [each.status.status_code for each in runs] == [StatusCode.UNSET] * 2


async def test_the_figures_are_instruments(app: Elihu):
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader])
    otel.instrument(app, meter_provider=meters)

    @app.task(name="t")
    async def t() -> None: ...

    async with app.running():
        await (await t.asubmit()).aresult(timeout=20)
    data = reader.get_metrics_data()
    assert data
    found = {
        metric.name: metric
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    meters.shutdown()
    known = {each.name: each for each in MEASURES}
    assert found.keys() <= known.keys()
    jobs = {f"elihu.jobs.{each}" for each in ("started", "ended", "running")}
    times = {f"elihu.{each}" for each in ("job.duration", "job.wait", "engine.duration")}
    assert jobs | times | {"elihu.queue.slots"} <= found.keys()
    assert all(metric.unit == known[name].unit for name, metric in found.items())
    (ended,) = found["elihu.jobs.ended"].data.data_points
    assert dict(ended.attributes or {}) == {
        "queue": "default", "task": "t", "outcome": "completed", "state": "completed",
    }  # fmt: skip
