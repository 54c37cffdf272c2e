"""What a messenger's vendor keeps of us: its copy of our records, the address of webhooks, the counters (W6)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hub_amocrm.sandbox import Sandbox
from hub_wazzup.sandbox import ChannelState
from hub_wazzup.sandbox import Sandbox as Wazzup

from hub.core.phone import Phone
from hub.core.records import Contact, Deal, RecordKind, RecordRef, crm_user
from hub.ports import Changes
from hub.runtime.timers import Timers
from hub.store import events
from tests.end_to_end.messenger_world import CHATS, MessengerWorld, messenger_world
from tests.end_to_end.world import CRM, PROJECT, USERS, preset

CLIENT = "380671234567"
ANNA = crm_user(USERS["anna"])


@pytest.fixture(autouse=True)
def quick_timers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Timers, "EVERY", timedelta(seconds=0.05))


def know(company: MessengerWorld, **changes: Any) -> None:
    """Let the directory know of records as if a feed had read them."""
    services = company.hub.services
    services.directory.fold(PROJECT, CRM, Changes(**changes), services.clock.now())


async def share(company: MessengerWorld) -> None:
    await company.hub.chores.sharing.run()


def puts(company: MessengerWorld) -> list[str]:
    """Which entities were told, request by request."""
    return [path.removeprefix("/v3/") for method, path in company.vendor.api.asked if method == "POST"]


def of_vendor(rows: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    return sorted((row["name"], row["responsibleUserId"]) for row in rows.values())


async def test_the_vendor_is_told_of_employees_pipelines_contacts_and_deals_and_of_changes_only(
    tmp_path: Path, amocrm: tuple[Sandbox, str], wazzup: tuple[Wazzup, str]
) -> None:
    """H5; a client whom the vendor knows is not shared out as a new one. W7: a mobile typed with 8 goes out with 7."""
    policy = preset("wazzup-messengers").replace("067 123 45 67", "8 916 123-45-67")
    async with messenger_world(tmp_path, amocrm, wazzup, policy=policy) as company:
        account = company.vendor.account
        account.users.clear()
        know(
            company,
            contacts=(
                Contact(id="77", name="Olena", phones=(Phone("+380671234567"),), responsible=ANNA),
                Contact(id="78", name="No number"),
            ),
            deals=(
                Deal(id="88", name="Table", responsible=ANNA, contact_ids=("77",)),
                Deal(id="89", name="Old", is_open=False, contact_ids=("77",)),
            ),
        )
        await share(company)
        assert {id for id in account.users if not id.startswith("@")} == set(USERS)
        assert account.users["oleg"] == {"id": "oleg", "name": "Олег Громов", "phone": "79161234567"}
        assert account.pipelines
        assert of_vendor(account.contacts) == [("Olena", "anna")]
        [contact] = account.contacts.values()
        assert contact["contactData"] == [{"chatType": "whatsapp", "chatId": CLIENT}]
        assert contact["uri"].endswith("/contacts/detail/77")
        [deal] = account.deals.values()
        assert (deal["name"], deal["contacts"], deal["closed"]) == ("Table", [contact["id"]], False)

        before = len(puts(company))
        know(company, contacts=(Contact(id="77", name="Olena", phones=(Phone("+380671234567"),), responsible=ANNA),))
        await share(company)
        assert puts(company)[before:] == []
        # a new responsible moves the chat, a closed deal is told as closed
        oleg = crm_user(USERS["oleg"])
        know(
            company,
            contacts=(Contact(id="77", name="Olena", phones=(Phone("+380671234567"),), responsible=oleg),),
            deals=(Deal(id="88", name="Table", is_open=False, responsible=ANNA, contact_ids=("77",)),),
        )
        await share(company)
        assert puts(company)[before:] == ["contacts", "deals"]
        assert of_vendor(account.contacts) == [("Olena", "oleg")]
        assert [deal["closed"] for deal in account.deals.values()] == [True]
        know(company, deleted=(RecordRef(kind=RecordKind.CONTACT, id="77"),))
        await share(company)
        assert account.contacts == {}


async def test_a_contact_and_deal_that_were_promised_become_the_crms_under_the_same_ids(
    tmp_path: Path, amocrm: tuple[Sandbox, str], wazzup: tuple[Wazzup, str]
) -> None:
    """DESIGN 7: answered at once with the hub's id; the link follows when the record exists."""
    async with messenger_world(tmp_path, amocrm, wazzup) as company:
        account = company.vendor.account
        await company.vendor.people.client_writes(CLIENT, "Is the table in stock?", name="Olena")
        [promised], [deal] = list(account.contacts.values()), list(account.deals.values())
        await company.settled(1)
        [made], [lead] = company.records("contacts"), company.records("leads")
        await share(company)
        assert list(account.contacts) == [promised["id"]]
        assert list(account.deals) == [deal["id"]]
        assert account.contacts[promised["id"]]["uri"].endswith(f"/contacts/detail/{made['id']}")
        assert account.deals[deal["id"]]["uri"].endswith(f"/leads/detail/{lead['id']}")
        # the hub's queue has the last word, so that the chat moves to whom the CRM names
        owner = next(id for id, user in USERS.items() if user == str(lead["responsible_user_id"]))
        assert account.deals[deal["id"]]["responsibleUserId"] == owner


