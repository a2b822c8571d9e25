"""The task of the experiments that runs a command, whose processes hide and resist in
every way.
"""

import os
from collections.abc import Sequence
from typing import Final

from elihu.commands.runner import OutputChunk, RunEnd, RunSpec, run

NODE: Final = "ORACLE_NODE"
"""The variable that tells the processes of one node's commands from others."""

GRACE: Final = 1.0
"""The ``kill_grace`` of the commands."""

_IGNORES: Final = "trap '' TERM INT HUP;"

TREES: Final = {
    "plain": "sleep {0}",
    "fork": "sleep 300 & (sleep 300 & sleep 300) & sleep {0}",
    "double fork": "(sh -c 'sleep 300 & sleep 300 &' &) ; sleep {0}",
    "setsid": "setsid sh -c 'setsid sleep 300 & sleep 300' & sleep {0}",
    "ignores SIGTERM": f"{_IGNORES} sh -c '{_IGNORES} sleep 300; sleep 300' & sleep {{0}}; sleep 0",
    "all of it": f"{_IGNORES} (setsid sh -c '{_IGNORES} sleep 300 & sleep 300; sleep 300' &)"
    " ; sleep {0}",
    "closes its streams": "exec <&- >&- 2>&-; sleep 300 & sleep {0}",
    "stops itself": "setsid sh -c 'sleep 300 & kill -STOP $$' & sleep {0}",
    "floods": "(while :; do sh -c 'sleep 0.1 & sleep 0.1' & sleep 0.05; done) & sleep {0}",
}
"""What each kind of command does for so many seconds."""


class NoOutput:
    """A sink for output that nobody reads."""

    async def write(self, _chunks: Sequence[OutputChunk]) -> None:
        return

    async def discard(self, _first: int, _before: int) -> None:
        return


async def run_tree(key: str, seconds: float) -> RunEnd:
    """Run the command that belongs to the key; every other one without a cgroup."""
    number = sum(key.encode())
    kinds = list(TREES)
    return await run(
        RunSpec(
            text=f"echo begins; {TREES[kinds[number % len(kinds)]].format(seconds)}",
            variables={NODE: str(os.getpid()), "ORACLE_FOLDER": os.environ["ORACLE_FOLDER"]},
            timeout=60.0,
            kill_grace=GRACE,
            cgroup=number % 2 == 0,
        ),
        NoOutput(),
    )
