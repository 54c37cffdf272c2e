"""A join is undone by one command, in the hub and in amoCRM as far as it allows; it does not come back (X12)."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hub_amocrm.sandbox import Sandbox
from typer.testing import CliRunner

from hub.cli import app
from hub.core.phone import Phone
from hub.core.records import RecordKind, RecordRef
from hub.errors import ConfigurationError
from hub.ports import RawRequest
from hub.runtime.parting import Link, Partings, Undoing
from hub.store import clients, steps
from tests.end_to_end.world import CHANNEL, CRM, PROJECT, World, preset, world
from tests.runtime.test_replay import over

pytestmark = pytest.mark.usefixtures("each_engine")

FAST = '[timing]\nsettle = "0.02 s"\ndoubt_wait = "0.2 s"\nrequest_timeout = "4 s"\n'
POLICY = preset("zoho-standard") + FAST
NUMBER, MAIL = "+380501112233", "b@nordtea.example"
IRINA = 8800101
#: the enquiry with both goes into the newest open deal, and its contact gets what it lacks
JOINED = [{NUMBER}, {NUMBER, MAIL}]


async def form(company: World, **values: str) -> None:
    """One enquiry by the site's form, as far as the CRM."""
    before = sum(company.hub.services.store.read_now(clients_and_work).values())
    request = RawRequest(
        method="POST",
        headers=(("content-type", "application/json"),),
        body=json.dumps({"form_name": "Order", "text": f"enquiry {before}", **values}).encode(),
        received_at=company.hub.services.clock.now(),
    )
    await company.hub.services.intake.accept(project=PROJECT, channel=CHANNEL, kind="form", request=request)
    await company.settled(before + 1)


def clients_and_work(conn: Any) -> dict[str, int]:
    return {"work": conn.exec_driver_sql("SELECT count(*) FROM work").scalar_one()}


async def two_who_are_joined(company: World) -> None:
    """A number, then an e-mail, then both in one enquiry: the hub takes them for one person (J4, A9)."""
    await form(company, phone=NUMBER, name="Anna")
    await form(company, email=MAIL, name="Boris")
    await form(company, phone=NUMBER, email=MAIL)


def partings(company: World, *, can_take_back: bool = True) -> Partings:
    services = company.hub.services
    account = services.accounts[PROJECT, CRM]
    capabilities = replace(account.capabilities, can_take_back=can_take_back)
    live = services.projects.get(PROJECT)
    return Partings(live, services.directory, {CRM: capabilities}, {CRM: account.session.record_url})


def links(company: World) -> list[Link]:
    return company.hub.services.store.read_now(lambda conn: partings(company).listed(conn))


async def undo(company: World, link: Link, **more: Any) -> Undoing:
    services = company.hub.services
    now = services.clock.now()
    found = await services.store.write(lambda conn: partings(company, **more).undo(conn, link, now))
    services.sweep()
    await over(company)
    return found


def values_of(contact: dict[str, Any]) -> set[str]:
    fields = contact["custom_fields_values"] or []
    return {
        value["value"] for field in fields if field["field_code"] in ("PHONE", "EMAIL") for value in field["values"]
    }


def cards(company: World) -> list[set[str]]:
    """The numbers and e-mails of each contact, the oldest first."""
    return [values_of(one) for one in sorted(company.records()["contacts"], key=lambda one: int(one["id"]))]


def tasks(company: World) -> list[dict[str, Any]]:
    return [task for task in company.records()["tasks"] if "ошибке" in task["text"]]


