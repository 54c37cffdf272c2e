"""Messengers through the whole spine: Wazzup's webhooks in, amoCRM's records out, and back (W)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hub_amocrm.sandbox import Sandbox
from hub_wazzup.sandbox import Sandbox as Wazzup

from hub.core.interaction import Direction
from tests.end_to_end.messenger_world import messenger_world
from tests.end_to_end.world import USERS

CLIENT = "380671234567"


async def test_a_message_becomes_contact_and_deal_with_its_text_and_the_reply_is_known(
    tmp_path: Path, amocrm: tuple[Sandbox, str], wazzup: tuple[Wazzup, str]
) -> None:
    """W1, W3: the next in turn gets the deal and the note; Wazzup is owed contact and deal and gets them at once."""
    async with messenger_world(tmp_path, amocrm, wazzup) as company:
        await company.vendor.people.client_writes(CLIENT, "Is the table in stock?", name="Olena")
        await company.settled(1)
        [contact], [deal] = company.records("contacts"), company.records("leads")
        assert contact["name"] == "Olena"
        [note] = [one for one in company.records("notes") if one["note_type"] == "common"]
        assert "Is the table in stock?" in note["params"]["text"]
        assert not company.vendor.people.refused_answers
        [owed], [of_deal] = company.vendor.account.contacts.values(), company.vendor.account.deals.values()
        assert of_deal["contacts"] == [owed["id"]]
        employee = next(id for id, user in USERS.items() if user == str(deal["responsible_user_id"]))
        await company.vendor.people.employee_writes(employee, CLIENT, "Yes, it is.")
        await company.settled(2)
        [reply] = company.messages(Direction.OUTBOUND)
        assert (reply.text, reply.author.staff_id) == ("Yes, it is.", employee)
        assert len(company.records("contacts")) == len(company.records("leads")) == 1


async def test_a_client_without_a_number_stays_one_contact(
    tmp_path: Path, amocrm: tuple[Sandbox, str], wazzup: tuple[Wazzup, str]
) -> None:
    """J4: the CRM holds no key of a Telegram client; the hub's own memory leads to the contact it made."""
    async with messenger_world(tmp_path, amocrm, wazzup) as company:
        company.vendor.channel.transport = "tgapi"
        told: dict[str, Any] = {"chat_type": "telegram", "name": "Марія"}
        await company.vendor.people.client_writes("5559999", "Добрий день", **told)
        await company.settled(1)
        await company.vendor.people.client_writes("5559999", "Ви працюєте?", **told)
        await company.settled(2)
        assert len(company.records("contacts")) == 1
        assert len(company.records("leads")) == 1
