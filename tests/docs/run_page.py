"""Runs the code blocks of one page in the working folder, by the convention of
`test_code_blocks.py`: `run_page.py PAGE`.
"""

import ast
import asyncio
import importlib
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import threading
import tomllib
import traceback
import types
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

COMMAND_BOUND = 40.0
SHELLS = ("sh", "console")
LANGUAGES = (*SHELLS, "python", "toml", "json", "sql", "text", "ini", "html")
OPTION = r'([a-z]+)(=("[^"]*"))?'
OPTIONS = rf"(?: ?{OPTION}(?= |$))*"
INTERRUPTED = (0, 130, -signal.SIGINT)


class PageError(Exception):
    """A block does not do what the page says."""


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: the words after its language, the reason of its `norun`, and
    the line of the page where its code begins.
    """

    language: str
    options: dict[str, str]
    norun: str | None
    line: int
    code: str


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a shell block and the output that the page shows for it, None
    where it shows none.
    """

    line: str
    output: str | None


def read_blocks(text: str) -> list[Block]:
    """All fenced blocks of a page, in order. Raises `PageError` for one that keeps no
    convention.
    """
    return [
        read_block(token.info, token.map[0] + 2, token.content)
        for token in MarkdownIt().parse(text)
        if token.type == "fence" and token.map is not None
    ]


def read_block(info: str, line: int, code: str) -> Block:
    """One block from the words after its fence, `LANGUAGE [WORD] [NAME="VALUE"]`.

    The site's renderer reads the same form.
    """
    language, _, rest = info.partition(" ")
    if language not in LANGUAGES:
        raise PageError(
            f"line {line}: expected a block's language to be one of {', '.join(LANGUAGES)}, got "
            f"{language!r}"
        )
    if not re.fullmatch(OPTIONS, rest):
        raise PageError(f'line {line}: expected options as NAME or NAME="VALUE", got {rest!r}')
    options = {name: value.strip('"') for name, _, value in re.findall(OPTION, rest)}
    if unknown := options.keys() - {"title", "status", "interrupt", "norun"}:
        raise PageError(
            f"line {line}: expected title=, status=, interrupt or norun=, got {', '.join(unknown)}"
        )
    norun = options.pop("norun", None)
    if norun == "":
        raise PageError(f'line {line}: expected norun="REASON", got no reason')
    return Block(language, options, norun, line, code)


def read_commands(code: str) -> list[Command]:
    """The commands of a shell block: its lines after `$ `, each with the output below
    it, or the whole block where no line begins so.
    """
    if not re.search(r"^\$ ", code, re.MULTILINE):
        return [Command(code, None)]
    before, *parts = re.split(r"^\$ ", code, flags=re.MULTILINE)
    if before.strip():
        raise PageError(f"expected a command after '$ ' first, got {before.strip()!r}")
    commands = []
    for part in parts:
        lines = part.splitlines()
        end = next(
            number
            for number, line in enumerate(lines, 1)
            if not line.endswith("\\") or number == len(lines)
        )
        output = "\n".join(lines[end:]).strip()
        commands.append(Command("\n".join(lines[:end]), output or None))
    return commands


def matches(expected: str, output: str) -> bool:
    """Whether the output is as expected: `…` is any text, a line of `…` alone any lines
    or none, and white space counts as one space.
    """
    pattern = ""
    for line in expected.splitlines():
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += (
                " ".join(".*?".join(map(re.escape, word.split("…"))) for word in line.split())
                + "\n"
            )
    tidy = "".join(" ".join(line.split()) + "\n" for line in output.strip().splitlines())
    return re.fullmatch(pattern, tidy) is not None


class Page:
    """Runs blocks one after the other: Python in one namespace and one event loop, the
    rest in the working folder.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._module = types.ModuleType("__main__")
        self._runner = asyncio.Runner()

    def run(self, blocks: list[Block]) -> None:
        sys.modules["__main__"] = self._module
        with self._runner:
            for block in blocks:
                print(f"--- {self._name}:{block.line} {block.language}", flush=True)
                if block.norun is None:
                    self._run(block)
                elif block.language == "python":
                    self._compile(block)

    def _run(self, block: Block) -> None:
        match block.language:
            case "python":
                code = self._compile(block)
                if "title" not in block.options:
                    self._execute(code)
            case "toml":
                tomllib.loads(block.code)
            case "json":
                json.loads(block.code)
            case "sh" | "console" if "title" not in block.options:
                for command in read_commands(block.code):
                    run_command(
                        command,
                        status=int(block.options.get("status", "0")),
                        interrupt="interrupt" in block.options,
                    )
        if "title" in block.options:
            self._write(Path(block.options["title"]), block.code)

    def _compile(self, block: Block) -> types.CodeType:
        padding = "\n" * (block.line - 1)
        code: types.CodeType = compile(
            padding + block.code,
            self._name,
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
            dont_inherit=True,
        )
        return code

    def _execute(self, code: types.CodeType) -> None:
        if code.co_flags & inspect.CO_COROUTINE:
            self._runner.run(types.FunctionType(code, vars(self._module))())
        else:
            exec(code, vars(self._module))

    def _write(self, path: Path, code: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
        importlib.invalidate_caches()
        sys.modules.pop(".".join(path.with_suffix("").parts), None)


def run_command(command: Command, *, status: int, interrupt: bool) -> None:
    """Run a command by /bin/sh, bounded; with `interrupt` until its output is as
    expected, then Ctrl-C.
    """
    print(f"$ {command.line}", flush=True)
    output: list[str] = []
    seen = threading.Event()
    with subprocess.Popen(
        ["/bin/sh", "-e", "-c", command.line],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        timer = threading.Timer(COMMAND_BOUND, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            output.append(line)
            if (
                interrupt
                and not seen.is_set()
                and matches(f"{command.output or ''}\n…", "".join(output))
            ):
                seen.set()
                os.killpg(process.pid, signal.SIGINT)
        ended = process.wait()
        timer.cancel()
    if interrupt and not seen.is_set():
        raise PageError(
            f"expected the output of {command.line!r} within {COMMAND_BOUND:.0f} s to begin "
            f"with\n{command.output}"
        )
    if ended not in (INTERRUPTED if interrupt else (status,)):
        raise PageError(f"expected {command.line!r} to end with status {status}, got {ended}")
    if (
        not interrupt
        and command.output is not None
        and not matches(command.output, "".join(output))
    ):
        raise PageError(f"expected {command.line!r} to print\n{command.output}")


def main() -> None:
    """Run a page; the status is 1, and the reason printed last, when a block fails."""
    page = Path(sys.argv[1])
    sys.path[0] = str(Path.cwd())
    try:
        Page(page.name).run(read_blocks(page.read_text()))
    except PageError as error:
        print(f"FAILED: {error}")
        sys.exit(1)
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        sys.exit(1)


if __name__ == "__main__":
    main()
