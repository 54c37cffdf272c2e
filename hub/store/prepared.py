"""Statements that are made once: what Core makes of them goes straight to the driver.

Core takes a tenth of a millisecond or more to make, look up and read each statement, SQLite some microseconds to run
it, PostgreSQL's library twenty to ask for it; a call's way through the hub is a hundred statements (DESIGN 11: a burst
drains at the CRM's pace, not at ours). The statement stays Core's own, so that there is one for both engines.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import BindParameter, Connection, Dialect, LargeBinary, Select
from sqlalchemy.sql import visitors
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase

from hub.store.driver import ask, ask_many

__all__ = ["Prepared", "make_texts"]

_Processor = Callable[[Any], Any]


class Prepared:
    """A Core statement with ``bindparam`` s; values are given by their names.

    ``columns`` of an insert are those that are given, the others get their defaults; it must hold no list.
    A list for an ``expanding`` parameter is filled up with its last value, so that few lengths need texts of their own.
    ``postgresql`` is the statement there, where the engines' own words differ (``on_conflict``).
    What the driver refuses is raised as Core raises it (`sqlalchemy.exc.DBAPIError`) on PostgreSQL, and by SQLite's
    driver itself there.
    """

    def __init__(
        self,
        statement: Executable,
        *,
        columns: Sequence[str] | None = None,
        postgresql: Executable | None = None,
    ) -> None:
        self._statement, self._columns = statement, columns
        self._elsewhere = statement if postgresql is None else postgresql
        #: by the lengths of the lists
        self._texts: dict[tuple[int, ...], _Text] = {}
        self._texts_elsewhere: dict[tuple[int, ...], _Text] = {}
        _all.append(self)

    def rows(self, conn: Connection, /, **values: Any) -> list[Any]:
        """What is found, as tuples in the order of the statement's columns."""
        text, given = self._text(conn, values)
        driver = conn.connection.dbapi_connection
        if isinstance(driver, sqlite3.Connection):
            found = driver.execute(text.sql, text.parameters(given)).fetchall()
        else:
            found = ask(conn, text.sql, text.parameters(given)).rows
        return text.read(found)

    def first(self, conn: Connection, /, **values: Any) -> Any:
        """The first tuple; None if nothing is found."""
        found = self.rows(conn, **values)
        return found[0] if found else None

    def scalar(self, conn: Connection, /, **values: Any) -> Any:
        """The first column of the first tuple; None if nothing is found."""
        found = self.rows(conn, **values)
        return found[0][0] if found else None

    def change(self, conn: Connection, /, **values: Any) -> int:
        """How many rows were inserted, updated or deleted."""
        text, given = self._text(conn, values)
        driver = conn.connection.dbapi_connection
        if isinstance(driver, sqlite3.Connection):
            return driver.execute(text.sql, text.parameters(given)).rowcount
        return ask(conn, text.sql, text.parameters(given)).count

    def change_many(self, conn: Connection, rows: Collection[Mapping[str, Any]]) -> None:
        """`change` for each of ``rows``, which have the same names and no lists."""
        if not rows:
            return
        text = self._text_of(conn.dialect, ())
        driver = conn.connection.dbapi_connection
        if isinstance(driver, sqlite3.Connection):
            driver.executemany(text.sql, [text.parameters(values) for values in rows])
            return
        ask_many(conn, text.sql, [text.parameters(values) for values in rows])

    def _text(self, conn: Connection, values: Mapping[str, Any]) -> tuple[_Text, Mapping[str, Any]]:
        lists = {name: _filled_up(value) for name, value in values.items() if isinstance(value, list)}
        if not lists:
            return self._text_of(conn.dialect, ()), values
        text = self._text_of(conn.dialect, tuple(map(len, lists.values())), lists)
        flat = {f"{name}_{place}": item for name, value in lists.items() for place, item in enumerate(value, 1)}
        return text, {**values, **flat}

    def _text_of(
        self, dialect: Dialect, lengths: tuple[int, ...], lists: Mapping[str, list[Any]] | None = None
    ) -> _Text:
        is_sqlite = dialect.name == "sqlite"
        texts = self._texts if is_sqlite else self._texts_elsewhere
        text = texts.get(lengths)
        if text is None:
            statement = self._statement if is_sqlite else self._elsewhere
            told = dialect if is_sqlite else _numbering()
            text = texts[lengths] = _compile(statement, told, self._columns, lists or {})
        return text

    def make_text(self, dialect: Dialect) -> None:
        """Make the text before it is wanted, unless lists are given to it: milliseconds of a processor."""
        binds = (item for item in visitors.iterate(cast(Any, self._statement)) if isinstance(item, BindParameter))
        if not any(bind.expanding and bind.required for bind in binds):
            self._text_of(dialect, ())


#: made once for each module, so that they are few
_all: list[Prepared] = []


