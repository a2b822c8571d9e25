"""Which names count as those of secrets."""

import pytest

from elihu.secret_names import is_secret_name


@pytest.mark.parametrize(
    "name",
    [
        *("PASSWORD", "PGPASSWORD", "db_password", "password_2", "RESTIC_PASSWORD_FILE"),
        *("MYSQL_PWD", "DBPWD", "userPwd", "PASSWD", "ROOT_PASSWD", "GPG_PASSPHRASE"),
        *(
            "PASS",
            "SMTP_PASS",
            "SMTPPASS",
            "smtpPass",
            "smtp-pass",
            "DB_PASS_2",
            "FTP.PASS",
            "pass1",
        ),
        *("API_TOKEN", "githubToken", "CLIENT_SECRET", "API_KEY", "apikey", "Authorization"),
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("PWD", "OLDPWD", "pwd", "COMPASS", "DATA_COMPASS", "compass", "BYPASS", "proxy_bypass"),
        *(
            "PASSES",
            "PASSENGER",
            "pass_rate",
            "PASSIVE",
            "PASSPORT_COUNTRY",
            "bypass2",
            "ENCOMPASS",
        ),
        *("PATH", "USER", "MAILTO", "SMTP_HOST", "PWD_DEPTH", "", "1", "to", "amount"),
    ],
)
def test_names_of_other_values(name: str) -> None:
    assert not is_secret_name(name)
