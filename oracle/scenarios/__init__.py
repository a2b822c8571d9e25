"""The experiments."""

from typing import Final

from oracle.scenarios import safeguards

SCENARIOS: Final = (*safeguards.SCENARIOS,)
