"""An overdue task is reminded and moved, the same task all the way; a closed one is left alone (X10, H7)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hub_amocrm.sandbox import Sandbox
from sqlalchemy import text

from hub.core.interaction import ClientId
from hub.core.records import RecordKind, RecordRef
from hub.core.remark import remark
from hub.ports import Changes
from hub.runtime.timers import Timers
from hub.store import dues, inbox, projects
from hub.store.dues import Due
from tests.end_to_end.world import CRM, PROJECT, World, preset, world

pytestmark = pytest.mark.usefixtures("each_engine")

IRINA, ANNA = 8800101, 8800103
MISSED = {
    "type": "in",
    "uniqueid": "ua0_-1785312345.77",
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
    local = company.hub.services.clock.now().astimezone(ZoneInfo("Europe/Kyiv")) - timedelta(minutes=1)
    await company.webhook("after", MISSED | {"calldate": f"{local:%Y-%m-%d %H:%M:%S}"})
    await company.settled(1)
    assert len(open_tasks(company)) == 1


@pytest.fixture(autouse=True)
def quick_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """New timers are looked for at once."""
    monkeypatch.setattr(Timers, "EVERY", timedelta(seconds=0.05))


def overdue_steps(company: World) -> list[tuple[str, str]]:
    """Kind and state of what timers asked for."""
    rows = company.hub.services.store.read_now(
        lambda conn: conn.execute(text("SELECT kind, state FROM step WHERE key LIKE '%overdue%'")).fetchall()
    )
    return [(row[0], row[1]) for row in rows]


def looks(company: World) -> list[tuple[str, str]]:
    """Status and note of the timers that rang."""
    store = company.hub.services.store
    rows = store.read_now(lambda conn: inbox.list_received(conn, project=PROJECT))
    return [(row.status.value, row.note) for row in rows if row.kind == "due"]


async def test_an_overdue_task_is_reminded_then_moved_and_never_doubled(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    async with world(tmp_path, *amocrm, policy=policy()) as company:
        await missed(company)
        (task,) = open_tasks(company)
        assert task["responsible_user_id"] == IRINA
        keys = [due.key.rpartition("/overdue/")[2] for due in await due_rows(company)]
        assert keys == ["0"]
        await pull(company)
        await company.until(lambda: overdue_steps(company) == [("notify", "done")])
        await pull(company)
        await company.until(lambda: ("update_task", "done") in overdue_steps(company))
        (moved,) = open_tasks(company)
        assert (moved["id"], moved["responsible_user_id"]) == (task["id"], ANNA)
        assert await due_rows(company) == []


async def test_the_same_look_twice_does_nothing_twice(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """The process may die between two commits, and a decision may set the timer again."""
    async with world(tmp_path, *amocrm, policy=policy()) as company:
        await missed(company)
        (first,) = await due_rows(company)
        for _ in range(3):
            before = len(looks(company))
            at = company.hub.services.clock.now() - timedelta(seconds=1)
            again = Due(project=first.project, client_id=first.client_id, key=first.key, at=at)
            await company.hub.services.store.write(lambda conn, again=again: dues.put(conn, again))  # type: ignore[misc]
            await company.until(lambda before=before: len(looks(company)) > before)  # type: ignore[misc]
        await company.until(lambda: all(status == "done" for status, _ in looks(company)))
        assert [kind for kind, _ in overdue_steps(company)] == ["notify"]


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
        await company.until(lambda: ("done", remark("task_is_done")) in looks(company))
        assert await due_rows(company) == []
        assert overdue_steps(company) == []
        assert await due_rows(company) == []
        assert overdue_steps(company) == []


async def test_a_timer_that_nobody_knows_is_put_aside(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    async with world(tmp_path, *amocrm, policy=policy()) as company:
        services = company.hub.services
        past = services.clock.now() - timedelta(seconds=1)
        odd = Due(project=PROJECT, client_id=ClientId("c"), key="something/else", at=past)
        await services.store.write(lambda conn: dues.put(conn, odd))
        await company.until(lambda: [status for status, _ in looks(company)] == ["ignored"])


async def test_a_paused_project_keeps_its_timers(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    async with world(tmp_path, *amocrm, policy=policy()) as company:
        await missed(company)
        services = company.hub.services
        await services.store.write(lambda conn: projects.change_project(conn, PROJECT, is_paused=True))
        await services.projects.reload()
        await pull(company)
        await company.until(lambda: remark("looked_at_later") in [note for _, note in looks(company)])
        assert len(await due_rows(company)) == 1
        assert overdue_steps(company) == []
