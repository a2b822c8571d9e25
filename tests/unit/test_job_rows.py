"""The columns of a job: one list for the statements of both engines and for ``Job``."""

import re
from dataclasses import fields
from importlib.resources import files

import pytest

from elihu.engines.postgres import rows as postgres_rows
from elihu.engines.rows import JOB_COLUMNS, JobRows
from elihu.engines.sqlite import rows as sqlite_rows
from elihu.job import Job

STATEMENTS = {
    f"{engine}/{file.name}": file.read_text("utf-8")
    for engine in ("postgres", "sqlite")
    for file in (files("elihu.engines") / engine / "sql").iterdir()
    if file.name.endswith(".sql")
}
MARKED = [name for name, text in STATEMENTS.items() if "/* job columns" in text]


def test_the_columns_are_the_fields_of_a_job() -> None:
    assert set(JOB_COLUMNS) == {field.name for field in fields(Job)} - {"conflict"}
    assert len(set(JOB_COLUMNS)) == len(JOB_COLUMNS)


@pytest.mark.parametrize(
    ("rows", "text_rows"),
    [(postgres_rows.ROWS, postgres_rows.TEXT_ROWS), (sqlite_rows.ROWS, sqlite_rows.TEXT_ROWS)],
    ids=["postgres", "sqlite"],
)
def test_both_forms_name_only_columns_of_a_job(rows: JobRows, text_rows: JobRows) -> None:
    for form in (rows, text_rows):
        assert set(form.expressions) <= set(JOB_COLUMNS)
        assert "/*" not in form.select(form.mark)


def test_both_engines_mark_the_same_statements() -> None:
    assert len(MARKED) >= 10
    text_form = [name for name in MARKED if "/* job columns as text */" in STATEMENTS[name]]
    assert sorted(text_form) == [
        "postgres/in_transaction_holders.sql",
        "postgres/in_transaction_unfinished.sql",
        "sqlite/in_transaction_holders.sql",
        "sqlite/in_transaction_unfinished.sql",
    ]


def test_no_statement_lists_the_columns_itself() -> None:
    listing = re.compile(r"SELECT[^;]*\bunique_key\b[^;]*\bfinished_at\b[^;]*\bprogress\b")
    assert [name for name, text in STATEMENTS.items() if listing.search(text)] == []
