"""Setting the hub up, step by step; the console's ``/setup`` and ``hub setup`` call the same functions (H12).

Each function does one step, stores what it did, and can be repeated. What goes wrong is an error of `hub.errors`
whose sentence can be shown as it is.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

import httpx
import tomlkit
from pydantic import BaseModel, ValidationError
from sqlalchemy import Connection
from tomlkit.items import Table

from hub.core.complaint import sentence
from hub.core.example_check import load_checked
from hub.core.records import Catalogue
from hub.core.text import Language
from hub.engine.projects import LiveConnection, LiveProject
from hub.errors import AccessError, ConfigurationError
from hub.ports import SetupHint, SinkSession, Source
from hub.runtime.opening import open_account
from hub.runtime.plain_settings import plain_settings
from hub.runtime.services import Services
from hub.store import inbox, locks, policies, projects, users
from hub.store.crypto import Cipher, hash_password
from hub.store.inbox import InboxStatus, Received
from hub.store.policies import PolicyVersion
from hub.store.projects import Channel, CrmConnection, Status
from hub.store.users import User

__all__ = [
    "AddressCheck",
    "Connected",
    "Preset",
    "add_channel",
    "add_connection",
    "change_channel",
    "change_connection",
    "check_address",
    "connect",
    "create_administrator",
    "create_project",
    "first_token",
    "hints",
    "last_webhook",
    "list_presets",
    "name_of",
    "needs_administrator",
    "publish",
    "session_of",
    "settings_error",
]

log = logging.getLogger(__name__)

#: names that are addresses of the console itself
RESERVED = frozenset({"static", "login", "logout", "language", "new", "administrator", "address"})
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
SHORTEST_PASSWORD = 10
#: what a new project begins with unless somebody knows better
DEFAULT_PRESET = "zoho-standard"


# --- the administrator ------------------------------------------------------------------------------------------


def first_token(cipher: Cipher) -> str:
    """What the first administrator must show: printed by the command line and logged at the first start.

    Made from the installation's secret key, so that every process knows it and nothing has to be stored. It is of
    use only while there is no user at all.
    """
    return cipher.hash_secret("the first administrator")[:24]


async def needs_administrator(services: Services) -> bool:
    """True while nobody can log in."""
    return not await services.store.read(users.count_users)


async def create_administrator(
    services: Services, *, token: str, login: str, password: str, language: Language
) -> User:
    """The first user, who may do everything. Raises AccessError for a wrong token, or if there is a user already."""
    if not hmac.compare_digest(token.strip().encode(), first_token(services.cipher).encode()):
        raise AccessError("the token is not the one that the hub printed", endpoint="/setup")
    login = login.strip()
    if not re.fullmatch(r"[^\s/]{1,100}", login):
        raise ConfigurationError("a login is one word", path="login")
    if len(password) < SHORTEST_PASSWORD:
        raise ConfigurationError(f"at least {SHORTEST_PASSWORD} characters", path="password")
    hashed = await asyncio.to_thread(hash_password, password)
    now = services.clock.now()

    def add(conn: Connection) -> User:
        locks.hold_setup(conn)
        if users.count_users(conn):
            raise AccessError("there is an administrator already: log in", endpoint="/setup")
        return users.add_user(conn, login=login, password_hash=hashed, role="admin", now=now, language=language)

    made = await services.store.write(add)
    log.info("the first administrator was made", extra={"action": "setup.administrator"})
    return made


# --- the address ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressCheck:
    """Whether the hub can be reached from outside under its public address."""

    address: str
    #: ok, missing, unreachable, refused, foreign: a key of the catalogue under ``address.``
    outcome: Literal["ok", "missing", "unreachable", "refused", "foreign"]
    detail: str = ""

    @property
    def is_ok(self) -> bool:
        return self.outcome == "ok"


async def check_address(services: Services) -> AddressCheck:
    """Fetch our own ``/healthz`` through the public address, as a vendor would."""
    address = services.settings.public_url
    if not address:
        return AddressCheck(address="", outcome="missing")
    try:
        async with httpx.AsyncClient(timeout=10.0, follow_redirects=False) as http:
            answer = await http.get(f"{address}/healthz")
    except httpx.TransportError as err:
        return AddressCheck(address=address, outcome="unreachable", detail=f"{type(err).__name__}: {err}")
    if answer.status_code != 200:
        return AddressCheck(address=address, outcome="refused", detail=str(answer.status_code))
    if answer.text.strip() != "ok":
        return AddressCheck(address=address, outcome="foreign", detail=answer.text.strip()[:80])
    return AddressCheck(address=address, outcome="ok")


# --- the project ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A ready policy to begin with (X3)."""

    name: str
    #: the first comment of the file
    title: str
    text: str


