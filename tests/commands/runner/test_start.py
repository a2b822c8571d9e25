"""The supervisor is a bare interpreter with modules that load fast."""

import subprocess
import sys

from elihu.commands.runner.start import command_line

SLOW = {"asyncio", "typing", "re", "subprocess", "socket", "json", "pathlib", "threading"}


def test_only_what_it_needs_is_imported() -> None:
    *command, _ = command_line(0)
    at = command.index("-c") + 1
    command[at] = command[at].replace("main(int(control))", "print(*sorted(sys.modules))")
    modules = subprocess.run(
        [*command, "0"], check=True, capture_output=True, text=True, env={}
    ).stdout.split()
    roots = {name.partition(".")[0] for name in modules}
    assert roots - set(sys.stdlib_module_names) - {"__main__"} == {"elihu"}
    assert not roots & SLOW
    assert "elihu.app" not in modules


def test_it_ends_with_a_socket_that_is_closed() -> None:
    command = command_line(0)
    done = subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    assert done.stdout + done.stderr == b""
