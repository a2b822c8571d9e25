"""Named points at which a program kills itself, for crash tests.

Off unless ``ELIHU_TEST_FAILPOINT`` names one when the program starts: ``NAME`` or
``NAME:N``, for the N-th time it is reached.
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
    """Kill this process, as ``kill -9`` does, where ``name`` is the point that was
    asked for; callable from any thread.
    """
    global _left
    if name != _name:
        return
    with _lock:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
