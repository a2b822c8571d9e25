"""The private PostgreSQL server: it starts, stops, keeps what it is told to keep, and
leaves nothing behind.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from elihu.testing import postgres as postgres_module
from elihu.testing.postgres import HOST, PostgresServer, PostgresServerError, base_folder

BOUND = 30


def test_starts_answers_and_leaves_nothing() -> None:
    with PostgresServer() as server:
        process = postgres(server)
        folder = server.folder
        assert select(server, "select 40 + 2") == "42"
        assert server.url == f"postgresql://postgres@{HOST}:{server.port}/postgres"
    assert_gone([process])
    assert not folder.exists()
    server.close()


def test_does_not_run_as_root() -> None:
    with PostgresServer() as server:
        assert postgres(server).uids().effective != 0


@pytest.mark.parametrize(("durable", "switch"), [(False, "off"), (True, "on")])
def test_durability_is_as_asked(durable: bool, switch: str) -> None:
    with PostgresServer(durable=durable) as server:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert select(server, f"show {setting}") == switch


def test_second_version_and_own_settings() -> None:
    with PostgresServer(version=16, options={"work_mem": "9MB"}) as server:
        assert select(server, "show server_version").startswith("16.")
        assert select(server, "show work_mem") == "9MB"


@pytest.mark.parametrize("immediate", [False, True])
def test_stop_and_start_keep_port_and_data(immediate: bool) -> None:
    with PostgresServer() as server:
        url = server.create_database("kept")
        select(server, "create table t as select 7 as n", database="kept")
        select(server, "checkpoint")
        server.stop(immediate=immediate)
        assert server.pid is None
        with (
            pytest.raises(ConnectionRefusedError),
            socket.create_connection((HOST, server.port), timeout=BOUND),
        ):
            pass
        server.start()
        assert select(server, "select n from t", database="kept") == "7"
        assert server.database_url("kept") == url


def test_a_killed_server_starts_again() -> None:
    with PostgresServer() as server:
        postgres(server).kill()
        server.restart()
        assert select(server, "select 1") == "1"


def test_a_killed_server_starts_again_when_its_last_process_has_ended() -> None:
    """A process of the killed server keeps its shared memory for half a second."""
    with PostgresServer() as server:
        killed = postgres(server)
        left = killed.children()[0]
        left.suspend()
        killed.kill()
        ending = threading.Timer(0.5, left.kill)
        ending.start()
        server.restart()
        assert not ending.is_alive()
        assert select(server, "select 1") == "1"


def test_databases_are_copied_and_dropped() -> None:
    with PostgresServer() as server:
        server.create_database("first")
        select(server, "create table t as select 7 as n", database="first")
        server.create_database("second", template="first")
        assert select(server, "select n from t", database="second") == "7"
        server.drop_database("second")
        server.drop_database("second")
        with pytest.raises(PostgresServerError, match='"first" already exists'):
            server.create_database("first")


def test_a_killed_parent_takes_the_server_with_it() -> None:
    code = """if True:
        import os, sys
        from elihu.testing.postgres import PostgresServer
        server = PostgresServer()
        server.start()
        if os.fork() == 0:  # a child that holds the pipe to the guard open
            print(os.getpid(), server.pid, server.folder, flush=True)
        sys.stdin.read()
    """
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        _, pid, folder = parent.stdout.readline().split()
        family = with_guard(int(pid))
        parent.send_signal(signal.SIGKILL)
        parent.wait(BOUND)
        assert_gone(family)
    assert not Path(folder).exists()


def test_a_killed_guard_takes_the_server_with_it() -> None:
    server = PostgresServer()
    server.start()
    guard, process, *rest = with_guard(postgres(server).pid)
    guard.kill()
    if sys.platform == "linux":
        assert_gone([process, *rest])
    with pytest.raises(PostgresServerError, match="ended unexpectedly"):
        server.start()
    server.close()


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that the server's user can reach; pytest's own are closed to all but
    their owner.
    """
    user = "nobody" if os.geteuid() == 0 else None
    folder = Path(
        subprocess.run(
            ["mktemp", "-d", "-p", base_folder(user)], check=True, capture_output=True, text=True
        ).stdout.strip()
    )
    folder.chmod(0o755)
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=True)


