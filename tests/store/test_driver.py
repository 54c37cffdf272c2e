"""What goes to PostgreSQL past its driver's cursor is what Core would have said and found (H9)."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import (
    BigInteger,
    BindParameter,
    Connection,
    Integer,
    Text,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.sql import visitors

import hub.store
from hub.store import cluster
from hub.store.engine import Store
from hub.store.prepared import Prepared
from hub.store.schema import event, work

NOW = datetime(2026, 3, 2, 9, 0, 0, 123456, tzinfo=UTC)
ADD = Prepared(insert(event), columns=("project", "at", "kind", "body"))
COUNT = Prepared(select(func.count()).select_from(event))
PUT_WORK = Prepared(
    insert(work), columns=("interaction_id", "connection", "project", "client_id", "sequence", "updated_at", "on_seen")
)
#: does what PostgreSQL refuses at once
REFUSED = Prepared(select(cast(bindparam("words", type_=Text), Integer)))


def all_prepared() -> Iterator[tuple[str, Prepared]]:
    for module in pkgutil.iter_modules(hub.store.__path__, "hub.store."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, Prepared):
                yield f"{module.name}.{name}", value


@pytest.fixture
def opened(postgres_url: str) -> Iterator[Store]:
    with Store(postgres_url, readers=1) as store:
        store.write_now(cluster.prepare)
        yield store


def test_postgresql_understands_every_statement_that_the_hub_prepares(opened: Store) -> None:
    """H9: the types of all parameters are known, and every list stands where PostgreSQL takes one."""

    def prepare(conn: Connection) -> int:
        library = conn.connection.dbapi_connection.pgconn  # type: ignore[union-attr]  # it is connected
        count = 0
        for name, statement in all_prepared():
            lists: dict[str, list[object]] = {
                bind.key: [1, 2] if bind.type.python_type is int else ["a", "b"]
                for bind in visitors.iterate(statement._elsewhere)  # type: ignore[arg-type]  # each is a clause
                if isinstance(bind, BindParameter) and bind.expanding and bind.required
            }
            found = library.prepare(
                b"", statement._text_of(conn.dialect, tuple(map(len, lists.values())), lists).sql.encode()
            )
            assert not found.error_message, f"{name}: {found.error_message.decode()}"
            count += 1
        return count

    assert opened.read_now(prepare) > 70


def test_values_of_every_kind_come_back_as_they_went(opened: Store) -> None:
    body = bytes(range(256))

    def run(conn: Connection) -> object:
        ADD.change(conn, project="п\x00%s$1", at=NOW, kind="", body=body)
        row = {"interaction_id": "i", "connection": "c", "project": "p", "client_id": "x", "updated_at": NOW}
        PUT_WORK.change(conn, **row, sequence=-(2**62), on_seen=True)
        find = Prepared(
            select(
                event.c.project, event.c.at, event.c.kind, event.c.body, work.c.sequence, work.c.on_seen, work.c.seen
            )
            .add_columns(func.sum(work.c.sequence), literal(None))
            .where(event.c.project.like("%$1"), work.c.on_seen == bindparam("truth"))
            .group_by(event.c.id, work.c.interaction_id, work.c.connection)
        )
        return find.rows(conn, truth=True)

    assert opened.write_now(run) == [("п\ufffd%s$1", NOW, "", body, -(2**62), True, "", -(2**62), None)]


def test_what_the_server_refuses_is_raised_as_core_raises_it_and_without_the_values(opened: Store) -> None:
    """X9: a client's data stays out of the log."""
    opened.write_now(lambda conn: ADD.change(conn, project="p", at=NOW, kind="k", body=b""))
    with pytest.raises(DBAPIError) as refused:
        opened.read_now(lambda conn: REFUSED.rows(conn, words="a secret"))
    assert "a secret" not in str(refused.value.statement)
    assert refused.value.params is None

    def twice(conn: Connection) -> None:
        row = {"interaction_id": "i", "connection": "c", "project": "p", "client_id": "x", "updated_at": NOW}
        PUT_WORK.change_many(conn, [{**row, "sequence": 1, "on_seen": False}] * 2)

    with pytest.raises(IntegrityError):
        opened.write_now(twice)
    assert opened.read_now(lambda conn: COUNT.scalar(conn)) == 1


