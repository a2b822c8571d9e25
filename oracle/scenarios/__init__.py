"""The experiments."""

from typing import Final

from oracle.scenarios import deaths, features, files, outages, points, rescues, safeguards

SCENARIOS: Final = (
    *deaths.SCENARIOS,
    *points.SCENARIOS,
    *outages.SCENARIOS,
    *files.SCENARIOS,
    *features.SCENARIOS,
    *rescues.SCENARIOS,
    *safeguards.SCENARIOS,
)
BY_NAME: Final = {scenario.name: scenario for scenario in SCENARIOS}