def list_presets() -> list[Preset]:
    """The presets that come with the hub, by name."""
    found = []
    for entry in files("hub").joinpath("presets").iterdir():
        if entry.name.endswith(".toml"):
            text = entry.read_text(encoding="utf-8")
            first = next((line for line in text.splitlines() if line.startswith("#")), "")
            name = entry.name.removesuffix(".toml")
            title = first.lstrip("# ").removeprefix(f"{name}:").strip()
            found.append(Preset(name=name, title=title, text=text))
    return sorted(found, key=lambda preset: preset.name)


async def create_project(
    services: Services,
    *,
    name: str,
    title: str,
    preset: str,
    language: Language,
    region: str,
    time_zone: str,
    author: str,
) -> LiveProject:
    """A new project in shadow, with the preset as its first policy; its comments stay (DESIGN 6)."""
    name = name.strip().lower()
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise ConfigurationError("a name is letters a to z, digits, - and _, and no word of ours", path="name")
    known = {found.name: found for found in list_presets()}
    if preset not in known:
        raise ConfigurationError(f"there is no preset {preset!r}; there are {', '.join(known)}", path="preset")
    document = tomlkit.parse(known[preset].text)
    table = document.setdefault("project", tomlkit.table())
    table["language"], table["region"], table["time_zone"] = language, region.strip().upper(), time_zone.strip()
    text = tomlkit.dumps(document)
    load_checked(text, rules=services.plugins.rules.values())
    now = services.clock.now()

    def add(conn: Connection) -> None:
        projects.add_project(conn, name, now=now, title=title.strip(), managed="console")
        policies.publish(conn, name, text=text, author=author, based_on=None, now=now, reason=f"preset {preset}")

    await services.store.write(add)
    await refresh(services)
    return services.projects.get(name)


async def publish(
    services: Services, project: str, text: str, *, based_on: PolicyVersion, author: str, reason: str
) -> None:
    """Put a changed text in force.

    Raises ConfigurationError, and changes nothing, if it does not hold together or somebody else published since
    ``based_on``.
    """
    load_checked(text, rules=services.plugins.rules.values())
    now, base = services.clock.now(), based_on.version

    def put(conn: Connection) -> None:
        head = policies.head(conn, project)
        # a button that was pressed twice
        if head is None or head.text != text:
            policies.publish(conn, project, text=text, author=author, based_on=base, now=now, reason=reason)

    await services.store.write(put)
    await refresh(services)


async def policy_in_force(services: Services, project: str) -> PolicyVersion:
    """The newest version. Raises ConfigurationError before the first."""
    head = await services.store.read(lambda conn: policies.head(conn, project))
    if head is None:
        raise ConfigurationError("no policy is published yet", path=f"project {project}")
    return head


def table_of(document: Any, key: str) -> Table:
    """The document's table ``key``, made if it is missing."""
    if key not in document:
        document[key] = tomlkit.table()
    found: Table = document[key]
    return found


async def refresh(services: Services) -> None:
    """Let this process, and the tasks in it, know what changed."""
    await services.projects.reload()
    services.changed()


# --- the CRM ----------------------------------------------------------------------------------------------------


def settings_error(err: ValidationError) -> ConfigurationError:
    """The first fault of a form, in its field's name; never with the value, which may be a secret."""
    first = err.errors(include_url=False, include_input=False)[0]
    return ConfigurationError(sentence(first), path=".".join(str(part) for part in first["loc"]))


