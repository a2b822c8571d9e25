"""Announcements between processes on one machine, as datagrams.

Each notifier has a socket in ``<database>-wake/``. A sender writes to every socket there
after its commit, so that a job of another process starts within a millisecond. A datagram
is a hint that may be lost, and a socket may be impossible, as on some file systems:
notifiers check for commits as well.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final
from uuid import uuid4
from weakref import WeakKeyDictionary

from elihu.engines.protocol.signals import Signal, signal_of, text_of

LARGEST: Final = 30_000
"""The most bytes of a datagram; every system of ours takes as many."""
LONGEST_PATH: Final = 100
"""The most bytes of a socket's path; the limit of the system is a little above."""
BETWEEN: Final = 0.01
"""Seconds after a signal in which ``send_first`` sends none."""


_names: Final[WeakKeyDictionary[object, set[str]]] = WeakKeyDictionary()
"""The sockets of each app of this process."""


class Datagrams:
    """The sockets of one engine beside the database at ``path``. Works without them where
    they cannot be made. Engines of one ``app`` send nothing to each other: it hands a
    signal to its own parts before it is sent.
    """

    def __init__(self, path: Path, app: object) -> None:
        self._path = path
        self._known = _names.setdefault(app, set())
        self._folder = path.with_name(f"{path.name}-wake")
        self._own: dict[str, tuple[asyncio.AbstractEventLoop, socket.socket]] = {}
        self._sent_at = float("-inf")

    def listen(self, deliver: Callable[[Signal], None]) -> str | None:
        """Call ``deliver`` in the running loop's thread for each signal of other engines.
        Returns the name of the socket for ``leave``, or None where there can be none.
        """
        loop = asyncio.get_running_loop()
        name = uuid4().hex
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            receiver.setblocking(False)
            self._make_folder()
            with self._within_reach() as folder:
                receiver.bind(f"{folder}/{name}")
            (self._folder / name).chmod(self._path.stat().st_mode & 0o666)
            loop.add_reader(receiver, _receive, receiver, deliver)
        except (OSError, NotImplementedError):
            _remove(receiver, self._folder / name)
            return None
        self._own[name] = loop, receiver
        self._known.add(name)
        return name

    def leave(self, name: str) -> None:
        """End what ``listen`` began. Safe to call twice."""
        if name not in self._own:
            return
        loop, receiver = self._own.pop(name)
        self._known.discard(name)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.remove_reader(receiver)
        _remove(receiver, self._folder / name)

    def close(self) -> None:
        """``leave`` for every socket."""
        for name in list(self._own):
            self.leave(name)

    def send(self, signals: Sequence[Signal]) -> None:
        """Send signals to the other engines on this database. A socket whose process has
        ended is removed.
        """
        self._sent_at = time.monotonic()
        with contextlib.suppress(OSError), self._within_reach() as folder:
            with os.scandir(folder) as entries:
                names = [entry.name for entry in entries if entry.name not in self._known]
            if not names:
                return
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                for datagram in _datagrams(signals):
                    for name in names:
                        try:
                            sender.sendto(datagram, f"{folder}/{name}")
                        except ConnectionRefusedError:
                            with contextlib.suppress(OSError):
                                (self._folder / name).unlink(missing_ok=True)
                        except OSError:
                            continue  # it has enough to read, or is another user's

    def send_first(self, signals: Sequence[Signal]) -> bool:
        """``send`` unless that was called a moment ago, and return whether it was called
        now. For the thread of a connection, right after its commit.
        """
        if time.monotonic() - self._sent_at < BETWEEN:
            return False
        self.send(signals)
        return True

    def _make_folder(self) -> None:
        """Make the folder, for those who may use the database."""
        with contextlib.suppress(FileExistsError):
            self._folder.mkdir()
            mode = self._path.stat().st_mode & 0o666
            self._folder.chmod(mode | (mode & 0o444) >> 2)

    @contextlib.contextmanager
    def _within_reach(self) -> Iterator[str]:
        """A path of the folder that leaves room for a socket's name: its own, or where
        that is too long, one by its descriptor.
        """
        own = str(self._folder)
        if len(os.fsencode(own)) + 33 <= LONGEST_PATH:
            yield own
            return
        descriptor = os.open(own, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)


def _remove(receiver: socket.socket, path: Path) -> None:
    receiver.close()
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _receive(receiver: socket.socket, deliver: Callable[[Signal], None]) -> None:
    with contextlib.suppress(OSError):  # nothing more to read
        while True:
            for line in receiver.recv(LARGEST).decode(errors="replace").split("\n"):
                if (signal := signal_of(line)) is not None:
                    deliver(signal)


def _datagrams(signals: Sequence[Signal]) -> Iterator[bytes]:
    """Signals as lines, as many in a datagram as it can carry."""
    lines = b""
    for signal in signals:
        line = text_of(signal).encode() + b"\n"
        if len(lines) + len(line) > LARGEST:
            yield lines
            lines = b""
        lines += line
    if lines:
        yield lines
