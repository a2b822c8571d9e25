"""Traces and metrics for OpenTelemetry. Needs ``elihu[otel]`` and an SDK.

The span of an attempt begins with it and is current in its task, also in threads and in
child processes. The job carries the context of the code that enqueued it in its ``meta``.
The first attempt is a child of that context. A later one, which may run days after it,
begins a trace of its own that is linked to it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Protocol, TypeVar

from opentelemetry import context as contexts
from opentelemetry import metrics, propagate, trace
from opentelemetry.context import Context as OtelContext
from opentelemetry.metrics import Counter, Histogram, MeterProvider
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, TracerProvider

from elihu.context import Context
from elihu.job import FAILURES, NewJob
from elihu.telemetry import measures
from elihu.telemetry.events import Event, JobRaised, JobStarted, JobStopped, NodeRejoined
from elihu.telemetry.measures import BUCKETS, MEASURES, Measure, Measurements

E = TypeVar("E", bound=Event)

SYSTEM: Final = "elihu"


class App(measures.App, Protocol):
    """The app, as this module uses it."""

    @property
    def carriers(self) -> "list[Callable[[NewJob], Mapping[str, str]]]": ...
    def around(self, function: Any) -> Any: ...


def instrument(
    app: App,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    interval: float = 15.0,
) -> None:
    """Trace jobs from enqueue to their end, and measure them, with the global providers or
    these. Call it where the app is made, so that child processes do it too.

    ``interval`` is how many seconds the leader waits between two counts of the stored jobs.
    """
    _Traces(app, trace.get_tracer(SYSTEM, tracer_provider=tracer_provider))
    meter = metrics.get_meter(SYSTEM, meter_provider=meter_provider)
    Measurements(app, _Meter(meter), interval=interval)


class _Traces:
    """The spans of attempts that run, by job and claim."""

    def __init__(self, app: App, tracer: trace.Tracer) -> None:
        self._tracer = tracer
        self._spans: dict[tuple[int, int], tuple[Span, str]] = {}
        app.carriers.append(self._create)
        app.around(self._around)
        app.on(JobStarted, self._started)
        app.on(JobStopped, self._stopped)
        app.on(NodeRejoined, self._rejoined)

    def _create(self, new: NewJob) -> dict[str, str]:
        """Make the span of an enqueue, and return its context as texts."""
        span = self._tracer.start_span(
            f"create {new.queue}",
            kind=SpanKind.PRODUCER,
            attributes={**_operation("create", new.queue), "elihu.task": new.task},
        )
        carried: dict[str, str] = {}
        propagate.inject(carried, context=trace.set_span_in_context(span))
        span.end()
        return carried

    def _started(self, event: JobStarted) -> None:
        texts = {name: text for name, text in event.meta.items() if isinstance(text, str)}
        enqueued = propagate.extract(texts, context=OtelContext())
        origin = trace.get_current_span(enqueued).get_span_context()
        is_first = event.attempt == 1
        span = self._tracer.start_span(
            f"process {event.queue}",
            context=enqueued if is_first else OtelContext(),
            kind=SpanKind.CONSUMER,
            links=[Link(origin)] if origin.is_valid and not is_first else [],
            attributes={
                **_operation("process", event.queue),
                "messaging.message.id": str(event.job_id),
                "elihu.task": event.task,
                "elihu.attempt": event.attempt,
                "elihu.max_attempts": event.max_attempts,
                "elihu.node": event.node,
            },
        )
        current = trace.set_span_in_context(span, enqueued)
        # The handler runs in the attempt's own asyncio task, whose context ends with it.
        contexts.attach(current)
        propagate.inject(event.carrier, context=current)
        self._spans[event.job_id, event.claim] = span, event.node

    def _stopped(self, event: JobStopped) -> None:
        span, _ = self._spans.pop((event.job_id, event.claim), (None, ""))
        if span is None:
            return
        span.set_attribute("elihu.outcome", str(event.outcome))
        span.set_attribute("elihu.state", str(event.state))
        if isinstance(event, JobRaised) and event.error is not None:
            span.record_exception(event.error)
            span.set_attribute("error.type", type(event.error).__qualname__)
            span.set_status(Status(StatusCode.ERROR, str(event.error)))
        elif event.outcome in FAILURES:
            span.set_attribute("error.type", str(event.outcome))
            span.set_status(Status(StatusCode.ERROR, str(event.outcome)))
        span.end()

    def _rejoined(self, event: NodeRejoined) -> None:
        for key in [key for key, (_, node) in self._spans.items() if node == event.removed]:
            span, _ = self._spans.pop(key)
            span.set_status(Status(StatusCode.ERROR, "the node was removed"))
            span.end()

    @contextmanager
    def _around(self, ctx: Context) -> Iterator[None]:
        """Make the attempt's span the parent in a child process, which has no span yet."""
        if not ctx.carrier or trace.get_current_span().get_span_context().is_valid:
            yield
            return
        token = contexts.attach(propagate.extract(ctx.carrier))
        try:
            yield
        finally:
            contexts.detach(token)


def _operation(name: str, queue: str) -> dict[str, str]:
    return {
        "messaging.system": SYSTEM,
        "messaging.operation.name": name,
        "messaging.operation.type": name,
        "messaging.destination.name": queue,
    }


class _Meter:
    """The figures as instruments of one meter."""

    def __init__(self, meter: metrics.Meter) -> None:
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        self._gauges: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        for each in MEASURES:
            match each.kind:
                case "counter":
                    self._counters[each.name] = meter.create_counter(
                        each.name, each.unit, each.about
                    )
                case "histogram":
                    self._histograms[each.name] = meter.create_histogram(
                        each.name,
                        each.unit,
                        each.about,
                        explicit_bucket_boundaries_advisory=list(BUCKETS),
                    )
                case "gauge":
                    values = self._gauges[each.name] = {}
                    meter.create_observable_gauge(
                        each.name, [_observe(values)], each.unit, each.about
                    )

    def add(self, measure: Measure, amount: float, **labels: str) -> None:
        self._counters[measure.name].add(amount, labels)

    def record(self, measure: Measure, value: float, **labels: str) -> None:
        self._histograms[measure.name].record(value, labels)

    def set(self, measure: Measure, value: float, **labels: str) -> None:
        self._gauges[measure.name][tuple(labels.items())] = value

    def clear(self, measure: Measure) -> None:
        self._gauges[measure.name].clear()


def _observe(
    values: dict[tuple[tuple[str, str], ...], float],
) -> "Callable[[metrics.CallbackOptions], list[metrics.Observation]]":
    def observe(_: metrics.CallbackOptions) -> list[metrics.Observation]:
        return [metrics.Observation(value, dict(labels)) for labels, value in list(values.items())]

    return observe
