"""Projects, channels, connections, their secrets and their bindings (H8, H12)."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, Table, make_url, select

from hub.core.records import Catalogue, EmployeeId, UserId
from hub.errors import ConfigurationError, Stale
from hub.ports import ConnectionState
from hub.store import bindings, migrations, projects
from hub.store.addresses import load_addresses
from hub.store.bindings import Binding
from hub.store.connection_state import ConnectionStates
from hub.store.crypto import Cipher
from hub.store.engine import Store
from hub.store.projects import Status

CIPHER = Cipher(["k" * 32])
SETTINGS = {"token": "very-secret-token", "numbers": ["+380501112233"]}


@pytest.fixture
def filled(store: Store, now: datetime) -> Store:
    def fn(conn: Connection) -> None:
        for name in ("auto", "shop"):
            projects.add_project(conn, name, now=now)
            projects.add_channel(
                conn, CIPHER, project=name, name="calls", source="ringostat", settings=SETTINGS, now=now
            )
            projects.add_connection(conn, CIPHER, project=name, name="amo", sink="amocrm", settings=SETTINGS, now=now)

    store.write_now(fn)
    return store


def content(database_url: str) -> bytes:
    """Everything that lies in the database, as it lies there."""
    url = make_url(database_url)
    if url.database is not None and url.get_backend_name() == "sqlite":
        return Path(url.database).read_bytes()
    with Store(url) as store:
        return store.read_now(lambda conn: b"".join(rows_of(conn, table) for table in migrations.TABLES))


def rows_of(conn: Connection, table: Table) -> bytes:
    cells = (cell for row in conn.execute(select(table)) for cell in row)
    return b"".join(cell if isinstance(cell, bytes) else str(cell).encode() for cell in cells)


def test_a_new_project_is_in_shadow_and_writes_nothing_until_told(filled: Store) -> None:
    def state(conn: Connection) -> tuple[str, bool, bool]:
        found = projects.find_project(conn, "auto")
        assert found is not None
        return found.mode, found.is_paused, found.is_writing

    assert filled.read_now(state) == ("shadow", False, False)
    filled.write_now(lambda conn: projects.change_project(conn, "auto", mode="live"))
    assert filled.read_now(state) == ("live", False, True)
    filled.write_now(lambda conn: projects.change_project(conn, "auto", is_paused=True))
    assert filled.read_now(state) == ("live", True, False)


def test_settings_come_back_and_lie_encrypted(filled: Store, database_url: str) -> None:
    found = filled.read_now(lambda conn: projects.list_channels(conn, CIPHER, "auto"))
    assert [channel.settings for channel in found] == [SETTINGS]
    assert "very-secret" not in repr(found)
    filled.close()
    assert b"very-secret" not in content(database_url)


def test_an_address_belongs_to_one_channel_only(filled: Store) -> None:
    addresses = filled.read_now(lambda conn: load_addresses(conn, CIPHER))
    auto, shop = filled.read_now(lambda conn: projects.list_channels(conn, CIPHER))
    amo = filled.read_now(lambda conn: projects.list_connections(conn, CIPHER, "auto"))[0]
    assert addresses.channel("auto", "calls", auto.secret) == auto
    assert addresses.connection("auto", "amo", amo.secret) == amo
    for wrong in (shop.secret, amo.secret, "", auto.secret[:-1], "ö", "\udc80"):
        assert addresses.channel("auto", "calls", wrong) is None
    assert addresses.channel("nobody", "calls", auto.secret) is None


def test_a_look_up_of_an_address_asks_neither_the_database_nor_the_cipher(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H1: every webhook begins with it."""
    auto = filled.read_now(lambda conn: projects.list_channels(conn, CIPHER, "auto"))[0]
    addresses = filled.read_now(lambda conn: load_addresses(conn, CIPHER))
    filled.close()
    monkeypatch.setattr(Cipher, "decrypt", None)
    assert addresses.channel("auto", "calls", auto.secret) == auto


