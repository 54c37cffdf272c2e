"""What a sweep finds of lanes that could go on and do not, however many of another account cannot (H4)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Connection, insert, update

from hub.core.interaction import ClientId
from hub.store import schema, sweep, work
from hub.store.engine import Store
from hub.store.work import Lane

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CRM = "amocrm"


def _add(conn: Connection, project: str, count: int, *, state: str = "open") -> None:
    """So many clients of a project with an interaction each that may be decided; each younger than those before."""
    interactions = [
        {
            "id": f"{project}-{number}",
            "sequence": number + 10_000 * len(project),
            "project": project,
            "channel": "phone",
            "external_id": str(number),
            "kind": "call",
            "client_id": f"client-{project}-{number}",
            "started_at": NOW,
            "received_at": NOW,
            "body": b"{}",
            "decide_at": NOW,
        }
        for number in range(1, count + 1)
    ]
    conn.execute(insert(schema.interaction), interactions)
    works = [
        {
            "interaction_id": row["id"],
            "connection": CRM,
            "project": project,
            "client_id": row["client_id"],
            "sequence": row["sequence"],
            "state": state,
            "decided_revision": int(state == "writing"),
            "updated_at": NOW,
        }
        for row in interactions
    ]
    conn.execute(insert(schema.work), works)


def _lane(project: str, number: int) -> Lane:
    return Lane(client_id=ClientId(f"client-{project}-{number}"), connection=CRM, project=project)


def test_thousands_of_one_account_do_not_hide_the_one_of_another(database_url: str) -> None:
    """Whoever sweeps is told so many of each account as it has room for, the oldest first."""
    with Store(database_url) as store:
        store.write_now(lambda conn: _add(conn, "a", 1500))
        store.write_now(lambda conn: _add(conn, "bb", 1))
        for projects in (None, ["a", "bb"]):
            found = store.read_now(
                lambda conn, projects=projects: sweep.lanes_to_wake(  # type: ignore[misc]
                    conn, NOW, projects=projects, room=lambda *_: 5
                )
            )
            # in which order the accounts come is nobody's promise
            found.sort(key=lambda lane: lane.project)
            assert found == [*(_lane("a", number) for number in range(1, 6)), _lane("bb", 1)]


def test_an_account_that_is_left_alone_and_anothers_worker_are_not_told(database_url: str) -> None:
    with Store(database_url) as store:
        for project in ("a", "bb", "ccc"):
            store.write_now(lambda conn, project=project: _add(conn, project, 2))  # type: ignore[misc]
        room = {"a": 0, "bb": 1, "ccc": 9}
        found = store.read_now(
            lambda conn: sweep.lanes_to_wake(conn, NOW, projects=["a", "bb"], room=lambda project, _: room[project])
        )
    assert found == [_lane("bb", 1)]


def test_work_whose_steps_have_all_ended_is_found(database_url: str) -> None:
    with Store(database_url) as store:
        store.write_now(lambda conn: _add(conn, "a", 3, state="writing"))
        found = store.read_now(lambda conn: sweep.lanes_to_wake(conn, NOW, room=lambda *_: 0))
    assert sorted(found, key=str) == [_lane("a", number) for number in (1, 2, 3)]


def test_what_is_counted_as_coming_is_the_accounts_own_that_may_be_decided(database_url: str) -> None:
    """A request waits for nothing that is written, goes on still, is a bulk, or is not its client's next (X6)."""

    def change(conn: Connection) -> None:
        _add(conn, "a", 5)
        _add(conn, "bb", 1)
        works, interactions = schema.work, schema.interaction
        conn.execute(update(works).where(works.c.interaction_id == "a-1").values(state="writing"))
        conn.execute(update(works).where(works.c.interaction_id == "a-2").values(urgency=work.BULK))
        conn.execute(update(interactions).where(interactions.c.id == "a-3").values(decide_at=None))
        # its client's earlier one is being written: it comes only after that
        conn.execute(update(works).where(works.c.interaction_id == "a-4").values(client_id="client-a-1"))

    with Store(database_url) as store:
        store.write_now(change)
        assert [
            store.read_now(partial(work.count_undecided, project=name, connection=CRM, now=NOW)) for name in ("a", "bb")
        ] == [1, 1]
        store.write_now(lambda conn: _add(conn, "ccc", 150))
        assert store.read_now(lambda conn: work.count_undecided(conn, "ccc", CRM, NOW, most=100)) == 100
