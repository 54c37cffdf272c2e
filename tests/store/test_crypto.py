"""Secrets are unreadable in the file, and a key can be replaced (H8)."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import argon2
import pytest

from hub.errors import ConfigurationError
from hub.store.crypto import Cipher, check_password, hash_password, load_cipher, new_secret

OLD, NEW = "o" * 32, "n" * 32


def test_what_is_encrypted_comes_back_and_cannot_be_read() -> None:
    cipher = Cipher([NEW])
    sealed = cipher.encrypt_json({"token": "abc-token"})
    assert b"abc-token" not in sealed
    assert cipher.decrypt_json(sealed) == {"token": "abc-token"}


def test_a_replaced_key_still_opens_what_the_old_one_closed() -> None:
    sealed, hashed = Cipher([OLD]).encrypt(b"x"), Cipher([OLD]).hash_secret("address")
    both = Cipher([NEW, OLD])
    assert both.decrypt(sealed) == b"x"
    assert hashed in both.hashes_of("address")
    assert both.hash_secret("address") == both.hashes_of("address")[0] != hashed


def test_a_foreign_key_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="another key"):
        Cipher([NEW]).decrypt(Cipher([OLD]).encrypt(b"x"))


@pytest.mark.parametrize("keys", [[], ["short"], [NEW, "short"]])
def test_a_missing_or_short_key_is_refused(keys: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Cipher(keys)
    assert caught.value.path == "HUB_SECRET_KEY"


def test_production_refuses_to_start_without_a_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="HUB_SECRET_KEY"):
        load_cipher("", data_directory=tmp_path, is_production=True)
    assert load_cipher(f"{NEW},{OLD}", data_directory=tmp_path, is_production=True)
    assert list(tmp_path.iterdir()) == []


def test_development_makes_its_own_key_for_its_owner_only(tmp_path: Path) -> None:
    var = tmp_path / "var"
    sealed = load_cipher("", data_directory=var, is_production=False).encrypt(b"x")
    assert os.stat(var / "secret.key").st_mode & 0o777 == 0o600
    assert [path.name for path in var.iterdir()] == ["secret.key"]
    assert load_cipher("", data_directory=var, is_production=False).decrypt(sealed) == b"x"


def test_secrets_are_long_and_differ() -> None:
    assert len({new_secret() for _ in range(50)}) == 50
    assert all(len(new_secret()) == 32 and new_secret().isalnum() for _ in range(5))


def test_a_guess_at_a_password_costs_memory_and_passes() -> None:
    """H8: at least what OWASP asks of argon2id; the tests themselves hash more cheaply (conftest.py)."""
    spec = importlib.util.find_spec("hub.store.crypto")
    assert spec is not None
    assert spec.loader is not None
    as_shipped = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(as_shipped)
    stored = as_shipped.hash_password("correct horse")
    cost = argon2.extract_parameters(stored)
    assert cost.type is argon2.low_level.Type.ID
    assert cost.memory_cost >= 19 * 1024
    assert cost.time_cost >= 2
    # whoever changes the cost locks nobody out
    assert check_password(stored, "correct horse")


def test_passwords_are_checked_against_their_hash() -> None:
    stored = hash_password("correct horse")
    assert stored.startswith("$argon2id$")
    assert check_password(stored, "correct horse")
    assert not check_password(stored, "wrong horse")
    assert not check_password("not a hash", "correct horse")
