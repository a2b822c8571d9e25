"""File locks beside the database show which nodes live and which of them leads.

A node holds ``<database>-node-<id>.lock`` and the leader ``<database>-leader.lock``, each
by ``flock``. The kernel releases a lock when its process ends, and keeps it while the
process is stopped. A lock belongs to the open file, so two nodes of one process exclude
each other too. The files are closed on ``exec`` and in forked children.
"""

import contextlib
import fcntl
import os
from pathlib import Path
from weakref import WeakSet

from elihu.errors import ConfigError


class Locks:
    """The locks that one engine holds beside the database at ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._nodes: dict[str, int] = {}
        self._leader: tuple[str, int] | None = None
        _all.add(self)

    def take_node(self, node: str) -> None:
        """Take the lock of ``node``, or keep it. Raises ``OSError``, and ``ConfigError``
        where locks exclude nobody.
        """
        if node in self._nodes:
            return
        path = self._node_path(node)
        held = self._lock(path)
        if held is None:
            raise BlockingIOError(f"{path} is locked by another process")
        if not _excludes(path):
            os.close(held)
            path.unlink(missing_ok=True)
            raise ConfigError(
                f"database_url: expected a file system on which flock() locks a file, got one on "
                f"which two can hold the same lock: {self._path.parent}. Put the database on a "
                "local disk"
            )
        self._nodes[node] = held

    def drop_node(self, node: str) -> None:
        """Release and remove the lock of ``node``. No other process may hold it."""
        self._node_path(node).unlink(missing_ok=True)
        held = self._nodes.pop(node, None)
        if held is not None:
            os.close(held)

    def is_dead(self, node: str) -> bool:
        """Whether the lock of ``node`` is free. The probe takes a shared lock, so that two
        probes at the same time do not take each other for the node. A node whose file
        cannot be opened counts as living.
        """
        try:
            probe = os.open(self._node_path(node), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        try:
            fcntl.flock(probe, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return False
        else:
            return True
        finally:
            os.close(probe)

    def lead(self, node: str) -> bool:
        """Take the leader's lock for ``node``, or keep it. False where another node holds
        it. Raises ``OSError``.
        """
        path = self._leader_path()
        if self._leader is not None:
            holder, held = self._leader
            if _is_file(held, path):
                return holder == node
            self._leader = None
            os.close(held)
        fresh = self._lock(path)
        if fresh is None:
            return False
        self._leader = node, fresh
        os.ftruncate(fresh, 0)
        os.pwrite(fresh, node.encode(), 0)
        return True

    def resign(self, node: str) -> bool:
        """Release the leader's lock. False where ``node`` did not hold it."""
        if self._leader is None or self._leader[0] != node:
            return False
        held, self._leader = self._leader[1], None
        os.ftruncate(held, 0)
        os.close(held)
        return True

    @property
    def leader_here(self) -> str | None:
        """The node for which this engine holds the leader's lock."""
        return self._leader[0] if self._leader else None

    def leader(self) -> str | None:
        """The node that holds the leader's lock, or held it when its process ended."""
        try:
            return self._leader_path().read_text() or None
        except FileNotFoundError:
            return None

    def close(self) -> None:
        """Release every lock and leave the files, as the end of the process does. In a
        forked child this keeps the locks of the parent.
        """
        held = [*self._nodes.values(), *([self._leader[1]] if self._leader else [])]
        self._nodes.clear()
        self._leader = None
        for descriptor in held:
            os.close(descriptor)

    def _lock(self, path: Path) -> int | None:
        """A descriptor of the file at ``path`` with an exclusive lock. None while another
        process holds the lock.

        An absent file is made, with the rights of the database. A file that another user
        made for itself alone is replaced once its lock is free.
        """
        while True:
            descriptor, own = self._open(path)
            try:
                if not _lock_exclusively(descriptor):
                    os.close(descriptor)
                    return None
                if _is_file(descriptor, path):
                    if own:
                        return descriptor
                    path.unlink(missing_ok=True)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _open(self, path: Path) -> tuple[int, bool]:
        """A descriptor of the file, and whether this process may write it."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except PermissionError:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC), False
        if os.fstat(descriptor).st_uid == os.geteuid():
            with contextlib.suppress(OSError):
                os.fchmod(descriptor, self._path.stat().st_mode & 0o666)
        return descriptor, True

    def _node_path(self, node: str) -> Path:
        return self._path.with_name(f"{self._path.name}-node-{node}.lock")

    def _leader_path(self) -> Path:
        return self._path.with_name(f"{self._path.name}-leader.lock")


def _lock_exclusively(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _excludes(path: Path) -> bool:
    """Whether a second open file cannot get the lock that this process holds."""
    other = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return not _lock_exclusively(other)
    finally:
        os.close(other)


def _is_file(descriptor: int, path: Path) -> bool:
    """Whether ``path`` still names the open file. A lock on a removed file guards nothing."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


_all: WeakSet[Locks] = WeakSet()


def _close_in_child() -> None:
    for locks in list(_all):
        locks.close()


os.register_at_fork(after_in_child=_close_in_child)
