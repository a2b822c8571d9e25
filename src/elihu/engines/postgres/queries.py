"""The statements of this engine: one verb a file under ``sql/``, written for the schema
``elihu``.
"""

import re
from functools import cache
from pathlib import Path
from typing import Final

from elihu.clock import TEST_SCHEMAS
from elihu.engines.ahead import with_ahead, without_ahead
from elihu.engines.postgres.filters import Where
from elihu.engines.postgres.rows import ROWS, TEXT_ROWS

_FOLDER: Final = Path(__file__).with_name("sql")
_COMMENT_LINES: Final = re.compile(r"^[ \t]*--.*\n", re.MULTILINE)
_SCHEMA: Final = re.compile(r"\belihu\.")
_CLOCK: Final = re.compile(r"\b(?:now|statement_timestamp|clock_timestamp)\(\)")
_FILTER: Final = "/* filter */"
_CLAIMS: Final = "exchange_claims"
"""A part of three statements, which takes the place of its mark."""
_PLAIN: Final = "exchange_plain"
_FETCH: Final = "exchange_fetch"
_PLAIN_AHEAD: Final = "exchange_plain_ahead"
"""That statement where claims wait in the node."""


def in_schema(sql: str, schema: str) -> str:
    """The text for the schema of that (validated) name in place of ``elihu``."""
    text = _SCHEMA.sub(f'"{schema}".', sql)
    return _CLOCK.sub(rf'"{schema}".\g<0>', text) if schema in TEST_SCHEMAS else text


class Queries:
    """The statements by name, with the schema's name in them.

    Each call returns the same text object for a name: the driver looks up prepared
    statements by their text.
    """

    def __init__(self, schema: str) -> None:
        texts = {
            file.name.removesuffix(".sql"): _COMMENT_LINES.sub("", file.read_text(encoding="utf-8"))
            for file in _FOLDER.glob("*.sql")
        }
        claims = texts.pop(_CLAIMS)
        texts[_PLAIN_AHEAD] = texts[_PLAIN]
        self._texts = {
            name: in_schema(_complete(name, text, claims), schema).strip()
            for name, text in texts.items()
        }
        self._filtered: dict[tuple[str, str], str] = {}

    def __getitem__(self, name: str) -> str:
        return self._texts[name]

    def filtered(self, name: str, where: Where) -> str:
        """The statement with the conditions of ``where`` at its mark."""
        found = self._filtered.get((name, where.sql))
        if found is None:
            found = self._filtered[name, where.sql] = self._texts[name].replace(_FILTER, where.sql)
        return found


def _complete(name: str, text: str, claims: str) -> str:
    sql = _with_columns(text.replace(f"/* {_CLAIMS} */", claims))
    return without_ahead(sql) if name in {_PLAIN, _FETCH} else with_ahead(sql)


def _with_columns(sql: str) -> str:
    return TEXT_ROWS.select(ROWS.select(sql))


queries = cache(Queries)
"""The statements for a schema, read once in a process."""