def test_given_data_is_kept_and_waits_for_its_last_user(reachable: Path) -> None:
    with PostgresServer(data=reachable / "data", durable=True) as server:
        select(server, "create table t as select 7 as n")
        with pytest.raises(PostgresServerError, match="expected data of PostgreSQL 16, got 18"):
            PostgresServer(version=16, data=reachable / "data").start()
    with PostgresServer(data=reachable / "data") as server:
        assert select(server, "select n from t") == "7"


def test_what_cannot_work_is_said() -> None:
    with pytest.raises(
        PostgresServerError, match=r"expected version to be one of \[16, 18\], or a bin_dir, got 9"
    ):
        PostgresServer(version=9)
    with pytest.raises(
        PostgresServerError, match='unrecognized configuration parameter "no_such_setting"'
    ):
        PostgresServer(options={"no_such_setting": "1"}).start()
    with pytest.raises(PostgresServerError, match="never started or is closed"):
        _ = PostgresServer().folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's folders are closed to the server")
def test_data_out_of_reach_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(
        PostgresServerError, match="expected a data folder that the user nobody can reach"
    ):
        PostgresServer(data=tmp_path / "data").start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's folders are closed to the server")
def test_programs_out_of_reach_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    installed = Path(postgres_module.wheel_bin_dir(18)).parents[2]
    for part in installed.glob(f"{postgres_module.WHEEL}*"):
        (tmp_path / part.name).symlink_to(part)
    monkeypatch.setattr(
        postgres_module,
        "wheel_bin_dir",
        lambda version: (
            tmp_path / postgres_module.WHEEL / postgres_module.WHEEL_FOLDERS[version] / "bin"
        ),
    )
    with PostgresServer() as server:
        assert server.folder in Path(postgres(server).exe()).parents
        assert select(server, "select 1") == "1"


LAUNCH = [sys.executable, "-m", "elihu.testing.postgres"]


def test_command_gets_the_url_and_gives_its_status(reachable: Path) -> None:
    data = ("--data", str(reachable / "data"))
    done = launch(*data, "--", "sh", "-c", "echo $ELIHU_DATABASE_URL; exit 7")
    assert done.returncode == 7
    assert done.stdout.startswith(f"postgresql://postgres@{HOST}:")
    assert done.stderr == done.stdout


def test_command_gets_the_signals_and_the_server_ends_with_it() -> None:
    code = (
        "import signal, sys, psutil; "
        "print(*(child.pid for child in psutil.Process().children(recursive=True)), flush=True); "
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(9)); print('set', flush=True); "
        "signal.pause()"
    )
    with subprocess.Popen(
        [*LAUNCH, "--", sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout is not None
        family = [psutil.Process(int(pid)) for pid in command.stdout.readline().split()]
        assert len(family) >= 2
        assert command.stdout.readline() == "set\n"
        command.send_signal(signal.SIGTERM)
        assert command.wait(BOUND) == 9
        assert_gone(family)


def test_unknown_command_is_127() -> None:
    done = launch("no-such-command")
    assert done.returncode == 127
    assert "no-such-command" in done.stderr


def test_alone_it_serves_until_interrupted() -> None:
    with subprocess.Popen(LAUNCH, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline().startswith(f"postgresql://postgres@{HOST}:")
        family = psutil.Process(launcher.pid).children(recursive=True)
        launcher.send_signal(signal.SIGINT)
        assert launcher.wait(BOUND) == 0
        assert_gone(family)


def launch(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LAUNCH, *arguments], check=False, capture_output=True, text=True, timeout=BOUND
    )


def postgres(server: PostgresServer) -> psutil.Process:
    assert server.pid is not None
    return psutil.Process(server.pid)


def with_guard(pid: int) -> list[psutil.Process]:
    """The guard of the server, the server and its children."""
    guard = psutil.Process(pid).parent()
    assert guard is not None
    return [guard, *guard.children(recursive=True)]


def assert_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=BOUND)
    assert not alive


def select(server: PostgresServer, sql: str, *, database: str = "postgres") -> str:
    """What psql prints, so that the launcher is tested without a driver."""
    psql = Path(psutil.Process(server.pid).exe()).with_name("psql")
    options = [
        "-X",
        "-A",
        "-t",
        "-q",
        "-h",
        HOST,
        "-p",
        str(server.port),
        "-U",
        "postgres",
        "-d",
        database,
    ]
    done = subprocess.run(
        [str(psql), *options, "-c", sql], check=True, capture_output=True, text=True, timeout=BOUND
    )
    return done.stdout.strip()
