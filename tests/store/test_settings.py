"""The process's settings: read once, each mistake named by its variable (H11)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hub.errors import ConfigurationError
from hub.settings import load_settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HUB_")]:
        monkeypatch.delenv(name)


def test_without_any_variable_the_hub_is_sqlite_in_var_on_this_machine() -> None:
    settings = load_settings()
    assert str(settings.database) == "sqlite:///var/hub.db"
    assert settings.directory_path == Path("var/directory.db")
    assert (settings.host, settings.port, settings.role, settings.plugins) == ("127.0.0.1", 8080, "all", ())
    assert settings.is_production


def test_variables_are_read_and_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_PORT", "9000")
    monkeypatch.setenv("HUB_PLUGINS", "amocrm, ringostat")
    monkeypatch.setenv("HUB_PUBLIC_URL", "https://hub.example/")
    monkeypatch.setenv("HUB_LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("HUB_DATABASE_URL", "postgresql://hub:pw@db/hub")
    settings = load_settings(port=9001, host=None)
    assert (settings.port, settings.host) == (9001, "127.0.0.1")
    assert settings.plugins == ("amocrm", "ringostat")
    assert settings.public_url == "https://hub.example"
    assert settings.log_level == "debug"
    assert settings.database.drivername == "postgresql+psycopg"


def test_secrets_may_come_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "HUB_SECRET_KEY").write_text("k" * 40 + "\n")
    monkeypatch.setenv("HUB_SECRETS_DIRECTORY", str(tmp_path))
    settings = load_settings()
    assert settings.secret_key.get_secret_value() == "k" * 40
    assert "kkk" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HUB_PORT", "http"),
        ("HUB_PORT", "70000"),
        ("HUB_ROLE", "both"),
        ("HUB_ENVIRONMENT", "prod"),
        ("HUB_PUBLIC_URL", "hub.example"),
        ("HUB_DATABASE_URL", "mysql://x:sesame@y/z"),
        ("HUB_DATABASE_URL", "sesame"),
        ("HUB_SECRETS_DIRECTORY", "/nowhere/at/all"),
    ],
)
def test_a_mistake_names_its_variable(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert caught.value.path == name
    assert "sesame" not in str(caught.value)
    monkeypatch.delenv(name)
    assert load_settings()