async def test_a_vendor_that_refuses_one_record_is_told_of_the_others(
    tmp_path: Path, amocrm: tuple[Sandbox, str], wazzup: tuple[Wazzup, str]
) -> None:
    async with messenger_world(tmp_path, amocrm, wazzup) as company:
        phones = [Phone(f"+38067123456{number}") for number in range(3)]
        people = tuple(Contact(id=str(n), name=f"Client {n}", phones=(phone,)) for n, phone in enumerate(phones))
        know(company, contacts=people)
        company.vendor.fail_next("POST", "/v3/contacts", "status", status=500)
        await share(company)
        assert company.vendor.account.contacts == {}
        # the vendor names the second of the batch
        body = b'{"error":"INVALID_CONTACTS_DATA","data":[{"index":1,"fields":["name"]}]}'
        company.vendor.fail_next("POST", "/v3/contacts", "status", status=400, body=body)
        await share(company)
        assert [row["name"] for row in company.vendor.account.contacts.values()] == ["Client 0", "Client 2"]
        know(company, contacts=(dataclasses.replace(people[1], name="Renamed"),))
        await share(company)
        assert len(company.vendor.account.contacts) == 3


async def test_two_clients_who_turn_out_to_be_one_are_one_contact_with_both_chats(
    tmp_path: Path, amocrm: tuple[Sandbox, str], wazzup: tuple[Wazzup, str]
) -> None:
    """X12, in the vendor's copy."""
    async with messenger_world(tmp_path, amocrm, wazzup) as company:
        people, account = company.vendor.people, company.vendor.account
        telegram = ChannelState(transport="tgapi", pipeline="1")
        account.channels.append(telegram)
        await people.client_writes(CLIENT, "Hello", name="Olena")
        await people.client_writes("5551234", "Hello too", channel=telegram, chat_type="telegram", name="Olena K.")
        await company.settled(2)
        await share(company)
        assert len([id for id in account.contacts if account.contacts[id].get("uri", "").startswith("http")]) == 2
        # she shows her number in Telegram: one enquiry with keys of both
        await people.client_writes("5551234", "It is me", channel=telegram, chat_type="telegram", phone=CLIENT)
        await company.settled(3)
        await share(company)
        [contact] = account.contacts.values()
        assert {(one["chatType"], one["chatId"]) for one in contact["contactData"]} == {
            ("whatsapp", CLIENT),
            ("telegram", "5551234"),
        }


async def test_a_project_in_shadow_tells_the_vendor_nothing(
    tmp_path: Path, amocrm: tuple[Sandbox, str], wazzup: tuple[Wazzup, str]
) -> None:
    """X2"""
    async with messenger_world(tmp_path, amocrm, wazzup, mode="shadow") as company:
        know(company, contacts=(Contact(id="77", name="Olena", phones=(Phone("+380671234567"),)),))
        await share(company)
        assert puts(company) == []


# --- tasks and counters (W6) ------------------------------------------------------------------------------------

AT_ONCE = preset("wazzup-messengers").replace('task_after = "10 minutes"', 'task_after = "0 seconds"')


