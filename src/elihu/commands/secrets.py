"""Encryption of secrets at rest: AES-256-GCM, with the id of its key in each text.

The keys come from ``secret_key`` or the file ``secret_key_file``; the first one encrypts,
all of them decrypt, so that a key can be replaced while nodes run.
"""

import base64
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from elihu import Config, SecretError

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_FORMAT: Final = "1"
_SQLITE: Final = "sqlite:///"


class Keyring:
    """The keys of a process. Without any, ``encrypt`` and ``decrypt`` raise
    ``SecretError``, which says where to give one.
    """

    def __init__(self, keys: Sequence[bytes], source: str) -> None:
        self._keys = {key_id(key): key for key in reversed(keys)}
        self._source = source
        self.current: str | None = key_id(keys[0]) if keys else None
        """The id of the key that encrypts."""

    def encrypt(self, text: str, owner: str) -> str:
        """The encrypted text. Only the same ``owner`` can decrypt it."""
        if self.current is None:
            raise self._missing()
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(self._keys[self.current]).encrypt(nonce, text.encode(), owner.encode())
        return f"{_FORMAT}.{self.current}.{base64.b64encode(nonce + sealed).decode()}"

    def decrypt(self, stored: str, owner: str) -> str:
        """The text. Raises ``SecretError`` for another key's, owner's or a changed one."""
        if not self._keys:
            raise self._missing()
        form, _, rest = stored.partition(".")
        key, _, data = rest.partition(".")
        if form != _FORMAT or key not in self._keys:
            raise SecretError(
                f"{owner}: expected a secret of one of the keys {', '.join(self._keys)} "
                f"({self._source}), got one of the key {key or stored[:8]!r}"
            )
        sealed = base64.b64decode(data)
        cipher = AESGCM(self._keys[key])
        try:
            text = cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], owner.encode())
        except InvalidTag:
            raise SecretError(
                f"{owner}: the secret was changed in the database: write it again"
            ) from None
        return str(text, "utf-8")

    def is_current(self, stored: str) -> bool:
        """Whether the current key encrypted it."""
        return self.current is not None and stored.startswith(f"{_FORMAT}.{self.current}.")

    def _missing(self) -> SecretError:
        return SecretError(
            "expected a key for secrets in ELIHU_SECRET_KEY or in the file that "
            f"ELIHU_SECRET_KEY_FILE names, got none ({self._source}): elihu up makes a file"
        )


def key_id(key: bytes) -> str:
    """A short name of a key that reveals nothing of it."""
    return hashlib.sha256(b"elihu key " + key).hexdigest()[:8]


def new_key() -> str:
    """A new random key, as text."""
    return base64.urlsafe_b64encode(os.urandom(KEY_BYTES)).decode()


def key_file(config: Config) -> Path:
    """The file with the keys: ``secret_key_file``, else one beside the database, else one
    in the folder of the configuration file or the working folder.
    """
    if config.secret_key_file is not None:
        return Path(config.secret_key_file).absolute()
    if config.database_url.startswith(_SQLITE):
        path = Path(config.database_url.removeprefix(_SQLITE))
        return path.with_name(f"{path.name}.key")
    folder = config.file.parent if config.file else Path.cwd()
    return folder / "elihu.key"


def load_keyring(config: Config) -> Keyring:
    """The keys of the configuration; none where there is no file. Raises ``SecretError``
    for a key of the wrong form, and for a file that others may read.
    """
    if config.secret_key is not None:
        return Keyring(_parse(config.secret_key, "ELIHU_SECRET_KEY"), "ELIHU_SECRET_KEY")
    path = key_file(config)
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Keyring((), f"no file {path}")
    except (OSError, UnicodeDecodeError) as error:
        raise SecretError(f"{path}: expected a file with keys, got {error}") from error
    if mode & 0o077:
        raise SecretError(
            f"{path}: expected a file that only its owner may read, got mode "
            f"{mode & 0o777:04o}: chmod 600 it"
        )
    return Keyring(_parse(text, str(path)), str(path))


def make_key_file(config: Config) -> Path | None:
    """Make the file with a first key, mode 0600, and return it; None where there is a
    key. Raises ``SecretError``.
    """
    path = key_file(config)
    if config.secret_key is not None or path.exists():
        return None
    _write(path, [new_key()], exclusive=True)
    return path


def add_key(config: Config) -> Path:
    """Put a new key before the others in the file, so that it encrypts from now on.
    Raises ``SecretError`` where the keys are not in a file.
    """
    if config.secret_key is not None:
        raise SecretError(
            "expected the keys in a file, got them in ELIHU_SECRET_KEY: put a new key before the "
            "others there"
        )
    path = key_file(config)
    known = path.read_text(encoding="utf-8").split() if path.exists() else []
    _write(path, [new_key(), *known], exclusive=False)
    return path


def drop_old_keys(config: Config) -> None:
    """Leave only the current key in the file."""
    path = key_file(config)
    _write(path, path.read_text(encoding="utf-8").split()[:1], exclusive=False)


def _write(path: Path, keys: Sequence[str], *, exclusive: bool) -> None:
    """Replace the file at once, so that a reader sees the old keys or the new ones."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("".join(f"{key}\n" for key in keys))
            file.flush()
            os.fsync(file.fileno())
        if exclusive:
            os.link(temporary, path)
            temporary.unlink()
        else:
            temporary.replace(path)
    except FileExistsError:
        temporary.unlink(missing_ok=True)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise SecretError(
            f"{path}: expected a folder to write a key file in, got {error}"
        ) from error


def _parse(text: str, source: str) -> list[bytes]:
    keys = []
    for number, part in enumerate(re.split(r"[\s,]+", text.strip()), 1):
        try:
            key = base64.b64decode(part, altchars=b"-_", validate=True)
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise SecretError(
                f"{source}: expected keys of {KEY_BYTES} bytes in base64, got something else as "
                f"number {number}"
            )
        keys.append(key)
    return keys
