"""A prepared statement says and finds what Core says and finds (DESIGN 3, 11)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, Integer, bindparam, func, insert, select, update

from hub.compose import Hub
from hub.settings import Settings
from hub.store import prepared
from hub.store.engine import Store
from hub.store.prepared import Prepared, make_texts
from hub.store.schema import event, work

NOW = datetime(2026, 3, 2, 9, 0, 0, 123456, tzinfo=UTC)

ADD = Prepared(insert(event).returning(event.c.id), columns=("project", "at", "kind", "body"))
SOME = Prepared(
    select(event.c.id, event.c.at, event.c.body)
    .where(event.c.kind.in_(["work", "other"]), event.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(event.c.id)
    .limit(bindparam("most", type_=Integer))
)
PUT_WORK = Prepared(
    insert(work), columns=("interaction_id", "connection", "project", "client_id", "sequence", "updated_at")
)
SET_WORK = Prepared(
    update(work)
    .where(work.c.interaction_id.in_(bindparam("ids", expanding=True)), work.c.state.in_(["open", "writing"]))
    .values(cost=work.c.cost + bindparam("more", type_=Integer), note=func.coalesce(bindparam("words"), work.c.note))
)


def write_five(conn: Connection) -> list[int]:
    return [ADD.scalar(conn, project="p", at=NOW, kind="work", body=b"{}") for _ in range(5)]


@pytest.mark.parametrize("wanted", [1, 2, 3, 5], ids=lambda wanted: f"{wanted} ids")
def test_rows_come_back_as_core_would_give_them(store: Store, wanted: int) -> None:
    ids = store.write_now(write_five)
    found = store.read_now(lambda conn: SOME.rows(conn, ids=ids[:wanted], most=4))
    assert found == [(id, NOW, b"{}") for id in ids[:wanted][:4]]


def test_columns_that_are_not_given_get_their_defaults(store: Store) -> None:
    row = {"connection": "c", "project": "p", "client_id": "x", "sequence": 1, "updated_at": NOW}

    def run(conn: Connection) -> tuple[int, list[object]]:
        PUT_WORK.change_many(conn, [{"interaction_id": name, **row} for name in ("a", "b")])
        changed = SET_WORK.change(conn, ids=["a", "none"], more=7, words=None)
        return changed, list(conn.execute(select(work.c.state, work.c.cost, work.c.note).order_by(work.c.cost)))

    assert store.write_now(run) == (1, [("open", 0, ""), ("open", 7, "")])


def test_an_empty_list_is_refused_instead_of_found_in(store: Store) -> None:
    with pytest.raises(ValueError, match="empty list"):
        store.read_now(lambda conn: SOME.rows(conn, ids=[], most=1))


def test_texts_that_are_made_before_are_not_made_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """DESIGN 11: the first call after a start would hold up the loop for all of them at once."""
    statement = Prepared(insert(event).returning(event.c.id), columns=("project", "at", "kind", "body"))
    listing = Prepared(select(event.c.id).where(event.c.id.in_(bindparam("ids", expanding=True))))
    steps = sum(1 for _ in make_texts(store.read_now(lambda conn: conn.dialect)))
    assert steps > 50
    # what is asked depends on how many are asked for
    assert not listing._texts

    def refuse(*_: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(prepared, "_compile", refuse)
    assert store.write_now(lambda conn: statement.scalar(conn, project="p", at=NOW, kind="work", body=b"{}")) > 0


async def test_hub_makes_them_soon_after_its_start(tmp_path: Path) -> None:
    statement = Prepared(select(event.c.id))
    async with Hub(Settings(environment="development", data_directory=tmp_path)), asyncio.timeout(20):
        while not statement._texts:  # noqa: ASYNC110 - nobody tells when it is done
            await asyncio.sleep(0.02)