def test_a_renewed_secret_ends_the_old_address(filled: Store) -> None:
    old = filled.read_now(lambda conn: projects.list_channels(conn, CIPHER, "auto"))[0].secret
    new = filled.write_now(lambda conn: projects.renew_secret(conn, CIPHER, "auto", "calls"))
    addresses = filled.read_now(lambda conn: load_addresses(conn, CIPHER))
    assert addresses.channel("auto", "calls", old) is None
    assert addresses.channel("auto", "calls", new) is not None


def test_names_are_unique_and_what_is_missing_is_named(filled: Store, now: datetime) -> None:
    attempts = [
        lambda conn: projects.add_project(conn, "auto", now=now),
        lambda conn: projects.add_channel(conn, CIPHER, project="auto", name="calls", source="x", settings={}, now=now),
        lambda conn: projects.add_connection(conn, CIPHER, project="auto", name="amo", sink="x", settings={}, now=now),
        lambda conn: projects.change_project(conn, "nobody", mode="live"),
        lambda conn: projects.change_channel(conn, CIPHER, "auto", "nobody", {}),
        lambda conn: projects.change_connection(conn, CIPHER, "auto", "nobody", {}),
        lambda conn: projects.renew_secret(conn, CIPHER, "auto", "nobody"),
        lambda conn: projects.set_status(conn, "auto", "nobody", Status.READY, now=now),
    ]
    for attempt in attempts:
        with pytest.raises(ConfigurationError):
            filled.write_now(attempt)


def test_the_first_webhook_ends_the_waiting(filled: Store, now: datetime) -> None:
    filled.write_now(lambda conn: projects.touch_channel(conn, "auto", "calls", now + timedelta(minutes=1)))
    filled.write_now(lambda conn: projects.touch_channel(conn, "auto", "calls", now + timedelta(minutes=2)))
    found = filled.read_now(lambda conn: projects.find_channel(conn, CIPHER, "auto", "calls"))
    assert found is not None
    assert (found.first_seen_at, found.last_seen_at) == (now + timedelta(minutes=1), now + timedelta(minutes=2))


def test_a_status_is_told_once_when_it_changes(filled: Store, now: datetime) -> None:
    later = now + timedelta(minutes=1)

    def tell(status: Status, at: datetime) -> bool:
        return filled.write_now(lambda conn: projects.set_status(conn, "auto", "amo", status, now=at, reason="503"))

    told = [tell(Status.RETRYING, now), tell(Status.RETRYING, later), tell(Status.READY, later)]
    assert told == [True, False, True]


def test_what_an_answer_to_former_credentials_says_is_not_told_of_new_ones(filled: Store, now: datetime) -> None:
    """H4: who connects the account anew has the last word, though requests with the old token end later."""

    def told(conn: Connection) -> Status:
        projects.set_status(
            conn, "auto", "amo", Status.NEEDS_CREDENTIALS, now=now, reason="401", opened_with=(CIPHER, SETTINGS)
        )
        found = projects.find_connection(conn, CIPHER, "auto", "amo")
        assert found is not None
        return found.status

    filled.write_now(lambda conn: projects.set_status(conn, "auto", "amo", Status.READY, now=now))
    assert filled.write_now(told) is Status.NEEDS_CREDENTIALS
    fresh = {**SETTINGS, "token": "another"}
    filled.write_now(lambda conn: projects.change_connection(conn, CIPHER, "auto", "amo", fresh))
    filled.write_now(lambda conn: projects.set_status(conn, "auto", "amo", Status.READY, now=now))
    assert filled.write_now(told) is Status.READY


def test_catalogue_feed_and_import_are_kept(filled: Store, now: datetime) -> None:
    def fn(conn: Connection) -> None:
        projects.set_catalogue(conn, "auto", "amo", Catalogue(account_id="7"), now)
        projects.set_feed(conn, "auto", "amo", cursor="c1", as_of=now)
        projects.set_import(conn, "auto", "amo", cursor="page 3", progress=0.314)

    filled.write_now(fn)
    found = filled.read_now(lambda conn: projects.find_connection(conn, CIPHER, "auto", "amo"))
    assert found is not None
    assert found.catalogue == Catalogue(account_id="7")
    assert (found.feed_cursor, found.feed_at, found.import_progress, found.imported_at) == ("c1", now, 31, None)
    filled.write_now(lambda conn: projects.set_import(conn, "auto", "amo", cursor="", finished_at=now))
    found = filled.read_now(lambda conn: projects.find_connection(conn, CIPHER, "auto", "amo"))
    assert found is not None
    assert (found.import_progress, found.imported_at) == (100, now)


