"""A prepared statement says and finds what Core says and finds (DESIGN 3, 11)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, Integer, bindparam, func, insert, select, update

from hub.store.engine import Store
from hub.store.prepared import Prepared
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
