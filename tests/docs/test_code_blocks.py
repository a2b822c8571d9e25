"""Every fenced code block of README.md and docs/**/*.md runs.

The blocks of a page run from top to bottom in a fresh folder. No ELIHU_* variable is
set, so the database is an SQLite file in that folder.

| block | what happens |
| --- | --- |
| ```python | runs, in one namespace per page; `await` is allowed outside functions |
| ```python title="tasks.py" | is written as that file, also in toml, json, sql, … |
| ```sh or ```console | runs in /bin/sh, with the commands of .venv |
| ```sh status="2" | each command must exit with this status instead of 0 |
| ```sh interrupt | each command gets Ctrl-C when it has printed what is shown |
| ```toml, ```json | is parsed |
| ```sql, ```text, ```ini, ```html | is not checked |
| norun="REASON" | Python is compiled only, other languages are not checked |

In a shell block, lines that begin with `$ ` are the commands, and the lines below each
are its output. `…` is any text, a line of `…` is any number of lines, and white space
counts as one space. A reader of the page's source sees the reason of a `norun`.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import run_page
from tests.fixtures.warm import Warm

ROOT = Path(__file__).parents[2]
PAGES = [
    page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if page.exists()
]
PAGE_BOUND = 170


def run(page: Path, folder: Path, warm: Warm) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ELIHU_", "COV", "PYTEST_"))
    }
    environment |= {
        "PATH": f"{warm.bin}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "NO_COLOR": "1",
        "COLUMNS": "120",
        "LC_ALL": "C.UTF-8",
    }
    return warm.run((str(page),), folder, environment, "", PAGE_BOUND, run_page.__file__)


@pytest.mark.timeout(PAGE_BOUND + 10)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page(page: Path, tmp_path: Path, warm: Warm) -> None:
    done = run(page, tmp_path, warm)
    assert done.returncode == 0, done.stdout + done.stderr


GOOD = """
# Page

```python title="greetings/words.py"
WORD = "hello"
```

- in a list

  ```python
  import asyncio
  from greetings.words import WORD

  await asyncio.sleep(0)
  ```

```python
assert WORD == "hello"
```

```console
$ python -c 'from greetings.words import WORD; \\
print(WORD, 12345)'
hello     12…5
$ printf 'a\\nb\\nc\\n'
…
c
```

```sh interrupt
$ python -c 'import time; print("ready", flush=True); time.sleep(60)' 2>/dev/null || true
ready
```

```sh status="3"
exit 3
```

```python norun="it needs a server"
await connect("postgresql://…")
```
"""


def test_a_good_page_passes(tmp_path: Path, warm: Warm) -> None:
    page = tmp_path / "page.md"
    page.write_text(GOOD)
    done = run(page, tmp_path, warm)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```python\nassert 1 == 2\n```", r'page\.md", line 2'),
        ('```python norun="some reason"\n1 +\n```', "SyntaxError"),
        ("```python norun\n1\n```", 'expected norun="REASON", got no reason'),
        ("```perl\n1\n```", "line 2: expected a block's language"),
        ("```\n1\n```", "line 2: expected a block's language"),
        ('```sh tittle="x"\ntrue\n```', "expected title="),
        ("```sh title=x\ntrue\n```", 'expected options as NAME or NAME="VALUE"'),
        ("```sh\nfalse\ntrue\n```", "to end with status 0, got 1"),
        ("```sh\n$ echo one\ntwo\n```", "to print\ntwo"),
        ("```sh interrupt\n$ echo one\ntwo\n```", "to begin with\ntwo"),
        ("```toml\n= 1\n```", "TOMLDecodeError"),
    ],
)
def test_a_wrong_block_fails(text: str, complaint: str, tmp_path: Path, warm: Warm) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    done = run(page, tmp_path, warm)
    assert done.returncode == 1
    assert re.search(complaint, done.stdout), done.stdout


@pytest.mark.parametrize(
    ("expected", "output", "same"),
    [
        ("a b", "a  b\n", True),
        ("a…", "a b c\n", True),
        ("a … c", "a b c\n", True),
        ("a\n…\nd", "a\nb\nc\nd\n", True),
        ("a\n…", "a\n", True),
        ("a", "a\nb\n", False),
        ("a.", "ab\n", False),
        ("", "", True),
    ],
)
def test_outputs_are_compared_loosely(expected: str, output: str, same: bool) -> None:
    assert run_page.matches(expected, output) is same
