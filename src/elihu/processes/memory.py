"""How much memory a process has."""

import os
import subprocess
from pathlib import Path


def resident(pid: int) -> int | None:
    """The bytes of memory that a process has, None where there is no such process."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        return None if Path("/proc/self").exists() else asked(pid)


def asked(pid: int) -> int | None:
    """The same on systems without ``/proc``."""
    output = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], check=False, capture_output=True, text=True
    ).stdout.strip()
    return int(output) * 1_024 if output else None


def shown(size: int) -> str:
    """A size as text, in MiB."""
    return f"{size / 2**20:,.0f} MiB"
