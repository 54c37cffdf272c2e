"""Answers that were lost: what was applied is found, what was not is sent once more, whatever comes first (X5).

Each row ends with the fault gone and the CRM as if nothing had happened.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hub_amocrm.sandbox import Sandbox

from hub.core.interaction import ClientId, Identity
from hub.core.phone import Phone
from hub.core.policy import load_policy
from hub.core.revise import StepState
from hub.runtime.timing import WriterTiming
from hub.store import client_joins, projects, schema, steps
from tests.end_to_end.test_spine import ANSWERED
from tests.end_to_end.world import CRM, PROJECT, World, preset, world

pytestmark = pytest.mark.usefixtures("each_engine")

#: all that concerns doubt, fifty times faster than in production; "not there" is believed 2.2 s after a step was sent,
#: which a sandbox that shares the machine must not stall for
FAST = '[timing]\nsettle = "0.02 s"\ndoubt_wait = "0.6 s"\nrequest_timeout = "1 s"\n'
PHONE = Phone("+380501112233")
COMPLEX = "/api/v4/leads/complex"


def policy() -> str:
    """zoho-standard, with call records on the contact."""
    return preset("zoho-standard").replace('on = "none"', 'on = "contact"') + FAST


@asynccontextmanager
async def doubting(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> AsyncIterator[World]:
    async with world(tmp_path, *amocrm, policy=policy()) as company:
        yield company


def once(company: World) -> None:
    """One of everything that an answered call of a new client makes."""
    records = company.records()
    assert [len(records[kind]) for kind in ("contacts", "leads", "tasks")] == [1, 1, 1]
    assert len(company.calls()) == 1


async def states(company: World) -> dict[str, int]:
    """How many steps stand in which state."""
    found = await company.hub.services.store.read(steps.count_states)
    counted: dict[str, int] = {}
    for (_, _, state), count in found.items():
        counted[state] = counted.get(state, 0) + count
    return counted


FAULTS: list[dict[str, Any]] = [
    {"kind": "disconnect", "applied": True},
    {"kind": "disconnect", "applied": False},
    {"kind": "status", "status": 504, "applied": True},
    {"kind": "status", "status": 504, "applied": False},
    {"kind": "status", "status": 500, "applied": True},
    {"kind": "hang", "applied": True},
    {"kind": "hang", "applied": False},
    {"kind": "late", "late": (0.2, 0.6)},
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: "-".join(map(str, fault.values())))
async def test_a_lost_answer_doubles_nothing_and_loses_nothing(
    tmp_path: Path, amocrm: tuple[Sandbox, str], fault: dict[str, Any]
) -> None:
    """X5, DESIGN 7: each fault on each of the writes that an answered call of a new client makes."""
    async with doubting(tmp_path, amocrm) as company:
        for path in (COMPLEX, "/api/v4/tasks", "/api/v4/contacts/notes"):
            company.sandbox.fail_next("POST", path, exact=True, **fault)
        await company.webhook("after", ANSWERED)
        await company.settled(1)
        await asyncio.to_thread(company.sandbox.settle)
        once(company)
        assert company.sandbox.stats()["faults"] == {fault["kind"]: 3}
        assert (await states(company)).keys() == {"done"}


async def test_a_request_applied_after_the_first_look_is_found_by_the_second(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """DESIGN 2: "not found" is believed the second time only, since a request may be applied after it was cut."""
    async with doubting(tmp_path, amocrm) as company:
        # cut at once; the first look comes 1.6 s after the cut, the second 0.6 s after that
        company.sandbox.fail_next("POST", COMPLEX, kind="late", late=(1.75, 1.8))
        await company.webhook("after", ANSWERED)
        await company.settled(1)
        await asyncio.to_thread(company.sandbox.settle)
        once(company)


async def test_a_deal_found_after_a_lost_answer_hangs_on_its_contact_in_the_directory(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """X5: or the client's next call would find a contact without a deal and make another one."""
    async with doubting(tmp_path, amocrm) as company:
        company.sandbox.fail_next("POST", COMPLEX, kind="disconnect", applied=True)
        await company.webhook("after", ANSWERED)
        await company.settled(1)
        held = company.hub.services.directory.lookup(PROJECT, CRM, Identity(phones=(PHONE,)))
        assert [deal.id for deal in held.deals] == [str(lead["id"]) for lead in company.records()["leads"]]


