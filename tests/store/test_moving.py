"""Everything of one database in another, counted and compared, or nothing (H9)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, make_url, text

from hub.core.interaction import ClientId, Identity
from hub.core.phone import Phone
from hub.core.records import Contact
from hub.errors import ConfigurationError
from hub.ports import Changes, RawRequest
from hub.store import clients, directory_moving, directory_stream, events, inbox, interactions, moving, projects
from hub.store.backup import dump
from hub.store.clients import JoinRules
from hub.store.directory import AS_OF, Directory
from hub.store.engine import Store
from hub.store.migrations import TABLES
from tests.postgres import Server
from tests.store.at_once import make_call
from tests.store.released_rows import ROWS

#: more than a page of the copy
MANY = 1100


def fill(conn: Connection, now: datetime) -> None:
    """A row as every release wrote it, and many of one table with all kinds of cells."""
    for rows in ROWS.values():
        for table, found in rows.items():
            for row in found:
                names = ", ".join(f'"{name}"' for name in row)
                values = ", ".join(f":{name}" for name in row)
                conn.execute(text(f'INSERT INTO "{table}" ({names}) VALUES ({values})'), row)  # noqa: S608 - fixed names
    odd = "tab\tnewline\nback\\slash quote\"' \\. \\N ї € \U0001f600"
    for number in range(MANY):
        body = bytes([number % 256]) * (number % 7) + b"\x00\\x\n"
        request = RawRequest(method="POST", query=b"\\N", headers=(("x", odd),), body=body, received_at=now)
        inbox.add(conn, project="auto", channel=f"{odd}{number}", kind="hook", request=request)
    projects.add_project(conn, "odd", now=now, title="a\x00b")
    clients.resolve(conn, "auto", Identity(phones=(Phone("+380671112233"),), name=odd), JoinRules(), now=now)


@pytest.fixture
def small(tmp_path: Path, now: datetime) -> Iterator[Store]:
    """A hub on SQLite with something in every kind of cell."""
    with Store(f"sqlite:///{tmp_path / 'small.db'}") as store:
        store.write_now(lambda conn: fill(conn, now))
        yield store


@pytest.fixture
def large(postgres_url: str) -> Iterator[Store]:
    """An empty hub on PostgreSQL."""
    with Store(postgres_url) as store:
        yield store


def digests(store: Store) -> dict[str, moving.Moved]:
    return {
        table.name: store.read_now(lambda conn, name=table.name: moving.digest_of(conn, name))  # type: ignore[misc]
        for table in TABLES
        if table.name != "migration"
    }


@pytest.mark.postgres
def test_everything_arrives_and_everything_comes_back(small: Store, large: Store, tmp_path: Path) -> None:
    told: list[moving.Moved] = []
    moved = moving.move(small, large, told.append)
    assert told == moved
    assert {one.table: one for one in moved} == digests(small) == digests(large)
    assert {one.table for one in moved} == {table.name for table in TABLES} - {"migration"}
    assert next(one.rows for one in moved if one.table == "inbox") > MANY
    with Store(f"sqlite:///{tmp_path / 'back.db'}") as back:
        moving.move(large, back)
        assert digests(back) == digests(small)
        # truth values, instants and bytes are what they were, not only alike
        assert rows(back, "work") == rows(small, "work") != []
        assert rows(back, "connection") == rows(small, "connection") != []


def rows(store: Store, table: str) -> list[Any]:
    return store.read_now(lambda conn: list(conn.execute(text(f'SELECT * FROM "{table}" ORDER BY 1, 2'))))  # noqa: S608 - fixed names


def test_another_content_is_another_hash(small: Store) -> None:
    before = digests(small)
    small.write_now(lambda conn: projects.change_project(conn, "odd", title="c"))
    after = digests(small)
    assert {name for name in before if before[name] != after[name]} == {"project"}
    assert before["project"].rows == after["project"].rows


@pytest.mark.postgres
def test_counting_goes_on_where_it_was(small: Store, large: Store, now: datetime) -> None:
    """A number that was given is never given again: a vendor or a browser may know it."""

    def add(conn: Connection) -> tuple[int, int, int]:
        request = RawRequest(method="POST", body=b"{}", received_at=now)
        row = inbox.add(conn, project="auto", channel="c", kind="hook", request=request)
        call = make_call(now, external_id="new")
        stored = interactions.put(conn, call, client_id=ClientId("c"), received_at=now, decide_at=None)
        return row, stored.sequence, events.append(conn, project="auto", kind="k", body={}, now=now)

    before = small.read_now(
        lambda conn: tuple(
            conn.execute(text(f"SELECT max({column}) FROM {table}")).scalar_one()  # noqa: S608 - fixed names
            for table, column in (("inbox", "id"), ("interaction", "sequence"), ("event", "id"))
        )
    )
    moving.move(small, large)
    row, sequence, event = large.write_now(add)
    assert (row, sequence) == (before[0] + 1, before[1] + 1)
    assert event > before[2]
    assert [found.id for found in large.read_now(lambda conn: events.read_after(conn, before[2]))] == [event]


@pytest.mark.postgres
def test_a_target_that_holds_anything_is_left_alone(small: Store, large: Store, now: datetime) -> None:
    large.write_now(lambda conn: projects.add_project(conn, "other", now=now))
    with pytest.raises(ConfigurationError, match="project"):
        moving.move(small, large)
    assert large.read_now(moving.filled_tables) == ["project"]


@pytest.mark.postgres
@pytest.mark.parametrize(
    "happens",
    [
        "NEW.name := NEW.name || '!'; RETURN NEW;",
        "RETURN NULL;",
        "RAISE EXCEPTION 'the disk is full';",
    ],
)
def test_what_does_not_arrive_as_it_was_leaves_nothing(small: Store, large: Store, happens: str) -> None:
    """Whatever goes wrong on the way is found, named, and undone whole."""
    large.write_now(
        lambda conn: conn.exec_driver_sql(
            f"CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {happens} END $$;"
            " CREATE TRIGGER spoil BEFORE INSERT ON client FOR EACH ROW EXECUTE FUNCTION spoil()"
        )
    )
    try:
        with pytest.raises(Exception, match=r"client|disk is full"):
            moving.move(small, large)
        assert large.read_now(moving.filled_tables) == []
    finally:
        large.write_now(lambda conn: conn.exec_driver_sql("DROP FUNCTION spoil CASCADE"))


@pytest.mark.postgres
def test_the_crms_records_go_along(large: Store, tmp_path: Path, now: datetime) -> None:
    """A worker on a new machine finds them; without them it would read the whole account anew (H6)."""
    path = tmp_path / "directory.db"
    contacts = tuple(Contact(id=str(number), name=f"Client {number}") for number in range(1200))
    with Directory(path) as directory:
        directory.fold("auto", "amo", Changes(contacts=contacts, as_of=now), now, marks={"imported": "yes"})
    assert directory_moving.move(path, large) == 1200
    found, after = 0, 0
    marks: dict[str, str] = {}
    while True:
        changed = large.read_now(lambda conn, after=after: directory_stream.changes_after(conn, "auto", "amo", after))  # type: ignore[misc]
        if changed.upto == after:
            break
        found, after, marks = found + len(changed.rows), changed.upto, {**marks, **changed.marks}
    assert found == 1200
    assert marks["imported"] == "yes"
    assert int(marks[AS_OF]) > 0
    with Directory(tmp_path / "new.db") as copy:
        copy.take_over("auto", "amo", changed.rows, marks)
        assert copy.as_of("auto", "amo") == now


@pytest.mark.postgres
def test_a_backup_is_restored_into_another_database(
    large: Store, postgres_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    """By the programs that come with every PostgreSQL, while the hub runs."""
    large.write_now(lambda conn: fill(conn, now))
    monkeypatch.setenv("PATH", f"{postgres_server.programs}:{os.environ['PATH']}")
    file = dump(large.url, tmp_path / "copies")
    assert file.stat().st_mode & 0o077 == 0
    name = postgres_server.create()
    url = make_url(postgres_server.url(name))
    subprocess.run(
        ["pg_restore", "--no-owner", f"--dbname={url.set(drivername='postgresql').render_as_string(False)}", file],
        check=True,
    )
    with Store(url) as restored:
        assert digests(restored) == digests(large)
        large.close()
    postgres_server.drop(name)


@pytest.mark.postgres
def test_what_hinders_a_backup_is_said(large: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="pg_dump --format=custom") as caught:
        dump(large.url, tmp_path / "copies")
    assert str(large.url.password) not in str(caught.value)
    program = tmp_path / "pg_dump"
    program.write_text("#!/bin/sh\necho the server is older >&2; exit 1\n", encoding="ascii")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ConfigurationError, match="the server is older"):
        dump(large.url, tmp_path / "copies")
    assert list((tmp_path / "copies").iterdir()) == []
