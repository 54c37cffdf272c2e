"""What the plugin declares, and what a trigger of the account's administrator may tell it (9)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hub_retailcrm.sink import RetailCrmSink

from hub.core.records import RecordKind, RecordRef
from hub.errors import PayloadError
from hub.ports import RawRequest

from .conftest import Office, ref

NOW = datetime(2026, 7, 29, tzinfo=UTC)


def request(query: str = "", body: str | bytes = "") -> RawRequest:
    content = body if isinstance(body, bytes) else body.encode()
    return RawRequest(method="POST", query=query.encode(), body=content, received_at=NOW)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (request("order=7001"), [ref(RecordKind.DEAL, 7001)]),
        (request(body="customer=1001&order=7001"), [ref(RecordKind.CONTACT, 1001), ref(RecordKind.DEAL, 7001)]),
        (request("order=7001", "order=7001"), [ref(RecordKind.DEAL, 7001)]),
        (request(body="corporate=5001&task=9"), [ref(RecordKind.COMPANY, 5001), ref(RecordKind.TASK, 9)]),
        (request("order=007&price=5"), [ref(RecordKind.DEAL, 7)]),
    ],
)
async def test_trigger_names_records_to_read_again(office: Office, sent: RawRequest, expected: list[RecordRef]) -> None:
    """Nothing else of it is trusted."""
    found = RetailCrmSink().parse_webhook(sent, office.context)
    assert list(found.touched) == expected
    assert (found.deals, found.deleted) == ((), ())


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        (request(), ""),
        (request(body="price=5"), ""),
        (request("order=7141C"), "order"),
        (request(body="customer="), ""),
        (request(body="customer=%D0%9E"), "customer"),
        (request(body="&".join(f"x{n}=1" for n in range(500))), ""),
        (request(body=b"\xff\xfe\x00"), ""),
    ],
)
async def test_trigger_that_cannot_be_read_names_the_field(office: Office, sent: RawRequest, field: str) -> None:
    """H11."""
    with pytest.raises(PayloadError) as caught:
        RetailCrmSink().parse_webhook(sent, office.context)
    assert caught.value.field == field


async def test_sizes_and_pace_follow_the_settings(office: Office) -> None:
    able = RetailCrmSink().capabilities(office.context.settings)
    assert able.batch_sizes == {"create_contact": 50, "create_deal": 50, "record_call": 50}
    assert (able.pace.requests, able.has_unsorted, able.can_merge) == (9, False, False)
    other = office.with_settings(order_batch_size=1, requests_per_second=5)
    able = RetailCrmSink().capabilities(other.context.settings)
    assert (able.batch_sizes["create_deal"], able.pace.requests) == (1, 5)


async def test_cards_have_addresses_for_people(office: Office) -> None:
    """Those that are not documented are settings."""
    urls = [office.session.record_url(ref(kind, 7)) for kind in (RecordKind.DEAL, RecordKind.CONTACT)]
    assert urls == [f"{office.url}/orders/7/edit", f"{office.url}/customers/7"]
    other = office.with_settings(customer_page="/clients/{id}/card")
    assert other.session.record_url(ref(RecordKind.CONTACT, 7)) == f"{office.url}/clients/7/card"
