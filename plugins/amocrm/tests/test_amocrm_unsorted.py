"""Deals that wait in "unsorted" leave it when somebody answers (W2, W12; reference 10)."""

from __future__ import annotations

from typing import Any

import pytest

from hub.core.plan import CreateDeal, Reason, UpdateDeal
from hub.core.records import RecordKind, RecordRef, UserId
from hub.errors import Unavailable
from hub.ports import Done, Refused, Write

WHY = Reason(code="test")
MARINA, OLEG = UserId("8800101"), UserId("8800102")
ACCEPT = "/api/v4/leads/unsorted/"


async def waiting_deal(office: Any) -> RecordRef:
    """An incoming lead of ours that nobody has accepted."""
    action = CreateDeal(key=office.key("deal"), name="Заявка", is_unsorted=True, reason=WHY)
    write = office.write(action, with_contact=office.contact())
    done = (await office.session.apply([write]))[write.key]
    assert isinstance(done, Done)
    assert done.record is not None
    return done.record


def claim(office: Any, deal: RecordRef, user: UserId = OLEG) -> Write:
    action = UpdateDeal(key=office.key("claim"), deal=deal, accepts=True, reason=WHY)
    found: Write = office.write(action, refs={"deal": deal}, user=user, pipeline_id="9100001", stage_id="9100012")
    return found


def leads(office: Any) -> list[tuple[int, int]]:
    return [(lead["responsible_user_id"], lead["status_id"]) for lead in office.records("leads")]


async def test_the_first_to_answer_gets_the_deal_and_its_contact_in_the_named_stage(office: Any) -> None:
    await office.session.connect()
    deals = [await waiting_deal(office) for _ in range(2)]
    office.sandbox.reset_stats()
    claims = [claim(office, deals[0]), claim(office, deals[1], MARINA)]
    answer = await office.session.apply(claims)
    assert [answer[one.key] for one in claims] == [Done(record=deal) for deal in deals]
    assert sorted(leads(office)) == [(8800101, 9100012), (8800102, 9100012)]
    assert {contact["responsible_user_id"] for contact in office.records("contacts")} == {8800101, 8800102}
    assert len(office.asked("GET", "unsorted")) == 1, "the inbox is read once for all of them"


async def test_a_known_client_comes_in_with_the_contact_that_is_there(office: Any) -> None:
    """W5: as if a new client, and yet the same person; after a lost answer too (X5)."""
    await office.session.connect()
    known = RecordRef(kind=RecordKind.CONTACT, id=str(office.person("create_contact", name="Иван")))
    action = CreateDeal(key=office.key("deal"), name="Заявка", is_unsorted=True, reason=WHY)
    write = office.write(action, refs={"contact": known}, pipeline_id="9100001")
    office.sandbox.fail_next("POST", "/api/v4/leads/complex", kind="disconnect", applied=True)
    with pytest.raises(Unavailable):
        await office.session.apply([write])
    found = (await office.session.find_done([write]))[write.key]
    assert found.record is not None
    (item,) = office.records("unsorted")
    assert (item["state"], item["_embedded"]["contacts"][0]["id"]) == ("waiting", int(known.id))
    assert [contact["id"] for contact in office.records("contacts")] == [int(known.id)]
    await office.session.apply([claim(office, found.record)])
    assert leads(office) == [(8800102, 9100012)]


async def test_a_lost_answer_is_found_and_claiming_again_changes_nothing(office: Any) -> None:
    """X5."""
    await office.session.connect()
    write = claim(office, await waiting_deal(office))
    office.sandbox.fail_next("POST", ACCEPT, status=502, applied=False)
    with pytest.raises(Unavailable):
        await office.session.apply([write])
    assert await office.session.find_done([write]) == {}
    office.sandbox.fail_next("POST", ACCEPT, kind="disconnect", applied=True)
    with pytest.raises(Unavailable):
        await office.session.apply([write])
    assert write.key in await office.session.find_done([write])
    assert (await office.session.apply([write]))[write.key] == Done(record=write.refs["deal"])
    assert leads(office) == [(8800102, 9100012)]


async def test_whom_a_person_gave_the_deal_to_in_the_crm_keeps_it(office: Any) -> None:
    """W12."""
    await office.session.connect()
    write = claim(office, await waiting_deal(office))
    (item,) = office.records("unsorted")
    office.sandbox.person("accept_incoming", uid=item["uid"], user_id=int(MARINA))
    assert (await office.session.apply([write]))[write.key] == Done(record=write.refs["deal"])
    assert [responsible for responsible, _ in leads(office)] == [int(MARINA)]


async def test_a_user_who_is_gone_is_refused_for_that_deal_alone(office: Any) -> None:
    await office.session.connect()
    deals = [await waiting_deal(office) for _ in range(2)]
    office.sandbox.person("deactivate_user", user_id=int(OLEG))
    bad, good = claim(office, deals[0]), claim(office, deals[1], MARINA)
    answer = await office.session.apply([good, bad])
    assert answer[good.key] == Done(record=deals[1])
    refused = answer[bad.key]
    assert isinstance(refused, Refused)
    assert refused.is_stale
    office.sandbox.person("activate_user", user_id=int(OLEG))
    assert (await office.session.apply([bad]))[bad.key] == Done(record=deals[0])