def test_a_write_that_hides_a_refused_statement_is_not_taken_for_kept(opened: Store) -> None:
    """H4: PostgreSQL takes such a transaction back without a word."""

    def hides(conn: Connection) -> None:
        ADD.change(conn, project="p", at=NOW, kind="k", body=b"")
        with pytest.raises(DBAPIError):
            REFUSED.rows(conn, words="x")

    with pytest.raises(DBAPIError):
        opened.write_now(hides)
    assert opened.read_now(lambda conn: COUNT.scalar(conn)) == 0


def test_many_rows_that_go_together_are_all_there_or_none(opened: Store) -> None:
    """H9: one that is refused is told as itself, and the connection serves the next one."""
    row = {"connection": "c", "project": "p", "client_id": "x", "updated_at": NOW, "on_seen": False}
    rows = [{**row, "interaction_id": str(number), "sequence": number} for number in range(150)]

    def count(conn: Connection) -> object:
        return conn.execute(select(func.count()).select_from(work)).scalar_one()

    opened.write_now(lambda conn: PUT_WORK.change_many(conn, rows))
    assert opened.read_now(count) == 150
    again = [{**one, "interaction_id": f"new {number}"} for number, one in enumerate(rows)]
    again[100] = rows[0]
    with pytest.raises(IntegrityError, match="duplicate key"):
        opened.write_now(lambda conn: PUT_WORK.change_many(conn, again))
    assert opened.read_now(count) == 150
    opened.write_now(lambda conn: PUT_WORK.change_many(conn, again[:3]))
    assert opened.read_now(count) == 153


def test_rows_on_their_way_when_the_server_cuts_the_connection_are_told_as_lost(opened: Store) -> None:
    """H9: whoever writes hears of it at once, and the next write goes over a new connection."""
    lock = text("SELECT pg_advisory_xact_lock(7)")
    cut = text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    wait = Prepared(select(cast(func.pg_advisory_xact_lock(bindparam("key", type_=BigInteger)), Text)))

    def waits(conn: Connection) -> None:
        # the first takes the one that is free; the second waits for ours
        wait.change_many(conn, [{"key": 6}, {"key": 7}, {"key": 8}])

    with Store(opened.url) as other, ThreadPoolExecutor(1) as pool:

        def hold(conn: Connection) -> None:
            conn.execute(lock)
            writing = pool.submit(opened.write_now, waits)
            tries = 0
            while not other.read_now(lambda found: found.execute(cut).all()):
                tries += 1
                assert tries < 2000, "nobody waits for the lock"
            # it is tried once more over another connection, which waits again
            while not other.read_now(lambda found: found.execute(cut).all()):
                tries += 1
                assert tries < 4000, "it was not tried again"
            with pytest.raises(DBAPIError) as lost:
                writing.result(20)
            assert lost.value.connection_invalidated

        other.write_now(hold)
    opened.write_now(waits)


def test_statements_that_a_connection_lost_are_prepared_anew(opened: Store) -> None:
    """H9: a pooler's ``DISCARD ALL`` between, or a table that was changed under a worker, costs nobody anything."""

    def lose(conn: Connection) -> None:
        conn.execute(text("DEALLOCATE ALL"))

    opened.write_now(lambda conn: ADD.change(conn, project="p", at=NOW, kind="k", body=b""))
    assert opened.read_now(lambda conn: COUNT.scalar(conn)) == 1
    opened.write_now(lose)
    opened.write_now(lambda conn: ADD.change(conn, project="p", at=NOW, kind="k", body=b""))
    opened.write_now(lose)
    assert opened.read_now(lambda conn: COUNT.scalar(conn)) == 2
    opened.write_now(lambda conn: Prepared(delete(event)).change(conn))
    assert opened.read_now(lambda conn: COUNT.scalar(conn)) == 0


def test_more_statements_than_a_connection_keeps_are_answered_all_the_same(
    opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.store.driver._MOST", 3)
    many = [Prepared(select(cast(literal(number), Integer).label(f"n{number}"))) for number in range(8)]
    for _ in range(2):
        assert opened.read_now(lambda conn: [one.scalar(conn) for one in many]) == list(range(8))
    kept = opened.read_now(lambda conn: conn.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one())
    assert kept == 3
