"""Every kind of action, applied to the sandbox and found again after a lost answer (H5, X5, X6)."""

from __future__ import annotations

from typing import Any

from hub.core.records import RecordKind, RecordRef


async def test_a_new_client_with_an_enquiry_is_one_lead(office: Any) -> None:
    write = office.lead(user="5725767000000411002", fields={"utm_source": "google"})
    answer = await office.session.apply([write])
    print(answer, office.records("Leads"))
    assert len(answer) == 2
    found = await office.session.find_done([write])
    print(found)
    lead = answer[write.key].record
    for made in (office.task(on=lead), office.call(lead), office.note(lead)):
        a = await office.session.apply([made])
        assert await office.session.find_done([made]) == a, a
    print(await office.session.read([lead]))
    print(office.asked())
    assert 0
