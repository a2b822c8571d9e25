"""Named points at which a program kills itself, for crash tests.

The environment variable ``ELIHU_TEST_FAILPOINT`` activates one when the program starts:
``NAME``, or ``NAME:N`` for the N-th time the point is reached. Without it none is
active.
"""

import os
import signal
import threading
from typing import Final

ACTIVE: Final = os.environ.get("ELIHU_TEST_FAILPOINT", "")

_name, _, _number = ACTIVE.partition(":")
_lock = threading.Lock()
_left = int(_number or 1)


def reach(name: str) -> None:
    """Kill this process with SIGKILL if ``name`` is the active point; callable from any
    thread.
    """
    global _left
    if name != _name:
        return
    with _lock:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
