"""Reads a crontab: what it would make, and what it could not, by line.

It follows Debian's cron. Nothing here touches the system or the database.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from elihu import Cron, InvalidCron
from elihu.secret_names import is_secret_name

SHELL: Final = "/bin/sh"
END: Final = "ELIHU_INPUT"
"""The word that ends the input of a command."""

_ASSIGNMENT: Final = re.compile(r"""("[^"]*"|'[^']*'|[^\s"'=]+)\s*=\s*(.*)""", re.DOTALL)
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_FIELDS: Final = 5
_BLANKS: Final = " \t"

_NOT_TAKEN: Final = {
    "CRON_TZ": "name the time zone of the crons instead",
    "MAILTO": "add an alert instead",
    "MAILFROM": "add an alert instead",
    "CONTENT_TYPE": "output is kept as it is",
    "CONTENT_TRANSFER_ENCODING": "output is kept as it is",
    "RANDOM_DELAY": "commands start at their minute",
    "START_HOURS_RANGE": "commands start at their minute",
    "LOGNAME": "commands run as the user of the node",
    "USER": "commands run as the user of the node",
}
"""Assignments that mean something to cron, and what to do here."""

_PLAIN_SECRET: Final = (
    "is named like a secret, and its value becomes plain text: leave the line out, and store a "
    "secret variable of the environment instead, on the page or with import --secrets"
)

_NICKNAMES: Final = {"@every_minute": "* * * * *"}
"""Nicknames of other crons than Debian's."""


