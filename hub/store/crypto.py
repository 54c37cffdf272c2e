"""Secrets at rest: encryption, keyed hashes for secrets in addresses, passwords (H8)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import argon2
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hub.errors import ConfigurationError
from hub.store import codec

__all__ = ["Cipher", "check_password", "hash_password", "hash_token", "load_cipher", "new_secret"]

SHORTEST_KEY = 32
KEY_FILE = "secret.key"


class Cipher:
    """Encrypts with the first of its keys and decrypts with any, so that a key can be replaced.

    A key is any text of at least 32 characters that nobody can guess (``openssl rand -hex 32``).
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise ConfigurationError("a secret key is missing", path="HUB_SECRET_KEY")
        if any(len(key) < SHORTEST_KEY for key in keys):
            raise ConfigurationError(
                f"the secret key needs at least {SHORTEST_KEY} characters: openssl rand -hex 32", path="HUB_SECRET_KEY"
            )
        self._fernet = MultiFernet(
            [Fernet(base64.urlsafe_b64encode(_derive(key, b"hub at rest"))) for key in keys],
        )
        self._hash_keys = [_derive(key, b"hub address secrets") for key in keys]

    def encrypt(self, data: bytes) -> bytes:
        """``data``, unreadable and protected against changes."""
        return self._fernet.encrypt(data)

    def decrypt(self, data: bytes) -> bytes:
        """What `encrypt` was given. Raises ConfigurationError if none of the keys fits."""
        try:
            return self._fernet.decrypt(data)
        except InvalidToken as err:
            raise ConfigurationError(
                "stored secrets were encrypted with another key; put the old key behind the new one, after a comma",
                path="HUB_SECRET_KEY",
            ) from err

    def encrypt_json(self, value: Mapping[str, Any]) -> bytes:
        return self.encrypt(codec.dump_json(value))

    def decrypt_json(self, data: bytes) -> dict[str, Any]:
        found: dict[str, Any] = codec.load_json(self.decrypt(data))
        return found

    def hash_secret(self, secret: str) -> str:
        """The keyed hash under which ``secret`` is stored for looking it up; microseconds."""
        return hmac.digest(self._hash_keys[0], secret.encode("utf-8", "surrogatepass"), "sha256").hex()

    def hashes_of(self, secret: str) -> tuple[str, ...]:
        """The hashes of ``secret`` under every key, the present one first."""
        raw = secret.encode("utf-8", "surrogatepass")
        return tuple(hmac.digest(key, raw, "sha256").hex() for key in self._hash_keys)


def load_cipher(secret_key: str, *, data_directory: Path, is_production: bool) -> Cipher:
    """The cipher of this installation.

    ``secret_key`` is one key, or several after commas, the present one first. Without it production refuses
    (ConfigurationError); development keeps a key of its own in ``secret.key`` beside the database, for its owner only.
    """
    keys = [part.strip() for part in secret_key.split(",") if part.strip()]
    if keys:
        return Cipher(keys)
    if is_production:
        raise ConfigurationError(
            "production needs a secret key, from the environment or the secrets directory: openssl rand -hex 32",
            path="HUB_SECRET_KEY",
        )
    return Cipher([_own_key(data_directory / KEY_FILE)])


def _own_key(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        # a link fails if another process was first: then its key is the key
        os.link(mine, path)
    except FileExistsError:
        pass
    finally:
        mine.unlink()
    return path.read_text().strip()


def _derive(key: str, purpose: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose).derive(key.encode())


def new_secret() -> str:
    """A secret for an address: 32 letters and digits, nothing that a cabinet's form could mangle."""
    return secrets.token_hex(16)


def hash_token(token: str) -> str:
    """The hash under which a random token (a session) is stored; the token itself never is."""
    return hashlib.sha256(token.encode()).hexdigest()


_hasher = argon2.PasswordHasher()


def hash_password(password: str) -> str:
    """argon2id of ``password``; tens of milliseconds on purpose, so not on the event loop."""
    return _hasher.hash(password)


def check_password(stored: str, password: str) -> bool:
    """Whether ``password`` is the one behind ``stored``; as slow for a wrong one."""
    try:
        return _hasher.verify(stored, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False
