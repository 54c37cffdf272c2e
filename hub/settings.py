"""What the process is told from outside: environment variables ``HUB_…`` and files in the secrets directory.

Everything about projects stands in the policy and the database; here is only what must be known before those open.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from hub.core.complaint import sentence
from hub.errors import ConfigurationError

if TYPE_CHECKING:
    from hub.core.text import Language

__all__ = ["Settings", "load_settings", "spoken_language"]


class Settings(BaseSettings):
    """The process's settings, read once, when it starts."""

    model_config = SettingsConfigDict(env_prefix="HUB_", frozen=True, extra="ignore")

    #: production refuses to start without a secret key; development makes one of its own
    environment: Literal["production", "development"] = "production"
    #: where the databases, the copy of the directory and the development key live
    data_directory: Path = Path("var")
    #: "" = SQLite in the data directory; else ``postgresql+psycopg://…``
    database_url: str = ""
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    #: addresses or networks of the proxies in front, after commas: they are believed for whom they ask
    proxies: str = ""
    #: the address under which vendors and browsers reach the hub, without a trailing slash
    public_url: str = ""
    #: files named like the variables (``HUB_SECRET_KEY``), for secrets that must not stand in the environment
    secrets_directory: Path | None = None
    #: one key or several after commas, the present one first
    secret_key: SecretStr = SecretStr("")
    #: what the command line speaks; "" = as the machine does (LC_ALL, LC_MESSAGES, LANG), English if that is another
    language: Literal["", "ru", "uk", "en"] = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    role: Literal["all", "web", "worker"] = "all"
    #: where below the data directory this process has its copy of the directory; each of several takes one by itself
    directory_place: str = ""
    #: seconds after which a worker that is not heard of has its work taken over (PostgreSQL); it beats four times in it
    stalled_seconds: float = Field(default=8.0, ge=0.5, le=300)
    #: seconds for which a process that begins is not ready for want of its first copy of the directory (PostgreSQL)
    first_copy_seconds: float = Field(default=600.0, ge=0, le=86_400)
    #: megabytes that requests may take on this machine while PostgreSQL is away
    spool_megabytes: int = Field(default=1024, ge=1)
    #: names of the plugins to load, after commas; empty = all that are installed
    plugins: Annotated[tuple[str, ...], NoDecode] = ()

    @field_validator("plugins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("public_url")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("the address must begin with https:// (or http:// behind a proxy of yours)")
        return value.rstrip("/")

    @field_validator("database_url")
    @classmethod
    def _database_url(cls, value: str) -> str:
        # the message must not repeat the address: it may hold a password
        if value:
            try:
                url = make_url(value)
            except ArgumentError:
                raise ValueError("this is not a database address") from None
            if url.get_backend_name() not in {"sqlite", "postgresql"}:
                raise ValueError("the database must be sqlite:///… or postgresql+psycopg://…")
        return value

    @property
    def is_production(self) -> bool:
        return self.environment == "production"

    @property
    def database(self) -> URL:
        """Where the truth is; ``postgresql://`` is understood as psycopg 3."""
        if not self.database_url:
            return URL.create("sqlite", database=str(self.data_directory / "hub.db"))
        url = make_url(self.database_url)
        return url.set(drivername="postgresql+psycopg") if url.get_backend_name() == "postgresql" else url

    @property
    def directory_path(self) -> Path:
        """The file of the local directory, which can be rebuilt."""
        return self.data_directory / self.directory_place / "directory.db"


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process; ``overrides`` (from the command line) win over the environment.

    Raises ConfigurationError that names the variable.
    """
    secrets_directory = overrides.get("secrets_directory") or os.environ.get("HUB_SECRETS_DIRECTORY") or None
    if secrets_directory and not Path(secrets_directory).is_dir():
        raise ConfigurationError(
            "there is no such directory", path="HUB_SECRETS_DIRECTORY", file=str(secrets_directory)
        )
    given: Mapping[str, Any] = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(_secrets_dir=secrets_directory, **given)
    except ValidationError as err:
        first = err.errors(include_url=False, include_input=False)[0]
        raise ConfigurationError(sentence(first), path=f"HUB_{'.'.join(map(str, first['loc']))}".upper()) from err


def spoken_language() -> Language:
    """What the command line speaks, also where the settings themselves are what is wrong: English if nothing fits."""
    # processes that only read an import have no need of texts
    from hub.language import as_language

    for variable in ("HUB_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        if said := os.environ.get(variable, ""):
            return as_language(said)
    return "en"
