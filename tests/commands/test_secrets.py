"""The key file, and texts encrypted with its keys."""

import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from elihu import Config, SecretError
from elihu.commands.secrets import (
    add_key,
    drop_old_keys,
    key_file,
    load_keyring,
    make_key_file,
    new_key,
)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(database_url=f"sqlite:///{tmp_path}/jobs.db")


def test_the_file_is_made_once_for_its_owner_alone_beside_the_database(
    config: Config, tmp_path: Path
) -> None:
    path = make_key_file(config)
    assert path == tmp_path / "jobs.db.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert make_key_file(config) is None
    assert path.read_text() == text
    assert [each.name for each in tmp_path.iterdir()] == ["jobs.db.key"]


def test_a_key_that_is_given_makes_no_file(config: Config, tmp_path: Path) -> None:
    assert make_key_file(replace(config, secret_key=new_key())) is None
    assert list(tmp_path.iterdir()) == []


def test_the_setting_names_the_file(config: Config, tmp_path: Path) -> None:
    other = replace(config, secret_key_file=str(tmp_path / "other"))
    assert make_key_file(other) == tmp_path / "other"
    assert key_file(replace(config, database_url="postgresql://h/d")) == Path.cwd() / "elihu.key"


def test_an_encrypted_text_differs_each_time_and_names_its_key(config: Config) -> None:
    make_key_file(config)
    ring = load_keyring(config)
    first, second = ring.encrypt("häß\0lich", "a"), ring.encrypt("häß\0lich", "a")
    assert first != second
    assert first.split(".")[1] == ring.current
    assert ring.decrypt(first, "a") == ring.decrypt(second, "a") == "häß\0lich"
    with pytest.raises(SecretError, match="b: the secret was changed"):
        ring.decrypt(first, "b")


def test_a_new_key_encrypts_and_the_old_ones_still_decrypt(config: Config) -> None:
    make_key_file(config)
    old = load_keyring(config).encrypt("hidden", "a")
    path = add_key(config)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ring = load_keyring(config)
    assert ring.decrypt(old, "a") == "hidden"
    assert not ring.is_current(old)
    new = ring.encrypt("hidden", "a")
    assert ring.is_current(new)
    drop_old_keys(config)
    ring = load_keyring(config)
    assert ring.decrypt(new, "a") == "hidden"
    with pytest.raises(SecretError, match="expected a secret of one of the keys"):
        ring.decrypt(old, "a")


def test_a_file_that_others_may_read_is_refused(config: Config) -> None:
    path = make_key_file(config)
    assert path is not None
    path.chmod(0o640)
    with pytest.raises(SecretError, match=r"got mode 0640: chmod 600 it"):
        load_keyring(config)


@pytest.mark.parametrize("text", ["short", "!" * 44, "", "x" * 44 + " y"])
def test_a_key_of_the_wrong_form_is_refused_and_not_shown(config: Config, text: str) -> None:
    path = key_file(config)
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SecretError, match="expected keys of 32 bytes in base64") as caught:
        load_keyring(config)
    assert not text or text not in str(caught.value)


def test_without_a_key_the_error_says_where_to_give_one(config: Config) -> None:
    ring = load_keyring(config)
    use: list[Callable[[str, str], str]] = [ring.encrypt, ring.decrypt]
    for verb in use:
        with pytest.raises(SecretError, match=r"ELIHU_SECRET_KEY.*jobs\.db\.key"):
            verb("x", "a")


def test_keys_cannot_be_added_to_the_environment(config: Config) -> None:
    with pytest.raises(SecretError, match="put a new key before the others there"):
        add_key(replace(config, secret_key=new_key()))


def test_a_folder_that_is_not_there_is_named(config: Config, tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="expected a folder to write a key file in"):
        make_key_file(replace(config, secret_key_file=str(tmp_path / "none" / "key")))
