"""What tells whether the database is well."""

from pathlib import Path
from typing import Final

from elihu.engines.protocol.diagnosis import MOST_WAITING, Vitals, WaitingTask
from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.rows import moment
from elihu.engines.sqlite.session import Session

MOUNTS: Final = Path("/proc/self/mounts")
_NETWORK: Final = frozenset(
    {
        "afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "glusterfs",
        "lustre", "nfs", "nfs4", "smb3", "smbfs",
    }
)  # fmt: skip
_WAITING_TASKS: Final = statement("waiting_tasks")


def vitals(session: Session, path: Path) -> Vitals:
    return Vitals(moment(session.now()), network_file_system=network_file_system(path))


def waiting_tasks(session: Session) -> list[WaitingTask]:
    return [WaitingTask(*row) for row in session.rows(_WAITING_TASKS, {"most": MOST_WAITING})]


def network_file_system(path: Path) -> str | None:
    """The kind of network file system on which a file is; None on a local one, and where
    the system has no table of mounts.
    """
    try:
        lines = MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return None
    best, found = -1, None
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        folder = Path(fields[1].replace("\\040", " "))
        if (path == folder or folder in path.parents) and len(folder.parts) >= best:
            best, found = len(folder.parts), fields[2]
    return found if found in _NETWORK else None
