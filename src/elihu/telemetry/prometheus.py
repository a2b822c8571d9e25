"""Figures for Prometheus. Needs ``elihu[prometheus]``."""

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from elihu.telemetry.measures import BUCKETS, MEASURES, App, Measure, Measurements


def instrument(app: App, *, registry: CollectorRegistry = REGISTRY, interval: float = 15.0) -> None:
    """Keep figures of the app's nodes in this process in ``registry``. Serve them with
    ``prometheus_client``, such as ``start_http_server(9100)``, and scrape every node.

    ``interval`` is how many seconds the leader waits between two counts of the stored jobs;
    a count of a large table that takes long is made less often.
    """
    Measurements(app, _Registry(registry), interval=interval)


def metric_name(measure: Measure) -> str:
    """The name of a measure in Prometheus, without the ``_total`` of a counter."""
    name = measure.name.replace(".", "_")
    return f"{name}_seconds" if measure.unit == "s" else name


class _Registry:
    """The figures in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for each in MEASURES:
            name, labels = metric_name(each), each.labels
            match each.kind:
                case "counter":
                    self._counters[each.name] = Counter(name, each.about, labels, registry=registry)
                case "gauge":
                    self._gauges[each.name] = Gauge(name, each.about, labels, registry=registry)
                case "histogram":
                    self._histograms[each.name] = Histogram(
                        name, each.about, labels, registry=registry, buckets=BUCKETS
                    )

    def add(self, measure: Measure, amount: float, **labels: str) -> None:
        counter = self._counters[measure.name]
        (counter.labels(**labels) if labels else counter).inc(amount)

    def record(self, measure: Measure, value: float, **labels: str) -> None:
        histogram = self._histograms[measure.name]
        (histogram.labels(**labels) if labels else histogram).observe(value)

    def set(self, measure: Measure, value: float, **labels: str) -> None:
        gauge = self._gauges[measure.name]
        (gauge.labels(**labels) if labels else gauge).set(value)

    def clear(self, measure: Measure) -> None:
        self._gauges[measure.name].clear()
