"""Commands without a shell: split into arguments, with variables inside them replaced."""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Final

from elihu.errors import InvalidOption

_NAME: Final = re.compile(r"\$(?:\{([A-Za-z][A-Za-z0-9_]*)\}|([A-Za-z][A-Za-z0-9_]*))")


def split(text: str) -> list[str]:
    """The arguments of a command, split as a shell would split them.

    Raises ``InvalidOption`` for a quotation that does not end and for an empty command.
    """
    try:
        arguments = shlex.split(text)
    except ValueError as error:
        raise InvalidOption(
            f"shell_command: expected arguments as a shell splits them, got {text!r:.80} "
            f"({str(error).lower()})"
        ) from error
    if not arguments or not arguments[0]:
        raise InvalidOption(f"shell_command: expected a program to run, got {text!r:.80}")
    return arguments


def names_in(text: str) -> set[str]:
    """The names that a command in the mode ``argv`` mentions as ``$NAME`` or
    ``${NAME}``, in its program too. Raises as ``split`` does.
    """
    return {match[1] or match[2] for argument in split(text) for match in _NAME.finditer(argument)}


def expand(arguments: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """The arguments with each ``$NAME`` and ``${NAME}`` of a variable replaced by its
    value. Other names stay as they are, and a value is not expanded again.
    """

    def value(match: re.Match[str]) -> str:
        return variables.get(match[1] or match[2], match[0])

    return [_NAME.sub(value, argument) for argument in arguments]
