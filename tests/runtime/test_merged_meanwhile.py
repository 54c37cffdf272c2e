"""People merge a client's card away between the hub's look and its write (H4, X5)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hub_amocrm.sandbox import Sandbox

from hub.core.records import RecordKind, RecordRef
from tests.end_to_end.world import CRM, PROJECT
from tests.runtime.test_writer import MISSED, call, go, office, together


@pytest.mark.parametrize("more", [{}, MISSED], ids=["answered", "missed"])
async def test_a_card_that_people_merged_away_meanwhile_is_followed_to_the_one_that_stayed(
    tmp_path: Path, amocrm: tuple[Sandbox, str], more: dict[str, str]
) -> None:
    """X5, A14: its task may be there already when the call record is refused; no second contact, no second deal."""
    async with office(tmp_path, amocrm) as company:
        person, directory = company.sandbox.person, company.hub.services.directory
        gone = person("create_contact", name="Old", phone="+380502000001", responsible_user_id=8800102)["id"]
        kept = person("create_contact", name="Twin", phone="+380502000099", responsible_user_id=8800103)["id"]
        deal = person("create_lead", name="Deal", contact_id=gone, responsible_user_id=8800102)["id"]
        ref = RecordRef(kind=RecordKind.DEAL, id=str(deal))
        await company.until(lambda: directory.get(PROJECT, CRM, ref) is not None)
        await together(company, call(1, **more))
        person("merge_contacts", survivor=kept, losers=[gone])
        go(company)
        await company.settled(1)
        records = company.records()
        assert {card["id"] for card in records["contacts"] if not card["is_deleted"]} == {kept}
        assert [lead["id"] for lead in records["leads"]] == [deal]
        assert [(note["entity_id"], note["responsible_user_id"]) for note in company.calls()] == [(kept, 8800102)]
        unfinished = [task for task in records["tasks"] if not task["is_completed"]]
        assert len(unfinished) == (1 if more else 0)
        assert {task["entity_id"] for task in records["tasks"]} == {deal}
