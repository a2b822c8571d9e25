"""An app whose children import it: instrumented as a program would."""

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from elihu import Elihu
from elihu.telemetry import otel

provider = TracerProvider()
app = Elihu("sqlite:////nowhere/elihu.db")
otel.instrument(app, tracer_provider=provider)


@app.task(name="traced.process", run_in="process", record=True)
def process() -> tuple[str, str]:
    """The trace and the span that are current in the child."""
    return current()


@app.task(name="traced.thread", record=True)
def thread() -> tuple[str, str]:
    return current()


@app.task(name="traced.loop", record=True)
async def loop() -> tuple[str, str]:
    return current()


def current() -> tuple[str, str]:
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"
