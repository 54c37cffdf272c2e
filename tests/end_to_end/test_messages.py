"""Messages from end to end: a messenger's plugin, what nobody answers in time, tasks in amoCRM (W2 to W6, H7, X10)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hub_amocrm.sandbox import Sandbox

from hub.core.records import EmployeeId
from hub.runtime.no_reply import dismiss, dismiss_all_of
from hub.runtime.timers import Timers
from hub.store import dues, waiting
from hub.store.waiting import Waiting
from tests.end_to_end import pigeon
from tests.end_to_end.pigeon import send
from tests.end_to_end.world import PROJECT, World, preset, world

IRINA, OLEG, ANNA = 8800101, 8800102, 8800103
PHONE = "+79161234567"
AT_ONCE = preset("wazzup-messengers").replace('task_after = "10 minutes"', 'task_after = "0 seconds"')
UNSORTED = AT_ONCE.replace("unsorted = false              # W3", "unsorted = true  # W3")


@pytest.fixture(autouse=True)
def quick_pigeons(monkeypatch: pytest.MonkeyPatch) -> None:
    pigeon.install(monkeypatch)
    monkeypatch.setattr(Timers, "EVERY", timedelta(seconds=0.05))
    monkeypatch.setattr("hub.runtime.timers._AGAIN", timedelta(seconds=0.1))
    monkeypatch.setattr("hub.runtime.timers._OWNERLESS", (timedelta(seconds=0.1), timedelta(seconds=0.2)))


def tasks(company: World) -> list[tuple[int, bool]]:
    """Assignee and whether it is done, of every task."""
    return [(task["responsible_user_id"], task["is_completed"]) for task in company.records()["tasks"]]


def waiting_now(company: World) -> list[Waiting]:
    return company.hub.services.store.read_now(lambda conn: waiting.list_waiting(conn, PROJECT))


def leads(company: World) -> list[tuple[int, bool]]:
    """Responsible and whether it waits in the inbox, of every deal."""
    waits = {one["_embedded"]["leads"][0]["id"] for one in company.records()["unsorted"] if one["state"] == "waiting"}
    return [(lead["responsible_user_id"], lead["id"] in waits) for lead in company.records()["leads"]]


async def test_an_unanswered_message_makes_one_task_and_the_reply_closes_it(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """W3, W6: in turn, on the responsible; the second message makes no second task."""
    async with world(tmp_path, *amocrm, policy=AT_ONCE) as company:
        await pigeon.open_channel(company)
        await send(company, "1", phone=PHONE, text="Is it in stock?")
        await company.until(lambda: tasks(company) == [(IRINA, False)])
        await send(company, "2", phone=PHONE, text="Hello?")
        await company.settled(2)
        assert [one.employee for one in waiting_now(company)] == ["irina"]
        await send(company, "3", phone=PHONE, by="examplecom_irina", text="Yes")
        await company.until(lambda: tasks(company) == [(IRINA, True)])
        assert waiting_now(company) == []
        assert leads(company) == [(IRINA, False)]
        await company.until(lambda: not due_keys(company))
        assert tasks(company) == [(IRINA, True)]


async def test_a_late_answer_leaves_the_later_question_its_task(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """W6: the second question's own look came while the first one waited; the answer to the first arrives last."""
    async with world(tmp_path, *amocrm, policy=AT_ONCE) as company:
        await pigeon.open_channel(company)
        begin = company.hub.services.clock.now() - timedelta(minutes=10)
        moments = [(begin + timedelta(minutes=minute)).isoformat() for minute in range(3)]
        await send(company, "1", phone=PHONE, text="Is it in stock?", at=moments[0])
        await company.until(lambda: tasks(company) == [(IRINA, False)])
        await send(company, "3", phone=PHONE, text="And the price?", at=moments[2])
        await company.settled(2)
        await company.until(lambda: not due_keys(company) and not company.unread())
        await send(company, "2", phone=PHONE, by="examplecom_irina", text="Yes", at=moments[1])
        await company.until(lambda: tasks(company) == [(IRINA, True), (IRINA, False)])


def due_keys(company: World) -> list[str]:
    """Looks that are still to come, but those at tasks that are overdue."""

    def read(conn: Any) -> list[str]:
        rows = conn.exec_driver_sql("SELECT DISTINCT client_id FROM due").fetchall()
        return [found.key for (client,) in rows for found in dues.list_of_client(conn, PROJECT, client)]

    keys: list[str] = company.hub.services.store.read_now(read)
    return [key for key in keys if "/overdue/" not in key]