def make_texts(dialect: Dialect) -> Iterator[None]:
    """Make the texts of all statements, one at each step, so that nobody's first call waits for dozens of them."""
    for one in tuple(_all):
        one.make_text(dialect)
        yield


@functools.cache
def _numbering() -> Dialect:
    """PostgreSQL's words with ``$1`` and so on, as its library wants them."""
    # only here: a hub on SQLite needs no driver of PostgreSQL
    from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

    made: Any = PGDialect_psycopg
    found: Dialect = made(dbapi=made.import_dbapi(), paramstyle="numeric_dollar")
    return found


@dataclass(frozen=True, slots=True)
class _Text:
    """What the driver is told, and how values are turned to and fro."""

    sql: str
    #: in the order of the text: name, what turns it, the value if it is always the same
    binds: tuple[tuple[str, _Processor | None, Any], ...]
    #: columns whose values are turned, and what turns them
    results: tuple[tuple[int, _Processor], ...]

    def parameters(self, values: Mapping[str, Any]) -> list[Any]:
        return [
            fixed if not name else values[name] if turn is None else turn(values[name])
            for name, turn, fixed in self.binds
        ]

    def read(self, found: list[Any]) -> list[Any]:
        return [self._read(row) for row in found] if self.results else found

    def _read(self, row: Sequence[Any]) -> tuple[Any, ...]:
        # most columns are as the driver has them, and of the others most have no value
        turned: list[Any] | None = None
        for place, turn in self.results:
            value = row[place]
            if value is not None:
                if turned is None:
                    turned = list(row)
                turned[place] = turn(value)
        return tuple(row if turned is None else turned)


def _filled_up(values: list[Any]) -> list[Any]:
    """``values`` with the last one repeated up to the next power of two: IN does not mind."""
    if not values:
        raise ValueError("an empty list finds nothing: do not ask")
    wanted = 1 << (len(values) - 1).bit_length()
    return values + [values[-1]] * (wanted - len(values))


def _compile(
    statement: Executable, dialect: Dialect, columns: Sequence[str] | None, lists: Mapping[str, list[Any]]
) -> _Text:
    compiled = _compiler(statement, dialect, columns)
    given = {name for name, bind in compiled.binds.items() if bind.required}
    defaults: dict[str, Any] = {}
    if columns is not None:
        defaults = {column.key: column.default.arg for column in compiled.insert_prefetch}  # type: ignore[union-attr]  # it is why they are there
    else:

        def fill(bind: BindParameter[Any]) -> None:
            if bind.key in given:
                bind.value, bind.required = lists.get(bind.key), False

        # Core writes lists out itself, and then wants to see a value for everything
        filled: Executable = visitors.cloned_traverse(cast(Any, statement), {}, {"bindparam": fill})
        compiled = _compiler(filled, dialect, None, render_postcompile=True)
    items: dict[str, tuple[str, Any]] = {}
    for name, bind in compiled.binds.items():
        if bind.expanding:
            items |= {f"{name}_{place}": (name, value) for place, value in enumerate(bind.value or (), 1)}
    binds: list[tuple[str, _Processor | None, Any]] = []
    for name in compiled.positiontup or ():
        whole, item = items.get(name, (name, None))
        bind = compiled.binds[whole]
        turn = _turn(bind, dialect)
        if whole in given:
            binds.append((name, turn, None))
        else:
            value = item if name in items else defaults.get(name, bind.value)
            binds.append(("", None, value if turn is None else turn(value)))
    turns = [_turn_back(column, dialect) for column in _columns(statement)]
    results = tuple((place, turn) for place, turn in enumerate(turns) if turn is not None)
    return _Text(compiled.string, tuple(binds), results)


def _turn(bind: BindParameter[Any], dialect: Dialect) -> _Processor | None:
    # bytes go as they are: only the driver's own cursors want them wrapped
    is_bytes = isinstance(bind.type, LargeBinary)
    return None if is_bytes else bind.type.dialect_impl(dialect).bind_processor(dialect)


def _turn_back(column: Any, dialect: Dialect) -> _Processor | None:
    if isinstance(column.type, LargeBinary):
        return None
    found: _Processor | None = column.type.dialect_impl(dialect).result_processor(dialect, None)
    return found


def _compiler(statement: Executable, dialect: Dialect, columns: Sequence[str] | None, **options: bool) -> SQLCompiler:
    keys = None if columns is None else list(columns)
    compiled = statement.compile(dialect=dialect, column_keys=keys, compile_kwargs=options)  # type: ignore[attr-defined]  # every statement has it
    assert isinstance(compiled, SQLCompiler)
    return compiled


def _columns(statement: Executable) -> Iterable[Any]:
    if isinstance(statement, Select):
        return statement.selected_columns
    return statement.exported_columns if isinstance(statement, UpdateBase) else ()