async def test_the_reply_closes_the_task_of_an_unanswered_message(
    tmp_path: Path, amocrm: tuple[Sandbox, str], wazzup: tuple[Wazzup, str]
) -> None:
    """W6: one task however often the client writes; a robot's words answer nobody, a person's do."""
    async with messenger_world(tmp_path, amocrm, wazzup, policy=AT_ONCE) as company:
        people = company.vendor.people
        await people.client_writes(CLIENT, "Is the table in stock?", name="Olena")
        await company.until(lambda: len(company.open_tasks()) == 1)
        await people.client_writes(CLIENT, "Hello?")
        await company.settled(2)
        [task] = company.open_tasks()
        employee = next(id for id, user in USERS.items() if user == str(task["responsible_user_id"]))
        await people.employee_writes(employee, CLIENT, "We answer soon", authorName="Salesbot", authorId="")
        await company.settled(3)
        assert len(company.open_tasks()) == 1
        await people.employee_writes(employee, CLIENT, "Yes, it is.")
        await company.until(lambda: company.open_tasks() == [])


async def test_the_vendors_counter_at_zero_closes_that_users_message_tasks(
    tmp_path: Path, amocrm: tuple[Sandbox, str], wazzup: tuple[Wazzup, str]
) -> None:
    """W6: "No reply needed" is told by no webhook."""
    async with messenger_world(tmp_path, amocrm, wazzup, policy=AT_ONCE) as company:
        await company.vendor.people.client_writes(CLIENT, "Thank you!", name="Olena")
        await company.until(lambda: len(company.open_tasks()) == 1)
        await share(company)
        await company.hub.chores.counters.look()
        asked = [path for _, path in company.vendor.api.asked if "/unanswered/" in path]
        assert len(asked) == 1
        await company.settled(1)
        assert len(company.open_tasks()) == 1
        company.vendor.people.presses_no_reply_needed(CLIENT)
        company.vendor.fail_next("GET", asked[0], "status", status=500)
        await company.hub.chores.counters.look()
        await company.hub.chores.counters.look()
        await company.until(lambda: company.open_tasks() == [])
        # nobody waits any more, so nobody is asked for
        before = len(company.vendor.api.asked)
        await company.hub.chores.counters.look()
        assert [path for _, path in company.vendor.api.asked[before:] if "/unanswered/" in path] == []


# --- the address and the numbers ---------------------------------------------------------------------------------


def told(company: MessengerWorld) -> list[str]:
    services = company.hub.services
    rows = services.store.read_now(lambda conn: events.read_after(conn, 0))
    return [row.kind for row in rows if row.kind.startswith("channel.")]


@pytest.mark.parametrize("is_taken", [False, True], ids=["free", "taken"])
async def test_the_hub_enters_its_own_address_unless_another_system_stands_there(
    tmp_path: Path, amocrm: tuple[Sandbox, str], wazzup: tuple[Wazzup, str], is_taken: bool
) -> None:
    """H12: nothing to copy by hand; another integration is named, not broken."""
    async with messenger_world(tmp_path, amocrm, wazzup) as company:
        known, look = company.vendor.account.subscription, company.hub.chores.subscriptions.look
        ours, public = known.uri, company.hook.partition("/hooks/")[0]
        known.uri = "https://other.example/hook" if is_taken else ""
        known.messages_and_statuses = is_taken
        known.contacts_and_deals = known.channels = known.templates = False
        company.hub.services.settings = company.hub.services.settings.model_copy(update={"public_url": public})
        await look()
        if is_taken:
            assert known.uri == "https://other.example/hook"
            assert told(company) == ["channel.problem"]
            assert "other.example" in company.hub.services.channel_problems[PROJECT, CHATS]
            known.messages_and_statuses = False
            company.hub.chores.subscriptions.forget()
            await look()
        assert known.uri == ours
        assert known.messages_and_statuses
        assert known.contacts_and_deals
        before = len(company.vendor.api.asked)
        await look()
        assert company.vendor.api.asked[before:] == []
        assert "channel.subscribed" in told(company)
        assert company.hub.services.channel_problems == {}


async def test_a_number_that_lost_its_telephone_is_an_alarm(
    tmp_path: Path, amocrm: tuple[Sandbox, str], wazzup: tuple[Wazzup, str]
) -> None:
    async with messenger_world(tmp_path, amocrm, wazzup) as company:
        subscriptions = company.hub.chores.subscriptions
        for state in ("active", "qr", "qr", "active"):
            company.vendor.channel.state = state
            subscriptions.ACCOUNTS_EVERY = timedelta(0)
            await subscriptions.look()
            problems = company.hub.services.channel_problems.values()
            assert list(problems) == ([] if state == "active" else ["380931112233: qr"])
        assert told(company) == ["channel.account_lost", "channel.account_back"]