async def test_the_next_call_of_a_client_whose_first_is_in_doubt_makes_no_second_deal(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """H3, X5: it waits for the doubt; a barrier read for somebody else meanwhile does not fool it."""
    async with doubting(tmp_path, amocrm) as company:
        company.sandbox.fail_next("POST", COMPLEX, kind="disconnect", applied=True)
        await company.webhook("after", ANSWERED)
        await company.until(lambda: company.sandbox.stats()["faults"].get("disconnect") == 1)
        await company.webhook("after", ANSWERED | {"uniqueid": "ua0_-2.2"})
        # another client with a contact and no deal makes the hub read the deals now
        company.sandbox.person(
            "create_contact",
            name="Other",
            responsible_user_id=8800102,
            custom_fields_values=[{"field_code": "PHONE", "values": [{"value": "380507776655", "enum_code": "WORK"}]}],
        )
        await company.webhook("after", ANSWERED | {"uniqueid": "ua0_-3.3", "caller": "380507776655"})
        await company.settled(3)
        by_contact = [len(contact["_embedded"]["leads"]) for contact in company.records()["contacts"]]
        assert sorted(by_contact) == [1, 1]
        assert len(company.calls()) == 3


async def test_a_restart_finds_what_was_on_its_way(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """X5: steps that a process before us had sent are looked for, not sent again."""
    async with doubting(tmp_path, amocrm) as company:
        company.sandbox.fail_next("POST", COMPLEX, kind="hang", applied=True)
        await company.webhook("after", ANSWERED)
        await company.until(lambda: bool(company.records()["leads"]))
        # a policy is published: the connection is opened anew, the request is forgotten
        store, now = company.hub.services.store, company.hub.services.clock.now()
        await store.write(
            lambda conn: projects.change_connection(
                conn,
                company.hub.services.cipher,
                PROJECT,
                CRM,
                {
                    "address": company.address,
                    "long_lived_token": company.sandbox.long_lived_token(),
                    "is_loopback_allowed": True,
                    "service_name": f"Hub {now:%H}",
                },
            )
        )
        company.hub.services.changed()
        await company.settled(1)
        once(company)


async def test_a_popup_on_its_way_at_a_crash_is_not_shown_again(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """DESIGN 2: popups are at most once; nothing in the CRM could tell whether one was seen."""
    text = policy().replace('name = "Z1"\n', 'name = "Z1"\nnotify = ["answerer"]\n', 1)
    async with world(tmp_path, *amocrm, policy=text) as company:
        company.sandbox.fail_next("POST", "/api/v2/events", kind="hang", applied=True)
        await company.webhook("after", ANSWERED)
        store, now = company.hub.services.store, company.hub.services.clock.now()
        await company.until(lambda: "POST /api/v2/events" in company.sandbox.stats()["requests"])
        await store.write(
            lambda conn: steps.recover(conn, PROJECT, CRM, now=now, not_before=now, note="a crash", only=None)
        )
        company.sandbox.clear_faults()
        await company.settled(1)
        assert company.sandbox.stats()["requests"]["POST /api/v2/events"] == 1


async def test_two_notes_of_the_same_text_stay_two_when_an_answer_is_lost(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """X5: notes are recognised by their text; a note that another step made is not taken for the lost one."""
    async with doubting(tmp_path, amocrm) as company:
        missed = ANSWERED | {"disposition": "NO ANSWER", "billsec": "0", "has_recording": "0", "recording_wav": ""}
        await company.webhook("after", missed)
        await company.settled(1)
        await company.webhook("after", missed | {"uniqueid": "ua0_-2.2"})
        await company.settled(2)
        notes = [note for note in company.records()["notes"] if note["note_type"] == "common"]
        assert len(notes) == 1, "the repeated missed call is a note on the open call-back's card"
        company.sandbox.fail_next("POST", "/api/v4/leads/notes", kind="disconnect", applied=False)
        await company.webhook("after", missed | {"uniqueid": "ua0_-3.3"})
        await company.settled(3)
        texts = [note["params"]["text"] for note in company.records()["notes"] if note["note_type"] == "common"]
        assert len(texts) == 2
        assert texts[0] == texts[1]


async def test_an_employee_who_is_unbound_meanwhile_does_not_make_a_second_task(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """X5: a step in doubt is looked for even if it could not be sent any more."""
    async with doubting(tmp_path, amocrm) as company:
        company.sandbox.fail_next("POST", "/api/v4/tasks", kind="disconnect", applied=True)
        await company.webhook("after", ANSWERED)
        await company.until(lambda: company.sandbox.stats()["faults"].get("disconnect") == 1)
        await company.hub.services.store.write(
            lambda conn: conn.execute(schema.binding.delete().where(schema.binding.c.kind == "employee"))
        )
        company.hub.services.changed()
        await company.settled(1)
        assert len(company.records()["tasks"]) == 1
        found = await states(company)
        assert found.get(StepState.WAITING.value, 0) == found.get(StepState.IN_DOUBT.value, 0) == 0


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        (COMPLEX, {"kind": "slow", "delay": 0.6}),
        ("/api/v4/tasks", {"kind": "status", "status": 504, "applied": True}),
        ("/api/v4/tasks", {"kind": "status", "status": 504, "applied": False}),
        ("/api/v4/contacts/notes", {"kind": "slow", "delay": 0.6}),
    ],
)
async def test_a_later_record_of_a_call_whose_write_is_under_way_corrects_it_once(
    tmp_path: Path, amocrm: tuple[Sandbox, str], path: str, fault: dict[str, Any]
) -> None:
    """A9, X5: told as missed, then as answered while that is being written: one record, no call-back is left."""
    missed = ANSWERED | {"disposition": "NO ANSWER", "billsec": "0", "connected_with": ""}
    async with doubting(tmp_path, amocrm) as company:
        company.sandbox.fail_next("POST", path, **fault)
        await company.webhook("after", missed)
        await company.until(lambda: bool(company.sandbox.stats()["faults"]))
        await company.webhook("after", ANSWERED)

        def talked() -> list[bool]:
            return [task["is_completed"] for task in company.records()["tasks"]]

        await company.until(lambda: company.unread() == 0 and bool(talked()) and all(talked()))
        await company.settled(1)
        records = company.records()
        assert [len(records[kind]) for kind in ("contacts", "leads")] == [1, 1]
        assert len({task["text"] for task in records["tasks"]}) == len(records["tasks"])
        assert len(company.calls()) == 1


async def test_clients_who_turn_out_to_be_one_finish_what_is_under_way(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """DESIGN 2.2: work that runs finishes first, and somebody looks when it has."""
    async with doubting(tmp_path, amocrm) as company:
        company.sandbox.fail_next("POST", COMPLEX, kind="slow", delay=0.6)
        await company.webhook("after", ANSWERED)
        await company.until(lambda: company.sandbox.stats()["faults"].get("slow") == 1)
        store = company.hub.services.store

        def join(conn: Any) -> None:
            known = conn.execute(schema.client.select()).mappings().one()
            kept = ClientId("0-older-client")
            conn.execute(schema.client.insert().values({**known, "id": kept}))
            client_joins.join(
                conn, PROJECT, kept=kept, joined=ClientId(known["id"]), reason="test", now=known["created_at"]
            )

        await store.write(join)
        await company.settled(1, seconds=10)
        once(company)


def test_the_waits_of_production_are_longer_than_a_request_may_be_late() -> None:
    """DESIGN 2 and 7: asked no earlier than sent + time-out + doubt wait, and twice; applied up to 20 s late."""
    assert WriterTiming().doubt_wait == load_policy(policy().replace(FAST, ""), "zoho-standard").timing.doubt_wait
    assert WriterTiming().doubt_wait > timedelta(seconds=20)