def test_channels_and_connections_can_be_removed(filled: Store) -> None:
    filled.write_now(lambda conn: projects.remove_channel(conn, "auto", "calls"))
    filled.write_now(lambda conn: projects.remove_connection(conn, "auto", "amo"))
    assert [c.project for c in filled.read_now(lambda conn: projects.list_channels(conn, CIPHER))] == ["shop"]
    assert [c.project for c in filled.read_now(lambda conn: projects.list_connections(conn, CIPHER))] == ["shop"]


# --- state of a connection --------------------------------------------------------------------------------------


async def test_state_is_saved_from_the_version_that_was_read(filled: Store, database_url: str) -> None:
    state: ConnectionState = ConnectionStates(filled, CIPHER).of("auto", "amo")
    assert await state.load() == ({}, 0)
    assert await state.save({"refresh": "token-one"}, 0) == 1
    with pytest.raises(Stale):
        await state.save({"refresh": "token-two"}, 0)
    assert await state.load() == ({"refresh": "token-one"}, 1)
    assert await ConnectionStates(filled, CIPHER).of("shop", "amo").load() == ({}, 0)
    filled.close()
    assert b"token-one" not in await asyncio.to_thread(content, database_url)


async def test_a_lock_has_one_holder_per_connection_and_name(filled: Store) -> None:
    states = ConnectionStates(filled, CIPHER)
    inside: list[str] = []
    most: list[int] = []

    async def hold(project: str, name: str) -> None:
        async with states.of(project, "amo").lock(name):
            inside.append(project + name)
            most.append(inside.count(project + name))
            await asyncio.sleep(0)
            inside.remove(project + name)

    await asyncio.gather(*(hold("auto", "refresh") for _ in range(10)))
    assert max(most) == 1
    async with states.of("auto", "amo").lock("refresh"), asyncio.timeout(30):
        await hold("auto", "import")
        await hold("shop", "refresh")


async def test_the_state_of_a_missing_connection_says_so(filled: Store) -> None:
    with pytest.raises(ConfigurationError):
        await ConnectionStates(filled, CIPHER).of("auto", "nobody").load()


# --- bindings ---------------------------------------------------------------------------------------------------


def test_what_a_person_bound_is_not_changed_by_a_match(filled: Store, now: datetime) -> None:
    def put(*items: Binding) -> int:
        return filled.write_now(lambda conn: bindings.put(conn, "auto", "amo", items))

    assert put(
        Binding(kind="employee", name="olena", value="7", is_manual=True, checked_at=now),
        Binding(kind="employee", name="ivan", value="8"),
        Binding(kind="employee", name="petro", value=""),
        Binding(kind="pipeline", name="Sales", value="1"),
    )
    put(Binding(kind="employee", name="olena", value="99"), Binding(kind="employee", name="ivan", value="9"))
    assert filled.read_now(lambda conn: bindings.values(conn, "auto", "amo", "employee")) == {"olena": "7", "ivan": "9"}
    put(Binding(kind="employee", name="olena", value="70", is_manual=True))
    users = filled.read_now(lambda conn: bindings.employees_by_user(conn, "auto", "amo"))
    assert users == {UserId("70"): EmployeeId("olena"), UserId("9"): EmployeeId("ivan")}
    filled.write_now(lambda conn: bindings.remove(conn, "auto", "amo", "employee", "olena"))
    assert len(filled.read_now(lambda conn: bindings.list_bindings(conn, "auto", "amo"))) == 3
    assert filled.read_now(lambda conn: bindings.list_bindings(conn, "shop", "amo")) == []
