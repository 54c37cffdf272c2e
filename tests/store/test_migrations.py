"""From every released state to the present schema, with the rows that were in it (H9)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import Connection, Engine, inspect, select, text

from hub.errors import ConfigurationError
from hub.store import migrations, schema
from hub.store.engine import Store
from tests.postgres import Server
from tests.store.released_rows import ROWS, Rows

RELEASED = Path(migrations.__file__).parent / "released"
NAMES = [fn.__name__ for fn in migrations.MIGRATIONS]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without a table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'hub.db'}"
    found: str = request.getfixturevalue("bare_postgres_url")
    return found


@pytest.fixture
def engine(bare_url: str) -> Iterator[Engine]:
    made = sqlalchemy.create_engine(bare_url)
    yield made
    made.dispose()


def bring_to(conn: Connection, count: int, now: datetime) -> None:
    """What the release with the first ``count`` migrations left behind."""
    schema.migration.create(conn)
    for fn in migrations.MIGRATIONS[:count]:
        fn(conn)
        conn.execute(sqlalchemy.insert(schema.migration).values(name=fn.__name__, applied_at=now))


def put_rows(conn: Connection, rows: Rows) -> None:
    for table, found in rows.items():
        for row in found:
            names = ", ".join(f'"{name}"' for name in row)
            values = ", ".join(f":{name}" for name in row)
            conn.execute(text(f'INSERT INTO "{table}" ({names}) VALUES ({values})'), row)  # noqa: S608 - fixed names


def kept_rows(conn: Connection, rows: Rows) -> dict[str, list[dict[str, Any]]]:
    """The same columns of the same rows, as they are now."""
    return {
        table: [
            dict(row)
            for row in conn.execute(
                text(f'SELECT {", ".join(chr(34) + name + chr(34) for name in found[0])} FROM "{table}" ORDER BY 1, 2')  # noqa: S608
            ).mappings()
        ]
        for table, found in rows.items()
    }


@pytest.mark.parametrize("count", range(len(NAMES) + 1))
def test_every_released_state_comes_to_the_present_with_its_rows(
    engine: Engine, bare_url: str, now: datetime, count: int
) -> None:
    """A hub of any release is started with the present version: nothing of what it knew is lost or changed."""
    states = [rows for name, rows in ROWS.items() if name in NAMES[:count]]
    with engine.begin() as conn:
        if count:
            bring_to(conn, count, now)
        for rows in states:
            put_rows(conn, rows)
        before = [kept_rows(conn, rows) for rows in states]
    with Store(bare_url) as store:
        assert store.read_now(migrations.applied) == tuple(NAMES)
        assert [store.read_now(lambda conn, rows=rows: kept_rows(conn, rows)) for rows in states] == before  # type: ignore[misc]
        for table in migrations.TABLES:
            # every column of the present schema is there, and what stands in it can be read
            store.read_now(lambda conn, table=table: conn.execute(select(table)).all())  # type: ignore[misc]


def test_there_are_rows_for_the_first_release() -> None:
    """The test above would pass with nothing in the tables."""
    assert {"project", "channel", "connection", "interaction", "work", "step", "client"} <= ROWS["m0001_truth"].keys()
    assert ROWS.keys() <= set(NAMES)


def shape(engine: Engine) -> dict[str, Any]:
    """Tables, columns with type and nullability, keys and indexes, as the engine tells them."""
    told = inspect(engine)
    return {
        table: {
            "columns": {
                column["name"]: (str(column["type"]).partition(" COLLATE")[0], column["nullable"])
                for column in told.get_columns(table)
            },
            "key": told.get_pk_constraint(table)["constrained_columns"],
            "unique": sorted(tuple(found["column_names"]) for found in told.get_unique_constraints(table)),
            "indexes": sorted(
                (found["name"], tuple(found["column_names"]), str(_condition(found)))
                for found in told.get_indexes(table)
                if not found.get("duplicates_constraint")
            ),
        }
        for table in told.get_table_names()
    }


def _condition(index: Any) -> object:
    found = index.get("dialect_options", {})
    where = found.get("sqlite_where", found.get("postgresql_where", ""))
    return re.sub(r"[()\s]", "", str(where))


def test_the_migrations_come_to_what_the_schema_says(
    engine: Engine, now: datetime, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with engine.begin() as conn:
        migrations.apply(conn, now)
    url = f"sqlite:///{tmp_path / 'living.db'}"
    if engine.dialect.name == "postgresql":
        server: Server = request.getfixturevalue("postgres_server")
        url = server.url(server.create())
    living = sqlalchemy.create_engine(url)
    schema.metadata.create_all(living)
    assert shape(engine) == shape(living)
    living.dispose()


def test_what_was_released_is_made_of_no_living_table() -> None:
    """Each migration has its own text for both engines, which may not change once it is released."""
    for name in NAMES[:2]:
        for engine in ("sqlite", "postgresql"):
            assert "CREATE TABLE" in (RELEASED / f"{name[:5]}_{engine}.sql").read_text(encoding="utf-8")


@pytest.mark.postgres
def test_text_is_ordered_alike_on_both_engines(bare_postgres_url: str) -> None:
    """The order of ids and names decides what is oldest, and where a page begins."""
    with Store(bare_postgres_url) as store:
        other = store.read_now(
            lambda conn: conn.exec_driver_sql(
                "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public'"
                " AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C' AND table_name <> 'migration'"
            ).all()
        )
    assert other == []


def test_migrations_run_from_empty_and_are_not_run_twice(database_url: str, now: datetime) -> None:
    with Store(database_url) as store:
        assert store.read_now(migrations.applied) == tuple(NAMES)
        assert store.read_now(migrations.pending) == ()
        assert store.write_now(lambda conn: migrations.apply(conn, now)) == ()
    with Store(database_url) as store:
        assert store.read_now(migrations.applied) == tuple(NAMES)


def test_migrations_are_numbered_without_gaps() -> None:
    assert [name[:5] for name in NAMES] == [f"m{number:04}" for number in range(1, len(NAMES) + 1)]


def test_a_database_of_a_newer_hub_is_left_alone(database_url: str, now: datetime) -> None:
    """A rolling restart that goes back a version must not write into tables that it does not know."""
    with Store(database_url) as store:
        row = {"name": "m9999_of_tomorrow", "applied_at": now}
        store.write_now(lambda conn: conn.execute(sqlalchemy.insert(schema.migration).values(row)))
    store = Store(database_url)
    with pytest.raises(ConfigurationError, match="m9999_of_tomorrow"):
        store.open()
    store.close()
    # the database is another test's after this one, and which migrations have run stays in it
    engine = sqlalchemy.create_engine(database_url)
    with engine.begin() as conn:
        conn.execute(sqlalchemy.delete(schema.migration).where(schema.migration.c.name == "m9999_of_tomorrow"))
    engine.dispose()


@pytest.mark.postgres
def test_of_many_processes_that_start_at_once_one_makes_the_tables(
    bare_postgres_url: str, run_at_once: Callable[..., list[Any]]
) -> None:
    def start() -> tuple[str, ...]:
        with Store(bare_postgres_url) as store:
            return store.read_now(migrations.applied)

    assert run_at_once(*[start] * 6) == [tuple(NAMES)] * 6
