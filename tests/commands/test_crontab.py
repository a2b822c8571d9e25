"""Crontabs, line by line: what each would make, and what it could not."""

import subprocess

import pytest

from elihu.commands.crontab import CrontabEntry, read_crontab


def only(text: str, **options: object) -> CrontabEntry:
    crontab = read_crontab(text, **options)  # type: ignore[arg-type]
    assert crontab.refusals == ()
    (entry,) = crontab.entries
    return entry


@pytest.mark.parametrize(
    ("line", "expression", "command"),
    [
        ("* * * * * true", "* * * * *", "true"),
        ("*/5 1-3,7 * JAN mon echo a  b", "*/5 1-3,7 * JAN mon", "echo a  b"),
        (" \t0\t4 *  * *\t\techo tabs ", "0 4 * * *", "echo tabs"),
        ("@daily backup", "@daily", "backup"),
        ("@Hourly echo x", "@hourly", "echo x"),
        ("@midnight echo x", "@midnight", "echo x"),
        ("@weekly echo x", "@weekly", "echo x"),
        ("@annually echo x", "@annually", "echo x"),
        ("@reboot echo x", "@reboot", "echo x"),
        ("@every_minute echo x", "* * * * *", "echo x"),
        ("-0 4 * * * echo quiet", "0 4 * * *", "echo quiet"),
        ("0 0 * * 7 echo a # no comment here", "0 0 * * 7", "echo a # no comment here"),
        ("* * * * * date +\\%F", "* * * * *", "date +%F"),
        ("* * * * * echo a=b", "* * * * *", "echo a=b"),
        ("* * * * * A=1 run\r", "* * * * *", "A=1 run"),
    ],
)
def test_a_line(line: str, expression: str, command: str) -> None:
    entry = only(line)
    assert (entry.expression, entry.shell_command) == (expression, command)
    assert (entry.user, entry.line, entry.working_directory) == (None, 1, None)


@pytest.mark.parametrize(
    "text", ["", "\n\n", "# comment", "  # * * * * * echo", "\t", "\ufeff# begins with a mark"]
)
def test_nothing(text: str) -> None:
    assert read_crontab(text) == read_crontab("")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("* * * * *", "expected a command"),
        ("* * * * * %input", "expected a command"),
        ("* * * *", "expected five fields and a command, got 4 fields"),
        ("@daily", "expected a command"),
        ("17 * * * *\troot\tcd / && true", "got the user root: take the format system-crontab"),
        ("61 * * * * echo x", "minute"),
        ("0 0 30 2 * echo x", "never"),
        ("@sometimes echo x", "@sometimes"),
        ("5/15 * * * * echo x", "5/15"),
        ("MAILTO=root", "MAILTO is not taken: add an alert instead"),
        ("CRON_TZ = Europe/Oslo", "CRON_TZ is not taken: name the time zone of the crons instead"),
        ("LOGNAME=root", "LOGNAME is not taken"),
        ("A-B=c", "expected a name of a letter"),
        ("* * * * * cat%ELIHU_INPUT", "its input has a line ELIHU_INPUT"),
    ],
)
def test_a_refusal_names_its_line_and_reason(line: str, reason: str) -> None:
    crontab = read_crontab(f"# first\n{line}\n@daily echo kept")
    (refusal,) = crontab.refusals
    assert (refusal.line, refusal.text) == (2, line)
    assert reason in refusal.reason
    assert [(each.line, each.shell_command) for each in crontab.entries] == [(3, "echo kept")]


def test_variables_are_those_above_the_line() -> None:
    crontab = read_crontab(
        'A=1\n@daily first\nA = "two words  "\n B=\'it"s\'\nC = a "b" c  \n\'D\'=\n@daily second\n'
    )
    first, second = crontab.entries
    assert first.variables == {"A": "1"}
    assert second.variables == {"A": "two words  ", "B": 'it"s', "C": 'a "b" c', "D": ""}
    assert crontab.refusals == ()


def test_home_is_the_working_directory() -> None:
    assert only("HOME=/srv/app\n@daily run").working_directory == "/srv/app"
    assert only("HOME=/srv/app\n@daily run").variables == {}


def test_path_is_exported_by_the_command() -> None:
    entry = only("PATH=/opt/my bin:/usr/bin\n@daily run")
    assert entry.shell_command == "export PATH='/opt/my bin:/usr/bin'\nrun"
    assert entry.variables == {}


def run(command: str) -> str:
    return subprocess.run(
        ["/bin/sh", "-c", command], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("* * * * * cat", ""),
        ("* * * * * cat%", "\n"),
        ("* * * * * cat%one", "one\n"),
        ("* * * * * cat%one%two\\%", "one\ntwo%\n"),
        ("* * * * * cat%$HOME `x` \\a", "$HOME `x` \\a\n"),
        ("* * * * * cat # comment%one", "one\n"),
        ("* * * * * read a; echo $a; cat%one%two", "one\ntwo\n"),
        ("SHELL=/bin/bash\n* * * * * [[ -n $BASH_VERSION ]] && echo 'it is'", "it is\n"),
        ('SHELL=/bin/bash\n* * * * * read a; echo "<$a>"%x y', "<x y>\n"),
    ],
)
def test_the_command_does_what_cron_does(line: str, output: str) -> None:
    command = only(line).shell_command
    assert run(f"exec < /dev/null\n{command}") == output


SYSTEM = """SHELL=/bin/sh
17 *	* * *	root	cd / && run-parts --report /etc/cron.hourly
25 6	* * *	www-data	test -x /usr/sbin/anacron || { cd / && run-parts /etc/cron.daily; }
* * * * * root
"""


def test_the_format_of_the_system() -> None:
    crontab = read_crontab(SYSTEM, system=True)
    assert [(each.line, each.user, each.expression) for each in crontab.entries] == [
        (2, "root", "17 * * * *"),
        (3, "www-data", "25 6 * * *"),
    ]
    assert crontab.entries[0].shell_command == "cd / && run-parts --report /etc/cron.hourly"
    (refusal,) = crontab.refusals
    assert (refusal.line, refusal.reason) == (4, "expected a user and a command")


def test_lines_of_other_users_are_refused() -> None:
    crontab = read_crontab(SYSTEM, system=True, user="root")
    assert [each.line for each in crontab.entries] == [2]
    assert crontab.refusals[0].reason == "runs as www-data, and commands here run as root"


def test_variables_named_like_a_secret_are_told_without_their_value():
    text = "PGPASSWORD=hunter22\nAPI_TOKEN=\nREGION=eu\n@daily pg_dump\nMY_KEY=unused22\n"
    warnings = read_crontab(text).warnings
    assert [(each.line, each.name) for each in warnings] == [(1, "PGPASSWORD")]
    assert "hunter22" not in repr(warnings)
    assert "secret variable" in warnings[0].reason
