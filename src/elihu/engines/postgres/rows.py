"""How this engine selects the columns of a job."""

import json
from typing import Any, Final

from elihu.engines.rows import (
    COLUMNS_AS_TEXT,
    JOB_JSON,
    JOB_TIMES,
    STARTED_AT,
    JobRows,
    from_microseconds,
)

Row = Any  # the driver's records carry no types

_SELECTED: Final = {
    "unique_key": "encode(unique_key, 'hex') AS unique_key",
    "node": "node::text AS node",
    "started_at": f"{STARTED_AT} AS started_at",
}
_AS_TEXT: Final = {
    "unique_key": "encode(unique_key, 'hex')",
    "tags": "to_json(tags)::text",
    **{name: f"{name}::text" for name in JOB_JSON},
    **{name: f"CAST(extract(epoch FROM {name}) * 1000000 AS bigint)" for name in JOB_TIMES},
    "started_at": f"CAST(extract(epoch FROM {STARTED_AT}) * 1000000 AS bigint)",
}
ROWS: Final = JobRows(expressions=_SELECTED)
"""Jobs in rows of the engine's own connections."""
TEXT_ROWS: Final = JobRows(
    mark=COLUMNS_AS_TEXT, expressions=_AS_TEXT, moment=from_microseconds, tags=json.loads
)
"""Jobs in rows of a caller's connection."""
job_of: Final = ROWS.job