def _checked(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return plain_settings(model.model_validate(dict(values)))
    except ValidationError as err:
        raise settings_error(err) from None


def name_of(text: str, kind: str) -> str:
    """The name of a connection or channel that ``text`` gives. Raises ConfigurationError at ``kind``."""
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise ConfigurationError("a name is letters a to z, digits, - and _", path=kind)
    return name


async def add_connection(
    services: Services, project: str, *, name: str, sink: str, values: Mapping[str, Any]
) -> CrmConnection:
    """A CRM account of the project; it stays off until `connect` went through."""
    name, settings = name_of(name, "name"), _checked(services.plugins.sink(sink).settings_model, values)
    now = services.clock.now()
    made = await services.store.write(
        lambda conn: projects.add_connection(
            conn, services.cipher, project=project, name=name, sink=sink, settings=settings, now=now
        )
    )
    await refresh(services)
    return made


async def change_connection(services: Services, project: str, name: str, values: Mapping[str, Any]) -> None:
    """Other settings for a CRM account."""
    live = _connection(services, project, name)[1]
    settings = _checked(services.plugins.sink(live.row.sink).settings_model, values)
    await services.store.write(lambda conn: projects.change_connection(conn, services.cipher, project, name, settings))
    await refresh(services)


def _connection(services: Services, project: str, name: str) -> tuple[LiveProject, LiveConnection]:
    live = services.projects.get(project)
    found = live.connection(name)
    if found is None:
        raise ConfigurationError("there is no such connection", path=f"connection {project}/{name}")
    return live, found


@asynccontextmanager
async def session_of(services: Services, project: str, name: str) -> AsyncIterator[SinkSession]:
    """A session of the account for the set-up alone; it shares the account's pace with the running hub."""
    live, found = _connection(services, project, name)
    _checked(services.plugins.sink(found.row.sink).settings_model, found.row.settings)
    account = open_account(services, live, found)
    try:
        yield account.session
    finally:
        await account.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """What was found in the account."""

    catalogue: Catalogue
    warnings: tuple[str, ...]


async def connect(services: Services, project: str, name: str) -> Connected:
    """Check the account, make what the hub needs in it, remember what it offers, let the connection begin.

    Raises the VendorError of what went wrong; the connection then keeps the status that fits.
    """
    async with session_of(services, project, name) as session:
        catalogue = await session.connect()
    now = services.clock.now()

    def keep(conn: Connection) -> None:
        projects.set_catalogue(conn, project, name, catalogue, now)
        projects.set_status(conn, project, name, Status.READY, now=now)

    await services.store.write(keep)
    await refresh(services)
    account = services.accounts.get((project, name))
    if account is not None:
        account.resume()
    return Connected(catalogue=catalogue, warnings=catalogue.warnings)


# --- the channel ------------------------------------------------------------------------------------------------


async def add_channel(
    services: Services, project: str, *, name: str, source: str, values: Mapping[str, Any]
) -> Channel:
    """A channel with addresses of its own."""
    name, settings = name_of(name, "name"), _checked(services.plugins.source(source).settings_model, values)
    now = services.clock.now()
    made = await services.store.write(
        lambda conn: projects.add_channel(
            conn, services.cipher, project=project, name=name, source=source, settings=settings, now=now
        )
    )
    await refresh(services)
    return made


async def change_channel(services: Services, project: str, name: str, values: Mapping[str, Any]) -> None:
    """Other settings for a channel."""
    row = await find_channel(services, project, name)
    settings = _checked(services.plugins.source(row.source).settings_model, values)
    await services.store.write(lambda conn: projects.change_channel(conn, services.cipher, project, name, settings))
    await refresh(services)


async def find_channel(services: Services, project: str, name: str) -> Channel:
    """The channel ``name``. Raises ConfigurationError if there is none."""
    found = await services.store.read(lambda conn: projects.find_channel(conn, services.cipher, project, name))
    if found is None:
        raise ConfigurationError("there is no such channel", path=f"channel {project}/{name}")
    return found


async def last_webhook(services: Services, project: str, name: str) -> Received | None:
    """The newest request that came through the channel ``name``; None while it waits for its first."""
    every = tuple(InboxStatus)
    found = await services.store.read(lambda conn: inbox.list_received(conn, project=project, statuses=every, limit=50))
    return next((item for item in found if item.channel == name and item.kind == "hook"), None)


def hints(services: Services, project: str, name: str, *, hook_url: str, forward_url: str) -> list[SetupHint]:
    """What to copy into the vendor's cabinet, in order. Raises ConfigurationError if the channel cannot work."""
    live = services.projects.get(project)
    config = live.channels.get(name)
    if config is None:
        raise ConfigurationError(live.problems.get(name, "there is no such channel"), path=f"channel {project}/{name}")
    source: Source = services.plugins.source(config.source)
    return list(source.setup_hints(config, hook_url, forward_url))
