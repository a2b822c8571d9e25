"""``elihu migrate --sql --from``."""

from elihu.engines.sqlite.migrations import NEWEST
from tests.cli.shell import Shell


def test_the_script_begins_after_the_version_that_it_is_told(shell: Shell) -> None:
    assert "CREATE TABLE" in shell("migrate", "--sql", "--from", "0")
    rest = shell("migrate", "--sql", "--from", "1")
    assert "CREATE TABLE" not in rest
    assert "run_ends_with_job" in rest
    assert "schema_version" not in shell("migrate", "--sql", "--from", str(NEWEST))


def test_from_alone_is_wrong_use(shell: Shell) -> None:
    assert "--sql" in shell.refused("migrate", "--from", "1", status=2)


def test_migrate_makes_them_where_asked(shell: Shell) -> None:
    assert "commands" not in shell("migrate")
    assert "tables of commands: migrated to version 2" in shell("migrate", "--commands")
    assert "command_job_occurrence" in shell("migrate", "--commands", "--sql")