async def test_a_reply_before_the_task_is_due_leaves_nothing_to_do(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """W6; a robot's message is no reply."""
    policy = AT_ONCE.replace('task_after = "0 seconds"', 'task_after = "1 hour"')
    async with world(tmp_path, *amocrm, policy=policy) as company:
        await pigeon.open_channel(company)
        await send(company, "1", phone=PHONE, text="Is it in stock?")
        await company.settled(1)
        await send(company, "2", phone=PHONE, robot=True, text="We will answer soon.")
        await company.settled(2)
        (waits,) = waiting_now(company)
        await send(company, "3", phone=PHONE, by="examplecom_irina", text="Yes")
        await company.settled(3)
        services = company.hub.services
        (look,) = services.store.read_now(lambda conn: dues.list_of_client(conn, PROJECT, waits.client_id))
        now = services.clock.now()
        moved = dues.Due(project=PROJECT, client_id=look.client_id, key=look.key, at=now)
        await services.store.write(lambda conn: dues.put(conn, moved))
        await company.until(lambda: not due_keys(company) and not company.unread())
        assert tasks(company) == []


async def test_the_first_who_answers_takes_the_unsorted_client_and_the_second_is_told(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """W2, W12: the incoming lead is accepted for the first; the other's answer changes nothing."""
    async with world(tmp_path, *amocrm, policy=UNSORTED) as company:
        await pigeon.open_channel(company)
        await send(company, "1", phone=PHONE, text="Is it in stock?")
        await company.settled(1)
        assert [waits for _, waits in leads(company)] == [True]
        told = {one["users"][0] for one in company.records()["popups"]} | {
            user for one in company.records()["popups"] for user in one["users"]
        }
        assert told == {IRINA, OLEG, ANNA}
        await send(company, "2", phone=PHONE, by="examplecom_oleg", text="Yes")
        await send(company, "3", phone=PHONE, by="examplecom_anna", text="Yes, it is")
        await company.settled(3)
        assert leads(company) == [(OLEG, False)]
        assert [contact["responsible_user_id"] for contact in company.records()["contacts"]] == [OLEG]
        assert company.records()["popups"][-1]["users"] == [ANNA]


async def test_in_unsorted_the_task_is_made_when_a_person_takes_the_chat_in_the_crm(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """W6: nobody has answered, but somebody owns the client now."""
    async with world(tmp_path, *amocrm, policy=UNSORTED) as company:
        await pigeon.open_channel(company)
        await send(company, "1", phone=PHONE, text="Is it in stock?")
        await company.settled(1)
        (item,) = company.records()["unsorted"]
        assert tasks(company) == []
        company.sandbox.person("accept_incoming", uid=item["uid"], user_id=ANNA)
        await company.until(lambda: tasks(company) == [(ANNA, False)])


async def test_a_client_without_a_number_stays_one_client_with_one_deal(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """W1: the CRM knows nothing by which a Telegram handle could be found; the hub remembers its own contact."""
    async with world(tmp_path, *amocrm, policy=AT_ONCE) as company:
        await pigeon.open_channel(company)
        for number in range(3):
            await send(company, str(number), handle="petro", name="Petro", text="Hello")
        await company.settled(3)
        assert len(company.records()["contacts"]) == len(company.records()["leads"]) == 1


async def test_no_reply_needed_closes_the_task_and_ends_the_waiting(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """W6: the hub's own button, and the vendor's counter at zero for a user."""
    async with world(tmp_path, *amocrm, policy=AT_ONCE) as company:
        await pigeon.open_channel(company)
        await send(company, "1", phone=PHONE, text="Thanks!")
        await company.until(lambda: tasks(company) == [(IRINA, False)])
        (waits,) = waiting_now(company)
        assert await dismiss(company.hub.services, waits.client_id)
        await company.until(lambda: tasks(company) == [(IRINA, True)])
        assert waiting_now(company) == []
        assert not await dismiss(company.hub.services, waits.client_id)
        await send(company, "2", phone=PHONE, text="And one more thing")
        await company.until(lambda: tasks(company) == [(IRINA, True), (IRINA, False)])
        seen_at = company.hub.services.clock.now()
        assert await dismiss_all_of(company.hub.services, PROJECT, EmployeeId("irina"), until=seen_at) == 1
        await company.until(lambda: tasks(company) == [(IRINA, True), (IRINA, True)])