@dataclass(frozen=True, slots=True)
class CrontabEntry:
    """A line that can become a command with a schedule.

    ``expression`` is a nickname or five fields. ``text`` is the command as the line has
    it, without its input; ``shell_command`` is text for ``/bin/sh``. ``variables`` are
    the assignments above the line. ``user`` is of the system format.
    """

    line: int
    expression: str
    text: str
    shell_command: str
    variables: Mapping[str, str] = field(default_factory=dict)
    working_directory: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class CrontabRefusal:
    """A line that makes nothing, or not all that it says, and why."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class CrontabWarning:
    """A line whose variable ``name`` is taken, and what is wrong with that. The value of
    the variable is not told.
    """

    line: int
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Crontab:
    """What a crontab would make, what it could not, and what it should not hold."""

    entries: tuple[CrontabEntry, ...] = ()
    refusals: tuple[CrontabRefusal, ...] = ()
    warnings: tuple[CrontabWarning, ...] = ()


class _Refused(Exception):
    """Why a line makes nothing."""


def read_crontab(text: str, *, system: bool = False, user: str | None = None) -> Crontab:
    """Read a crontab in the format of users or, with ``system``, in that of
    ``/etc/crontab`` and ``/etc/cron.d``, which names a user in each line.

    With ``user``, lines of other users are refused: a node runs every command as its
    own user.
    """
    reader = _Reader(system=system, user=user)
    for number, line in enumerate(_lines(text), 1):
        reader.read(number, line)
    last = max((entry.line for entry in reader.entries), default=0)
    warnings = [each for each in reader.warnings if each.line < last]
    return Crontab(tuple(reader.entries), tuple(reader.refusals), tuple(warnings))


def _lines(text: str) -> Iterator[str]:
    """Lines end with LF alone, as for cron; a CR before it comes from an editor."""
    for line in text.removeprefix("\ufeff").split("\n"):
        yield line.removesuffix("\r").lstrip(_BLANKS)


class _Reader:
    """Reads line by line, with the assignments so far."""

    def __init__(self, *, system: bool, user: str | None) -> None:
        self.entries: list[CrontabEntry] = []
        self.refusals: list[CrontabRefusal] = []
        self.warnings: list[CrontabWarning] = []
        self._system = system
        self._user = user
        self._variables: dict[str, str] = {}
        self._shell = SHELL
        self._home: str | None = None
        self._exports: dict[str, str] = {}

    def read(self, number: int, line: str) -> None:
        if not line or line.startswith("#"):
            return
        try:
            if match := _ASSIGNMENT.fullmatch(line):
                self._assign(number, _unquoted(match[1]), _unquoted(match[2].rstrip(_BLANKS)))
            else:
                self.entries.append(self._entry(number, line))
        except _Refused as refused:
            self.refusals.append(CrontabRefusal(number, line, str(refused)))

    def _assign(self, number: int, name: str, value: str) -> None:
        if instead := _NOT_TAKEN.get(name):
            raise _Refused(f"{name} is not taken: {instead}")
        if name == "SHELL":
            self._shell = value or SHELL
        elif name == "HOME":
            self._home = value or None
        elif name == "PATH":
            self._exports[name] = value
        elif not _NAME.fullmatch(name):
            raise _Refused(
                f"expected a name of a letter, then letters, digits and _, got {name!r:.80}"
            )
        else:
            self._variables[name] = value
            if value and is_secret_name(name):
                self.warnings.append(CrontabWarning(number, name, f"{name} {_PLAIN_SECRET}"))

    def _entry(self, number: int, line: str) -> CrontabEntry:
        expression, rest = _schedule(line)
        user = None
        if self._system:
            user, _, rest = _split_word(rest)
            if not rest:
                raise _Refused("expected a user and a command")
            if self._user is not None and user != self._user:
                raise _Refused(f"runs as {user}, and commands here run as {self._user}")
        elif _split_word(rest)[0] == "root":
            raise _Refused("expected a command, got the user root: take the format system-crontab")
        if not rest:
            raise _Refused("expected a command")
        _check(expression)
        command, stdin = _split_input(rest)
        if not command.strip():
            raise _Refused("expected a command")
        return CrontabEntry(
            number,
            expression,
            command,
            self._shell_command(command, stdin),
            dict(self._variables),
            self._home,
            user,
        )

    def _shell_command(self, command: str, stdin: str | None) -> str:
        """The command for ``/bin/sh``: with its input, its shell and its ``PATH``."""
        if self._shell != SHELL:
            command = f"{shlex.quote(self._shell)} -c {shlex.quote(command)}"
        if stdin is not None:
            if END in stdin.split("\n"):
                raise _Refused(f"its input has a line {END}")
            command = f"{{ {command}\n}} <<'{END}'\n{stdin}\n{END}"
        exports = "".join(
            f"export {name}={shlex.quote(value)}\n" for name, value in self._exports.items()
        )
        return exports + command


def _schedule(line: str) -> tuple[str, str]:
    """The cron expression at the begin of a line, and what follows it."""
    if line.startswith("@"):
        word, _, rest = _split_word(line)
        nickname = word.lower()
        return _NICKNAMES.get(nickname, nickname), rest
    fields = []
    rest = line
    for _ in range(_FIELDS):
        word, _, rest = _split_word(rest)
        fields.append(word)
    if not fields[-1]:
        found = len([each for each in fields if each])
        raise _Refused(f"expected five fields and a command, got {found} fields")
    # SUSE's cron: a minute with - before it keeps the run out of the log.
    fields[0] = fields[0].removeprefix("-") or fields[0]
    return " ".join(fields), rest


def _split_word(text: str) -> tuple[str, str, str]:
    """The first word, the blanks after it, and the rest."""
    match = re.match(r"([^ \t]*)([ \t]*)(.*)", text, re.DOTALL)
    assert match
    return match[1], match[2], match[3]


def _check(expression: str) -> None:
    try:
        Cron(expression)
    except InvalidCron as error:
        raise _Refused(str(error)) from error


def _split_input(text: str) -> tuple[str, str | None]:
    """The command and its input: ``%`` ends the command and the lines of the input,
    ``\\%`` is a percent sign.
    """
    parts = [part.replace("\\%", "%") for part in re.split(r"(?<!\\)%", text)]
    command = parts[0].rstrip(_BLANKS)
    return command, "\n".join(parts[1:]) if len(parts) > 1 else None


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text
