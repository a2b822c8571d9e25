"""Runs commands in forks of one process that has already imported their modules, which
saves a quarter of a second for each command.

``python -m tests.cli.warm FD`` serves the socket FD. A request is a line of JSON
(``arguments``, ``folder``, ``environ``) with the descriptors of standard input, output
and error; the answers are the process's number and, when it has ended, its status.
"""

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

NEEDED = (
    "elihu.cli.main",
    "elihu.cli.load_app",
    "elihu.cli.output",
    "elihu.cli.jobs",
    "elihu.app",
    "elihu.cli.commands",
    "elihu.commands.scheduler",
    "elihu.commands.transfer.apply",
    "elihu.engines.postgres.engine",
    "rich.table",
)
ROOT = Path(__file__).parents[2]


class Warm:
    """Runs commands one at a time."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        command = [sys.executable, "-m", "tests.cli.warm", str(theirs.fileno())]
        self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])
        theirs.close()

    def run(
        self,
        arguments: tuple[str, ...],
        folder: Path,
        environ: dict[str, str],
        text: str,
        timeout: float,
    ) -> subprocess.CompletedProcess[str]:
        """What ``python -m elihu`` with these arguments does in ``folder``; killed
        after ``timeout`` seconds.
        """
        with (
            tempfile.TemporaryFile("w+") as given,
            tempfile.TemporaryFile("w+") as output,
            tempfile.TemporaryFile("w+") as errors,
        ):
            given.write(text)
            given.seek(0)
            request = json.dumps(
                {"arguments": arguments, "folder": str(folder), "environ": environ}
            )
            socket.send_fds(
                self._socket,
                [f"{request}\n".encode()],
                [stream.fileno() for stream in (given, output, errors)],
            )
            process, status = self._answer(timeout), None
            try:
                status = self._answer(timeout)
            except TimeoutError:
                os.kill(process, signal.SIGKILL)
                self._answer(timeout)
                raise
            output.seek(0)
            errors.seek(0)
            return subprocess.CompletedProcess(arguments, status, output.read(), errors.read())

    def close(self) -> None:
        """Close the socket, which ends the process."""
        self._socket.close()
        self._process.wait()

    def _answer(self, timeout: float) -> int:
        self._socket.settimeout(timeout)
        return int.from_bytes(self._socket.recv(8, socket.MSG_WAITALL), "big", signed=True)


def _serve(connection: socket.socket) -> None:
    for name in NEEDED:
        import_module(name)
    sys.path.remove(str(ROOT))
    while True:
        data, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 3)
        while data and not data.endswith(b"\n"):
            data += connection.recv(1 << 20)
        if not data:
            return
        process = os.fork()
        if not process:
            connection.close()
            _become(json.loads(data), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        connection.sendall(process.to_bytes(8, "big", signed=True))
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        connection.sendall(status.to_bytes(8, "big", signed=True))


def _become(request: dict[str, Any], descriptors: list[int]) -> None:
    """Run the command in the forked process."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environ"])
    sys.path.insert(0, request["folder"])
    sys.argv[1:] = request["arguments"]
    status = 0
    try:
        runpy.run_module("elihu", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv.pop())))
