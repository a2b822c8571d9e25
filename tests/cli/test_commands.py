"""``elihu commands``: what people keep, change, import and export."""

import json
from pathlib import Path

import pytest

from elihu.cli.commands.transfer import local_zone
from elihu.commands.secrets import new_key
from tests.cli.shell import Shell

pytestmark = pytest.mark.sqlite_first


@pytest.fixture
def kept(shell: Shell) -> Shell:
    """A shell with the tables of the scheduler and a key file."""
    key = shell.folder / "secret.key"
    key.write_text(f"{new_key()}\n")
    key.chmod(0o600)
    shell.environ["ELIHU_SECRET_KEY_FILE"] = str(key)
    shell("migrate", "--commands")
    return shell


def test_add_list_and_change(kept: Shell) -> None:
    added = kept(
        "commands", "add", "Backup", "backup --all", "--timeout", "600", "--cron", "@daily"
    )
    assert added == "command Backup added\n"
    kept("commands", "add", "report", "report", "--disabled", "--mode", "argv")
    assert kept("commands", "ls") == (
        "name    enabled  crons   environments  timeout  overlap  shell_command\n"
        "Backup  yes      @daily  default       600      skip     backup --all\n"
        "report  no       -       -             60       skip     report\n"
    )
    changed = kept(
        "commands", "edit", "BACKUP", "--name", "backup", "--command", "b", "--rerun-lost"
    )
    assert changed == "command backup changed\n"
    assert kept("commands", "disable", "backup") == "command backup disabled\n"
    assert kept("commands", "enable", "report", "backup") == (
        "command report enabled\ncommand backup enabled\n"
    )
    first, second = kept.json("commands", "ls")["items"]
    assert (first["name"], first["shell_command"], first["rerun_lost"]) == ("backup", "b", True)
    assert (first["crons"], first["environments"]) == (["@daily"], ["default"])
    assert (second["mode"], second["enabled"], second["timeout"]) == ("argv", True, 60.0)
    page = kept.json("commands", "ls", "--limit", "1")
    assert page["next"] == first["id"]
    rest = kept.json("commands", "ls", "--after", page["next"])
    assert [each["name"] for each in rest["items"]] == ["report"]
    assert kept.json("commands", "edit", first["id"], "--timeout", "5")["timeout"] == 5.0


def test_a_schedule_uses_what_is_there(kept: Shell) -> None:
    kept("commands", "add", "a", "true", "--cron", "0 3 * * *", "--timezone", "Europe/Oslo")
    kept("commands", "add", "b", "true", "--cron", "0  3 * * *", "--timezone", "Europe/Oslo")
    again = ("--cron", "0 3 * * * Europe/Oslo", "--environment", "Prod", "--environment", "test")
    kept("commands", "add", "c", "true", *again)
    kept("commands", "add", "d", "true", "--environment", "PROD")
    text = kept("commands", "export")
    assert text.count("[[cron]]") == 1
    assert text.count("[[environment]]") == 3
    last = kept.json("commands", "ls")["items"][-1]
    assert (last["crons"], last["environments"]) == ([], ["Prod"])


REFUSALS: tuple[tuple[tuple[str, ...], int, str], ...] = (
    (("add", "a", "true", "--timeout", "-1"), 2, "--timeout: expected seconds above 0"),
    (("add", "a", " "), 2, "COMMAND: expected a command, got blanks alone"),
    (("add", "a", "echo 'x", "--mode", "argv"), 2, "no closing quotation"),
    (("add", "a", "true", "--cron", "61 * * * *"), 2, "--cron: "),
    (("add", "kept", "true"), 1, "expected a name that is free"),
    (("edit", "kept"), 2, "expected at least one option to change"),
    (("edit", "kpet", "--timeout", "1"), 1, "did you mean 'kept'?"),
    (("disable", "none"), 1, "command 'none' not found"),
    (("run", "kept"), 1, "command has no scheduled environments"),
    (("run", "kept", "--in", "0.5"), 2, "--in: expected 1 to"),
    (("run", "kept", "--environment", "x"), 1, "environment 'x' not found"),
    (("run", "kept", "--follow", "--json"), 2, "expected --follow or --json"),
    (("retry",), 2, "expected a run or --last-failed, got neither"),
    (("retry", "--last-failed", "kept"), 1, "command has no failed run"),
    (("kill", "01a22a3a-6b43-7d7f-838f-cdcf8be8b3b5"), 1, "not found"),
    (("output", "x"), 2, "is not a valid UUID"),
    (("lss",), 2, "did you mean 'ls'?"),
)


def test_refusals(kept: Shell) -> None:
    kept("commands", "add", "kept", "true")
    for arguments, status, message in REFUSALS:
        assert message in kept.refused("commands", *arguments, status=status)
    assert [each["name"] for each in kept.json("commands", "ls")["items"]] == ["kept"]


def test_absent_tables(shell: Shell) -> None:
    assert "elihu migrate --commands" in shell.refused("commands", "ls", status=1)


CRONTAB = """MAILTO=root
DAY=monday
PGPASSWORD=hunter22
0 3 * * * backup --all
@hourly report $DAY
61 * * * * never
"""


