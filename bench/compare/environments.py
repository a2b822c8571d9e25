"""A virtual environment for each contestant, under ``.venv/peers``."""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.compare.contestants import OWN, Contestant

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / ".venv" / "peers"
PYTHONS: Final = ("python3.13", "python3.12")
INSTALL_WITHIN: Final = 300.0
VERSIONS: Final = """
import sys
from importlib.metadata import version
print(*(version(name) for name in sys.argv[1:]))
"""


class Unavailable(Exception):
    """A contestant cannot be measured; the message says why."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that runs."""

    path: str
    version: tuple[int, ...]

    @property
    def text(self) -> str:
        """The version as it is written."""
        return ".".join(map(str, self.version))


def find_python(given: str | None = None) -> Interpreter:
    """The named Python, or the newest of PYTHONS on the PATH that runs, or this one."""
    if given is not None:
        found = interpreter(given)
        if found is None:
            raise Unavailable(f"{given} does not run")
        return found
    for path in candidates(PYTHONS):
        found = interpreter(path)
        if found is not None:
            return found
    return Interpreter(sys.executable, tuple(sys.version_info[:3]))


def candidates(names: Sequence[str]) -> Iterator[str]:
    """Each such program in each folder of the PATH. The first may be a stub that only
    names the versions it has.
    """
    for name in names:
        for folder in os.environ.get("PATH", "").split(os.pathsep):
            path = shutil.which(name, path=folder) if folder else None
            if path is not None:
                yield path


def interpreter(path: str) -> Interpreter | None:
    """The Python at this path, or None if it does not run."""
    done = subprocess.run(
        [path, "-c", "import sys; print(*sys.version_info[:3])"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode:
        return None
    return Interpreter(path, tuple(int(part) for part in done.stdout.split()))


def python_of(contestant: Contestant, base: Interpreter) -> str:
    """The Python of this contestant's environment, which is made or renewed as needed.
    Raises ``Unavailable``.
    """
    if base.version < contestant.least_python:
        least = ".".join(map(str, contestant.least_python))
        raise Unavailable(f"it needs Python {least}, and the one found is {base.text}")
    folder = FOLDER / folder_name(contestant)
    wanted = "\n".join([base.text, *requirements_of(contestant)])
    mark = folder / "requirements"
    if not mark.exists() or mark.read_text() != wanted:
        make(folder, base, requirements_of(contestant))
        mark.write_text(wanted)
    return str(folder / "bin" / "python")


def folder_name(contestant: Contestant) -> str:
    """Elihu and plain SQL share an environment."""
    return OWN[0] if contestant.name in OWN else contestant.name


def requirements_of(contestant: Contestant) -> Sequence[str]:
    """What is installed; Elihu is installed from this repository."""
    if contestant.name in OWN:
        return ["--editable", f"{ROOT}[postgres,fast]"]
    return contestant.requirements


def make(folder: Path, base: Interpreter, requirements: Sequence[str]) -> None:
    """Make the environment anew. Raises ``Unavailable``."""
    shutil.rmtree(folder, ignore_errors=True)
    if Path(base.path) == Path(sys.executable):
        venv.create(folder, with_pip=True)
    else:
        subprocess.run([base.path, "-m", "venv", str(folder)], check=True, capture_output=True)
    try:
        done = subprocess.run(
            [folder / "bin" / "python", "-m", "pip", "install", "--quiet", *requirements],
            check=False,
            capture_output=True,
            text=True,
            timeout=INSTALL_WITHIN,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable("its packages were not installed in time") from None
    if done.returncode:
        print(done.stderr.strip(), file=sys.stderr)
        raise Unavailable("its packages could not be installed")


def version_of(contestant: Contestant, python: str) -> str:
    """The version of the contestant's package; Elihu's is the one of this repository."""
    names = [each.split("==")[0].split("[")[0] for each in contestant.requirements] or [OWN[0]]
    done = subprocess.run(
        [python, "-c", VERSIONS, names[0]], check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()
