"""An app whose children import it, and send to no Sentry."""

from elihu import Elihu
from elihu.telemetry import sentry

app = Elihu("sqlite:////nowhere/elihu.db")
sentry.instrument(app)


@app.task(name="failing.process", run_in="process", max_attempts=1)
def process() -> None:
    raise ValueError("declined in a child")