def test_a_crontab(kept: Shell) -> None:
    (kept.folder / "tab").write_text(CRONTAB)
    arguments = ("commands", "import", "tab", "--timezone", "Europe/Oslo")
    dry = kept.run(*arguments, "--dry-run")
    assert dry.stdout.endswith("9 created; nothing stored (--dry-run)\n")
    assert dry.stderr.splitlines()[0] == (
        "elihu: line 1: MAILTO=root: MAILTO is not taken: add an alert instead"
    )
    assert "line 6: 61 * * * * never: " in dry.stderr
    assert "line 3: PGPASSWORD is named like a secret" in dry.stderr
    assert "hunter22" not in dry.stdout + dry.stderr
    assert kept.json("commands", "ls")["items"] == []
    assert kept(*arguments).endswith("9 created\n")
    assert kept(*arguments) == "9 unchanged\n"
    assert [
        (each["name"], each["crons"], each["environments"])
        for each in kept.json("commands", "ls")["items"]
    ] == [
        ("backup --all", ["0 3 * * * Europe/Oslo"], ["crontab"]),
        ("report $DAY", ["@hourly Europe/Oslo"], ["crontab"]),
    ]
    printed = json.loads(kept.run(*arguments, "--json").stdout)
    assert [each["line"] for each in printed["refused"]] == [1, 6]
    assert [each["name"] for each in printed["warnings"]] == ["PGPASSWORD"]
    assert printed["stored"] is True
    system = "* * * * * nobodyatall true\n* * * * * root\n"
    done = kept.run("commands", "import", "-", "--format", "system-crontab", text=system)
    assert done.stdout == "nothing to do\n"
    assert "runs as nobodyatall" in done.stderr


def test_export_and_import(kept: Shell, tmp_path: Path) -> None:
    kept("commands", "add", "Backup", "backup", "--cron", "@daily")
    file = tmp_path / "set-up.toml"
    assert kept("commands", "export", str(file)) == ""
    assert kept("commands", "export") == file.read_text()
    assert kept("commands", "import", str(file)) == "4 unchanged\n"
    file.write_text(
        file.read_text().replace('"backup"', '"backup -v"')
        + '\n[[variable]]\nname = "KEY"\nsecret = true\n'
    )
    assert kept("commands", "import", str(file)) == (
        "action     item              fields\n"
        "updated    command 'Backup'  shell_command: 'backup' → 'backup -v'\n"
        "no secret  variable 'KEY'    "
        "no value: add --secrets FILE, or write it on the page of variables\n"
        "3 unchanged, 1 updated, 1 no secret\n"
    )
    secrets = tmp_path / "secrets.toml"
    secrets.write_text('KEY = "hunter22"\n')
    stored = kept("commands", "import", str(file), "--secrets", str(secrets))
    assert stored.endswith("4 unchanged, 1 created\n")
    assert kept("commands", "rotate-key").startswith("1 secret encrypted with the key ")
    before = kept.json("commands", "rotate-key", "--keep-old")
    after = kept.json("commands", "rotate-key", "--reencrypt-only")
    assert before == {"encrypted": 1, "key": after["key"]}
    assert after["encrypted"] == 0
    file.write_text('version = 1\n[[environment]]\nname = "default"\n')
    assert "deleted" in kept("commands", "import", str(file), "--prune")
    assert kept("commands", "export").count("[[") == 1


def test_the_zone_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    link = tmp_path / "localtime"
    for named, zone in (
        ("Asia/Tokyo", "Asia/Tokyo"),
        (":Asia/Tokyo", "Asia/Tokyo"),
        (str(link), "Europe/Oslo"),
        ("/nowhere", "UTC"),
    ):
        link.unlink(missing_ok=True)
        link.symlink_to("/usr/share/zoneinfo/Europe/Oslo")
        monkeypatch.setenv("TZ", named)
        assert local_zone() == zone
    link.unlink()
    link.symlink_to("/usr/share/zoneinfo/Etc/UTC")
    monkeypatch.setenv("TZ", str(link))
    assert local_zone() == "UTC"


REFUSED_IMPORTS: tuple[tuple[tuple[str, ...], int, str], ...] = (
    (("wrong.toml",), 1, "wrong.toml: nothing stored: cron[1].expresion: "),
    (("wrong.toml", "--any-user"), 2, "--any-user: expected another format, got toml"),
    (("tab", "--prune"), 2, "--prune: expected another format, got crontab"),
    (("absent.toml",), 2, "absent.toml: No such file or directory"),
    (("right.toml", "--secrets", "tab"), 1, 'tab: expected lines NAME = "value" of TOML'),
)


def test_refused_imports(kept: Shell) -> None:
    (kept.folder / "wrong.toml").write_text("version = 1\n[[cron]]\nexpresion = 'x'\n")
    (kept.folder / "right.toml").write_text("version = 1\n")
    (kept.folder / "tab").write_text("@daily true\n")
    for arguments, status, message in REFUSED_IMPORTS:
        assert message in kept.refused("commands", "import", *arguments, status=status)


def test_changes_leave_audit_rows(kept: Shell) -> None:
    kept("users", "add", "anna", "--role", "admin", "--no-password")
    kept("commands", "add", "a", "true", "--environment", "prod")
    kept("commands", "edit", "a", "--timeout", "5")
    kept("commands", "run", "a")
    text = kept("audit", "ls", "--json")
    actions = [each["action"] for each in json.loads(text)]
    assert actions[:3] == ["command.run", "command.change", "command.add"]


def test_a_test_of_an_alert_is_a_job(kept: Shell) -> None:
    (kept.folder / "alerts.toml").write_text(
        'version = 1\n[[alert]]\nname = "Ops"\non = ["failed"]\n'
        'channel = "email"\ntarget = "ops@example.org"\n'
    )
    kept("commands", "import", "alerts.toml")
    assert kept("commands", "test-alert", "ops") == (
        "test of alert Ops is enqueued, to ops@example.org\n"
    )
    (job,) = kept.json("jobs", "ls", "--queue", "commands_alerts")["items"]
    assert job["args"]["event"] == "test"
    assert "alert 'opss' not found" in kept.refused("commands", "test-alert", "opss", status=1)
