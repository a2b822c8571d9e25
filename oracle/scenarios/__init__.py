"""The experiments."""

from typing import Final

from oracle.scenarios import (
    blocking,
    commands,
    deaths,
    features,
    files,
    outages,
    points,
    rescues,
    safeguards,
    sessions,
    stops,
)

SCENARIOS: Final = (
    *deaths.SCENARIOS,
    *points.SCENARIOS,
    *outages.SCENARIOS,
    *files.SCENARIOS,
    *features.SCENARIOS,
    *rescues.SCENARIOS,
    *sessions.SCENARIOS,
    *stops.SCENARIOS,
    *blocking.SCENARIOS,
    *commands.SCENARIOS,
    *safeguards.SCENARIOS,
)
BY_NAME: Final = {scenario.name: scenario for scenario in SCENARIOS}