async def test_an_undone_join_gives_the_crm_its_cards_back_and_does_not_return(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """X12: what the hub put on the card is taken off it, once; the same keys in one enquiry join no more."""
    async with world(tmp_path, *amocrm, policy=POLICY) as company:
        await two_who_are_joined(company)
        assert cards(company) == JOINED
        [link] = [found for found in links(company) if found.joined]
        looked = company.hub.services.store.read_now(lambda conn: partings(company).look(conn, link))
        assert [off.values for off in looked.partings[CRM].take_off] == [(NUMBER,)]
        assert cards(company) == JOINED, "looking changes nothing"
        assert (await undo(company, link)).is_done
        assert cards(company) == [{NUMBER}, {MAIL}]
        requests = company.sandbox.stats()["requests"].get("PATCH /api/v4/contacts")
        [undone] = [found for found in links(company) if found.joined]
        assert undone.undone_at is not None
        assert not (await undo(company, undone)).is_done
        assert company.sandbox.stats()["requests"].get("PATCH /api/v4/contacts") == requests
        await form(company, phone=NUMBER, email=MAIL)
        assert cards(company) == [{NUMBER}, {MAIL}]
        store = company.hub.services.store
        one = store.read_now(lambda conn: clients.find_by_phone(conn, PROJECT, Phone(NUMBER)))
        assert one is not None
        assert store.read_now(lambda conn: clients.keys_of(conn, one.id)) == [("phone", NUMBER)]
        assert tasks(company) == []


async def test_what_a_person_changed_since_is_left_alone(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """X12: a value that is no longer there is not looked for, and what people added stays."""
    sandbox, _ = amocrm
    async with world(tmp_path, *amocrm, policy=POLICY) as company:
        await two_who_are_joined(company)
        services = company.hub.services
        card = max(company.records()["contacts"], key=lambda one: int(one["id"]))
        values = [{"field_code": "PHONE", "values": [{"value": "+380671112299"}]}]
        sandbox.person("update", entity="contacts", id=card["id"], custom_fields_values=values)
        await services.feeds[PROJECT, CRM].poll()
        [link] = [found for found in links(company) if found.joined]
        changes = company.sandbox.stats()["requests"].get("PATCH /api/v4/contacts")
        assert (await undo(company, link)).is_done
        assert company.sandbox.stats()["requests"].get("PATCH /api/v4/contacts") == changes
        assert cards(company)[1] == {MAIL, "+380671112299"}


async def test_what_cannot_be_moved_becomes_one_task_for_the_senior_with_both_links(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """X12: a deal that came to the wrong card after the join stays, and a person is told of it, once."""
    async with world(tmp_path, *amocrm, policy=POLICY) as company:
        await form(company, phone=NUMBER, name="Anna")
        await form(company, email=MAIL, name="Boris")
        for lead in company.records()["leads"]:
            amocrm[0].person("close_lead", id=lead["id"])
        await company.hub.services.feeds[PROJECT, CRM].poll()
        await form(company, phone=NUMBER, email=MAIL)
        for lead in company.records()["leads"]:
            amocrm[0].person("close_lead", id=lead["id"])
        await company.hub.services.feeds[PROJECT, CRM].poll()
        await form(company, email=MAIL)
        [link] = [found for found in links(company) if found.joined]
        found = await undo(company, link)
        assert found.partings[CRM].left != ()
        [task] = tasks(company)
        assert task["responsible_user_id"] == IRINA
        ids = [one["id"] for one in company.records()["contacts"]]
        assert all(f"/contacts/detail/{id}" in task["text"] for id in ids)


async def test_a_crm_that_cannot_take_back_gets_a_task_instead(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """X12: as far as the vendor allows; the task names what is to be removed by hand."""
    async with world(tmp_path, *amocrm, policy=POLICY) as company:
        await two_who_are_joined(company)
        [link] = [found for found in links(company) if found.joined]
        found = await undo(company, link, can_take_back=False)
        assert found.by_hand == {CRM}
        assert cards(company) == JOINED
        [task] = tasks(company)
        assert NUMBER in task["text"]


async def test_a_lost_answer_does_not_undo_twice_nor_leave_it_undone(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """X5, X12: the step is looked for before it is sent again."""
    async with world(tmp_path, *amocrm, policy=POLICY) as company:
        await two_who_are_joined(company)
        [link] = [found for found in links(company) if found.joined]
        company.sandbox.fail_next("PATCH", "/api/v4/contacts", status=504, applied=True)
        await undo(company, link)
        assert cards(company) == [{NUMBER}, {MAIL}]
        own = company.hub.services.store.read_now(
            lambda conn: [
                step
                for row in conn.exec_driver_sql("SELECT DISTINCT interaction_id FROM step").all()
                for step in steps.of_interaction(conn, row[0])
                if "~parted/" in step.key
            ]
        )
        assert [step.state.value for step in own] == ["done"]


async def test_a_carried_number_is_taken_back_and_stays_away(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """A9, X12: a duplicate's number that the hub carried over is one link of its own."""
    other = Phone("+380671112244")
    fields = [{"field_code": "PHONE", "values": [{"value": NUMBER}, {"value": other}]}]
    fuller = [{"field_code": "EMAIL", "values": [{"value": "a@nordtea.example"}, {"value": "anna@nordtea.example"}]}]
    async with world(tmp_path, *amocrm, policy=POLICY) as company:
        first = company.sandbox.person("create_contact", name="Anna", phone=NUMBER, responsible_user_id=IRINA)
        second = company.sandbox.person("create_contact", name="Anna", phone=NUMBER, responsible_user_id=IRINA)
        company.sandbox.person("update", entity="contacts", id=second["id"], custom_fields_values=fields)
        company.sandbox.person("update", entity="contacts", id=first["id"], custom_fields_values=fuller)
        services = company.hub.services
        refs = [RecordRef(kind=RecordKind.CONTACT, id=str(one["id"])) for one in (first, second)]
        await services.feeds[PROJECT, CRM].touch(refs)
        await company.until(lambda: len(services.directory.lookup(PROJECT, CRM, Phone(NUMBER)).contacts) == 2)
        await form(company, phone=NUMBER)
        mails = {"a@nordtea.example", "anna@nordtea.example"}
        assert cards(company) == [{NUMBER, other} | mails, {NUMBER, other}]
        [link] = links(company)
        assert (link.joined, link.values) == ("", (other,))
        await undo(company, link)
        assert cards(company) == [{NUMBER} | mails, {NUMBER, other}]
        await form(company, phone=NUMBER, name="Anna")
        assert cards(company) == [{NUMBER} | mails, {NUMBER, other}]
        assert [found.undone_at is None for found in links(company)] == [False]


def test_joins_are_listed_and_undone_by_one_command(
    tmp_path: Path, amocrm: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """X12: alone and in bulk; dry run first; in the reader's language."""

    async def prepare() -> None:
        async with world(tmp_path, *amocrm, policy=POLICY) as company:
            await two_who_are_joined(company)

    asyncio.run(prepare())
    monkeypatch.setenv("HUB_ENVIRONMENT", "development")
    monkeypatch.setenv("HUB_DATA_DIRECTORY", str(tmp_path / "var"))

    def hub(*words: str) -> str:
        found = CliRunner().invoke(app, ["clients", *words])
        assert found.exit_code == 0, found.output
        return found.output

    [listed] = json.loads(hub("joins", "--json"))
    assert (listed["undone_at"], listed["values"]) == (None, [MAIL])
    assert "в одном обращении были признаки обоих" in hub("joins", "--language", "ru")
    dry = json.loads(hub("undo", "--since", "1d", "--json"))
    assert dry["written"] is False
    assert dry["undone"][0]["crm"][CRM]["take_off"][0]["values"] == [NUMBER]
    assert "Nothing was written" in hub("undo", listed["id"])
    assert json.loads(hub("joins", "--json"))[0]["undone_at"] is None
    assert json.loads(hub("undo", "--since", "1d", "--write", "--json"))["undone"][0]["undone"] is True
    assert json.loads(hub("undo", "--since", "1d", "--write", "--json"))["undone"] == []
    assert CliRunner().invoke(app, ["clients", "undo", "12345"]).exit_code == 2


@pytest.mark.parametrize("is_applied", [False, True], ids=["not applied", "applied"])
async def test_a_join_whose_own_change_is_on_its_way_is_undone_when_that_is_known(
    tmp_path: Path, amocrm: tuple[Sandbox, str], is_applied: bool
) -> None:
    """X5, X12: else the number would reach the other's card after the parting, and stay there."""
    slow = POLICY.replace('doubt_wait = "0.2 s"', 'doubt_wait = "2 s"').replace("4 s", "1 s")
    async with world(tmp_path, *amocrm, policy=slow) as company:
        store = company.hub.services.store
        await form(company, phone=NUMBER, name="Anna")
        await form(company, email=MAIL, name="Boris")
        company.sandbox.fail_next("PATCH", "/api/v4/contacts", status=504, applied=is_applied)
        last = asyncio.create_task(form(company, phone=NUMBER, email=MAIL))
        outstanding = "SELECT count(*) FROM step WHERE kind = 'update_contact' AND state = 'in_doubt'"
        await company.until(lambda: store.read_now(lambda conn: conn.exec_driver_sql(outstanding).scalar_one()) == 1)
        [link] = [found for found in links(company) if found.joined]
        with pytest.raises(ConfigurationError, match="on its way"):
            await undo(company, link)
        assert [found.undone_at for found in links(company) if found.joined] == [None]
        await last
        await over(company)
        assert cards(company) == JOINED
        assert (await undo(company, link)).is_done
        assert cards(company) == [{NUMBER}, {MAIL}]
