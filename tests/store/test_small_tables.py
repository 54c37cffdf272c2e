"""Policies, turns, dues, runs, events, the forwarding log, users, backups."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from hub.core.interaction import ClientId
from hub.core.phone import Phone
from hub.errors import ConfigurationError, LeaseLost
from hub.ports import Changes
from hub.store import dues, events, forwarding_log, policies, rota, runs, users
from hub.store.backup import backup
from hub.store.crypto import check_password, hash_password
from hub.store.directory import Directory
from hub.store.dues import Due
from hub.store.engine import Store
from hub.store.forwarding_log import ForwardingEntry
from tests.postgres import on_sqlite

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)


# --- policies ---------------------------------------------------------------------------------------------------


def publish(store: Store, text: str, based_on: int | None, author: str = "olena") -> policies.PolicyVersion:
    return store.write_now(
        lambda conn: policies.publish(conn, "auto", text=text, author=author, based_on=based_on, now=NOW)
    )


def test_a_policy_is_published_only_over_the_version_that_its_author_saw(store: Store) -> None:
    assert store.read_now(lambda conn: policies.head(conn, "auto")) is None
    assert publish(store, "a = 1\nb = 2\n", None).version == 1
    assert publish(store, "a = 1\nb = 3\n", 1, author="ivan").version == 2
    for stale in (None, 1, 3):
        with pytest.raises(ConfigurationError, match="version 2 by ivan"):
            publish(store, "a = 9\n", stale)
    assert publish(store, "a = 9\n", 2).version == 3
    difference = store.read_now(lambda conn: policies.diff(conn, "auto", 1, 2))
    assert "-b = 2\n+b = 3\n" in difference
    back = store.write_now(lambda conn: policies.rollback(conn, "auto", to=1, author="olena", based_on=3, now=NOW))
    assert (back.version, back.text, back.reason) == (4, "a = 1\nb = 2\n", "back to version 1")
    assert store.read_now(lambda conn: policies.diff(conn, "auto", 1, 4)) == ""
    assert [found.version for found in store.read_now(lambda conn: policies.list_versions(conn, "auto"))] == [
        4,
        3,
        2,
        1,
    ]
    with pytest.raises(ConfigurationError, match="no version 9"):
        store.read_now(lambda conn: policies.get(conn, "auto", 9))


# --- turns ------------------------------------------------------------------------------------------------------


async def test_of_fifty_at_once_each_turn_is_taken_once(store: Store) -> None:
    """DESIGN 1: the rota advances only from the state that the decision saw."""
    taken: list[int] = []

    async def take() -> bool:
        turns, version = await store.read(lambda conn: rota.load(conn, "auto"))
        mine = int(turns.get("sales", {}).get("last", "0")) + 1
        won = await store.write(lambda conn: rota.advance(conn, "auto", {"sales": {"last": str(mine)}}, version))
        if won:
            taken.append(mine)
        return won

    async def take_until_won() -> None:
        while not await take():
            pass

    await asyncio.gather(*(take_until_won() for _ in range(50)))
    assert sorted(taken) == list(range(1, 51))
    assert store.read_now(lambda conn: rota.load(conn, "auto")) == ({"sales": {"last": "50"}}, 50)


# --- dues -------------------------------------------------------------------------------------------------------


def test_a_due_look_is_taken_once_and_can_be_moved_or_cancelled(store: Store) -> None:
    """H7, X10."""

    def due(key: str, at: datetime) -> Due:
        return Due(project="auto", client_id=ClientId("c1"), key=key, at=at, body={"task": "call_back"})

    def fill(conn: Connection) -> None:
        for item in (due("b", NOW), due("a", NOW - timedelta(minutes=5)), due("later", LATER), due("moved", NOW)):
            dues.put(conn, item)
        dues.put(conn, due("moved", LATER))
        dues.put(conn, due("gone", NOW))
        assert dues.cancel(conn, "auto", ClientId("c1"), "gone")
        assert not dues.cancel(conn, "auto", ClientId("c1"), "gone")

    store.write_now(fill)
    assert store.read_now(dues.next_at) == NOW - timedelta(minutes=5)
    assert [item.key for item in store.write_now(lambda conn: dues.take(conn, NOW))] == ["a", "b"]
    assert store.write_now(lambda conn: dues.take(conn, NOW)) == []
    left = store.read_now(lambda conn: dues.list_of_client(conn, "auto", ClientId("c1")))
    assert left == [due("later", LATER), due("moved", LATER)]


# --- runs -------------------------------------------------------------------------------------------------------

MINUTE = timedelta(minutes=1)


def claim(store: Store, name: str, lease: str, now: datetime) -> runs.Run | None:
    return store.write_now(lambda conn: runs.claim(conn, name, lease, now=now, lease_for=MINUTE))


def test_a_run_has_one_worker_and_is_taken_over_when_its_lease_ran_out(store: Store) -> None:
    """H7."""
    name = runs.run_name("sync", runs.floor_instant(NOW + timedelta(seconds=17), MINUTE))
    assert name == "sync@2026-03-02T09:30:00+00:00"
    assert claim(store, name, "a", NOW) is not None
    assert claim(store, name, "b", NOW) is None
    store.write_now(lambda conn: runs.renew(conn, name, "a", now=NOW + MINUTE, lease_for=MINUTE))
    assert claim(store, name, "b", NOW + MINUTE) is None
    assert [run.name for run in store.read_now(lambda conn: runs.expired(conn, NOW + 3 * MINUTE))] == [name]
    taken = claim(store, name, "b", NOW + 3 * MINUTE)
    assert taken is not None
    assert (taken.attempts, taken.job) == (2, "sync")
    for attempt in (
        lambda conn: runs.renew(conn, name, "a", now=NOW, lease_for=MINUTE),
        lambda conn: runs.finish(conn, name, "a", now=NOW),
    ):
        with pytest.raises(LeaseLost):
            store.write_now(attempt)
    store.write_now(lambda conn: runs.finish(conn, name, "b", now=NOW, note="12 records"))
    assert claim(store, name, "c", NOW + 9 * MINUTE) is None
    assert [run.note for run in store.read_now(lambda conn: runs.latest(conn, "sync"))] == ["12 records"]
    assert store.read_now(lambda conn: runs.latest(conn, "syn")) == []


async def test_of_many_schedulers_one_gets_the_run(store: Store) -> None:
    """H7: two schedulers are harmless."""
    got = await asyncio.gather(
        *(
            store.write(lambda conn, n=n: runs.claim(conn, "sync@x", f"lease {n}", now=NOW, lease_for=MINUTE))  # type: ignore[misc]  # lambda with a default
            for n in range(20)
        )
    )
    assert len([run for run in got if run is not None]) == 1


# --- events -----------------------------------------------------------------------------------------------------


def test_a_view_reads_on_from_the_last_event_that_it_saw(store: Store) -> None:
    def fill(conn: Connection) -> list[int]:
        return [
            events.append(conn, project=project, kind="journal", body={"n": n}, now=NOW + n * MINUTE)
            for n, project in enumerate(("auto", "shop", "auto"))
        ]

    ids = store.write_now(fill)
    assert store.read_now(events.last_id) == ids[2]
    read = store.read_now(lambda conn: events.read_after(conn, ids[0], projects=["auto"]))
    assert [(event.id, event.body) for event in read] == [(ids[2], {"n": 2})]
    assert store.read_now(lambda conn: events.read_after(conn, 0, projects=[])) == []
    assert store.write_now(lambda conn: events.forget_before(conn, NOW + MINUTE)) == 1
    assert [event.id for event in store.read_now(lambda conn: events.read_after(conn, 0))] == ids[1:]


# --- forwarding log ---------------------------------------------------------------------------------------------


def test_a_forwarding_answer_is_found_again_by_its_question(store: Store) -> None:
    entries = [
        ForwardingEntry(
            project="auto",
            channel="calls",
            uuid=f"u{n}",
            call_id="call",
            caller=Phone("+380501112233") if n else None,
            asked_at=NOW + n * MINUTE,
            destination="olena_sip",
            employee="olena",
            took=timedelta(microseconds=750),
            age=timedelta(seconds=3, milliseconds=5) if n else None,
            explanation=b'{"why":1}',
        )
        for n in range(3)
    ]
    store.write_now(lambda conn: forwarding_log.append_many(conn, entries))
    store.write_now(lambda conn: forwarding_log.append_many(conn, []))
    [found] = store.read_now(lambda conn: forwarding_log.find(conn, "auto", "u1"))
    assert found.id
    assert ForwardingEntry(**{name: getattr(found, name) for name in found.__slots__} | {"id": 0}) == entries[1]
    assert store.read_now(lambda conn: forwarding_log.find(conn, "shop", "u1")) == []
    assert len(store.read_now(lambda conn: forwarding_log.find_by_call(conn, "auto", "call"))) == 3
    listed = store.read_now(lambda conn: forwarding_log.list_entries(conn, "auto", since=LATER))
    assert [entry.uuid for entry in listed] == ["u2", "u1"]


# --- users ------------------------------------------------------------------------------------------------------


def test_a_user_logs_in_and_out(store: Store) -> None:
    """H8."""

    def fill(conn: Connection) -> str:
        assert users.count_users(conn) == 0
        users.add_user(
            conn, login="olena", password_hash=hash_password("horse"), role="head", now=NOW, projects=["auto"]
        )
        return users.start_session(conn, "olena", now=NOW, lasts=MINUTE)

    token = store.write_now(fill)
    found = store.read_now(lambda conn: users.find_session(conn, token, NOW))
    assert found is not None
    assert (found.user.login, found.user.role) == ("olena", "head")
    assert check_password(found.user.password, "horse")
    assert found.user.may_see("auto")
    assert not found.user.may_see("shop")
    assert store.read_now(lambda conn: users.find_session(conn, token, NOW + MINUTE)) is None
    assert store.read_now(lambda conn: users.find_session(conn, "other", NOW)) is None
    store.write_now(lambda conn: users.end_session(conn, token))
    assert store.read_now(lambda conn: users.find_session(conn, token, NOW)) is None


def test_a_new_password_and_a_removed_account_end_the_sessions(store: Store) -> None:
    def fill(conn: Connection) -> str:
        users.add_user(conn, login="a", password_hash="x", role="admin", now=NOW)
        return users.start_session(conn, "a", now=NOW, lasts=MINUTE)

    token = store.write_now(fill)
    store.write_now(lambda conn: users.change_user(conn, "a", language="uk"))
    assert store.read_now(lambda conn: users.find_session(conn, token, NOW)) is not None
    store.write_now(lambda conn: users.change_user(conn, "a", password_hash="y"))
    assert store.read_now(lambda conn: users.find_session(conn, token, NOW)) is None
    assert [(user.language, user.may_see("any")) for user in store.read_now(users.list_users)] == [("uk", True)]
    with pytest.raises(ConfigurationError, match="taken"):
        store.write_now(lambda conn: users.add_user(conn, login="a", password_hash="x", role="head", now=NOW))
    with pytest.raises(ConfigurationError, match="no such user"):
        store.write_now(lambda conn: users.change_user(conn, "b", role="head"))
    assert store.write_now(lambda conn: users.remove_user(conn, "a"))
    assert not store.write_now(lambda conn: users.remove_user(conn, "a"))


# --- backup -----------------------------------------------------------------------------------------------------


@on_sqlite
def test_a_running_hub_is_copied_whole(store: Store, tmp_path: Path) -> None:
    publish(store, "a = 1\n", None)
    sources = (tmp_path / "hub.db", tmp_path / "directory.db", tmp_path / "nothing.db")
    target = tmp_path / "copies" / "today"
    with Directory(sources[1]) as directory:
        directory.fold("auto", "amo", Changes(as_of=NOW), NOW)
        for _ in range(2):
            copies = backup(sources, target)
    assert [copy.name for copy in copies] == ["hub.db", "directory.db"]
    assert sorted(os.listdir(target)) == ["directory.db", "hub.db"]
    with closing(sqlite3.connect(copies[0])) as driver:
        assert driver.execute("SELECT text FROM policy_version").fetchall() == [("a = 1\n",)]
    with Store(f"sqlite:///{copies[0]}") as restored:
        assert restored.read_now(lambda conn: policies.head(conn, "auto")) is not None


@on_sqlite
def test_a_copy_never_replaces_its_source_and_damage_is_told(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="itself"):
        backup([tmp_path / "hub.db"], tmp_path)
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"not a database at all " * 300)
    with pytest.raises(ConfigurationError, match=r"broken\.db"):
        backup([broken], tmp_path / "copies")
    assert os.listdir(tmp_path / "copies") == []


@on_sqlite
def test_a_second_backup_into_one_folder_waits_its_turn_and_a_killed_ones_remains_are_cleared(
    store: Store, tmp_path: Path
) -> None:
    """Else the first would give its name to what the second has only begun to write."""
    source, target = tmp_path / "hub.db", tmp_path / "copies"
    target.mkdir()
    for left in ("hub.db.part", "hub.db.part-wal", "hub.db.part-shm", "hub.db.part-journal"):
        (target / left).write_bytes(b"left behind " * 1000)
    with (target / "hub.db.part").open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ConfigurationError, match="another backup"):
            backup([source], target)
    assert (target / "hub.db.part").stat().st_size == 12_000
    backup([source], target)
    assert os.listdir(target) == ["hub.db"]
    with closing(sqlite3.connect(target / "hub.db")) as driver:
        assert driver.execute("PRAGMA integrity_check").fetchone() == ("ok",)
