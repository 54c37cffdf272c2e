"""An overdue task is reminded and moved, the same task all the way; a closed one is left alone (X10, H7)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hub_amocrm.sandbox import Sandbox

from hub.core.records import RecordKind, RecordRef
from hub.ports import Changes
from hub.runtime.timers import Timers
from hub.store import dues, inbox
from hub.store.dues import Due
from tests.end_to_end.world import CRM, PROJECT, World, preset, world

IRINA, OLEG = 8800101, 8800102
MISSED = {
    "type": "in",
    "uniqueid": "ua0_-1785312345.77",
    "calldate": "2026-07-29 11:05:45",
    "disposition": "NO ANSWER",
    "billsec": "0",
    "duration": "20",
    "caller": "380501112233",
    "dst": "380441234567",
}
ESCALATION = """
[[tasks.get_in_touch.overdue]]
after = "1 second"
notify = ["assignee"]

[[tasks.get_in_touch.overdue]]
after = "2 seconds"
move_to = ["anna"]
"""


def policy() -> str:
    """The preset with quick timers of our own, in wall time."""
    head, _, rest = preset("zoho-standard").partition("[[tasks.get_in_touch.overdue]]")
    following = rest.partition("\n[")
    rest = "[" + following[2] if following[2] else ""
    while rest.startswith("[[tasks.get_in_touch.overdue]]"):
        rest = "[" + rest.partition("\n[")[2]
    return head + ESCALATION + rest


def open_tasks(company: World) -> list[dict[str, Any]]:
    return [task for task in company.records()["tasks"] if not task["is_completed"]]


def timers(company: World) -> Timers:
    services = company.hub.services
    return Timers(
        services.store,
        services.clock,
        services.projects,
        services.directory,
        wake_ingest=lambda: None,
        wake_writer=company.hub._wake_writer,
    )


async def ring(company: World, found: Timers) -> int:
    """Move what is due into the inbox and handle it, as ingest does."""
    services = company.hub.services
    await found.ring()
    rows = [
        row
        for row in await services.store.read(lambda conn: inbox.list_received(conn, project=PROJECT))
        if row.kind == "due" and row.status == "new"
    ]
    for row in rows:
        await found.handle(row)
    return len(rows)


async def due_rows(company: World) -> list[Due]:
    services = company.hub.services

    def read(conn: Any) -> list[Due]:
        rows = conn.exec_driver_sql("SELECT DISTINCT client_id FROM due").fetchall()
        return [due for (client,) in rows for due in dues.list_of_client(conn, PROJECT, client)]

    return await services.store.read(read)


async def pull(company: World) -> None:
    """Bring every timer forward to now."""
    now = company.hub.services.clock.now() - timedelta(seconds=1)
    for due in await due_rows(company):
        moved = Due(project=due.project, client_id=due.client_id, key=due.key, at=now, body=due.body)
        await company.hub.services.store.write(lambda conn, moved=moved: dues.put(conn, moved))  # type: ignore[misc]


async def missed(company: World) -> None:
    await company.webhook("after", MISSED)
    await company.settled(1)
    assert len(open_tasks(company)) == 1


@pytest.fixture(autouse=True)
def no_ingest_of_timers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests hand the rows over by themselves."""
    unread = inbox.unread

    def without_timers(conn: Any, **options: Any) -> list[Any]:
        return [row for row in unread(conn, **options) if row.kind != "due"]

    monkeypatch.setattr(inbox, "unread", without_timers)


async def test_an_overdue_task_is_reminded_then_moved_and_never_doubled(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    async with world(tmp_path, *amocrm, policy=policy()) as company:
        await missed(company)
        (task,) = open_tasks(company)
        assert task["responsible_user_id"] == IRINA
        found = timers(company)
        keys = [due.key.rpartition("/overdue/")[2] for due in await due_rows(company)]
        assert keys == ["0"]
        await pull(company)
        assert await ring(company, found) == 1
        await company.settled(1)
        store = company.hub.services.store

        def kinds() -> list[tuple[str, str]]:
            rows = store.read_now(
                lambda conn: conn.exec_driver_sql("SELECT kind, state FROM step WHERE key LIKE '%overdue%'").fetchall()
            )
            return [(row[0], row[1]) for row in rows]

        await company.until(lambda: kinds() == [("notify", "done")])
        await pull(company)
        assert await ring(company, found) == 1
        await company.until(lambda: ("update_task", "done") in kinds())
        (moved,) = open_tasks(company)
        assert (moved["id"], moved["responsible_user_id"]) == (task["id"], 8800103)
        assert await due_rows(company) == []


async def test_the_same_look_twice_does_nothing_twice(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """The process may die between two commits, and a decision may set the timer again."""
    async with world(tmp_path, *amocrm, policy=policy()) as company:
        await missed(company)
        found = timers(company)
        (first,) = await due_rows(company)
        for _ in range(3):
            again = Due(
                project=first.project,
                client_id=first.client_id,
                key=first.key,
                at=company.hub.services.clock.now() - timedelta(seconds=1),
            )
            await company.hub.services.store.write(lambda conn, again=again: dues.put(conn, again))  # type: ignore[misc]
            await ring(company, found)
            await company.settled(1)
        count = company.hub.services.store.read_now(
            lambda conn: conn.exec_driver_sql("SELECT count(*) FROM step WHERE key LIKE '%overdue%'").scalar_one()
        )
        assert count == 1


async def test_a_task_that_a_person_finished_is_left_alone(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    sandbox, _ = amocrm
    async with world(tmp_path, *amocrm, policy=policy()) as company:
        await missed(company)
        (task,) = open_tasks(company)
        sandbox.person("complete_task", id=task["id"])
        directory = company.hub.services.directory
        gone = RecordRef(kind=RecordKind.TASK, id=str(task["id"]))
        directory.fold(PROJECT, CRM, Changes(deleted=(gone,)), company.hub.services.clock.now())
        await pull(company)
        assert await ring(company, timers(company)) == 1
        assert await due_rows(company) == []
        count = company.hub.services.store.read_now(
            lambda conn: conn.exec_driver_sql("SELECT count(*) FROM step WHERE key LIKE '%overdue%'").scalar_one()
        )
        assert count == 0


async def test_a_timer_that_nobody_knows_is_put_aside(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    async with world(tmp_path, *amocrm, policy=policy()) as company:
        services = company.hub.services
        past = services.clock.now() - timedelta(seconds=1)
        odd = Due(project=PROJECT, client_id="c", key="something/else", at=past)  # type: ignore[arg-type]
        await services.store.write(lambda conn: dues.put(conn, odd))
        assert await ring(company, timers(company)) == 1
        rows = await services.store.read(lambda conn: inbox.list_received(conn, project=PROJECT))
        assert [(row.kind, row.status) for row in rows] == [("due", "ignored")]
