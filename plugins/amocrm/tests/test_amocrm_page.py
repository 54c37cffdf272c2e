"""A page of a list is read from its bytes; whatever is unusual in it, no record is lost for another's (1.1, H6)."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from hub_amocrm import wire
from hub_amocrm.auth import Credentials
from hub_amocrm.client import AmoCrmClient, Page
from hub_amocrm.config import AmoCrmSettings
from pydantic import SecretStr

from hub.clock import SystemClock
from hub.errors import Unavailable
from hub.ports import ConnectionContext
from hub.testing.crm_bench import MemoryState

#: loopback needs none, and loading them takes longer than most tests
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
GOOD: dict[str, Any] = {"id": 1, "name": "Oleg", "price": 10, "_links": {"self": {"href": "…"}}, "_embedded": []}


def page(*leads: dict[str, Any], **links: Any) -> bytes:
    return json.dumps({"_page": 1, "_links": links, "_embedded": {"leads": leads}}).encode()


@asynccontextmanager
async def telling(body: bytes) -> AsyncIterator[AmoCrmClient]:
    """An account that answers everything with ``body``."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    settings = AmoCrmSettings(address=address, long_lived_token=SecretStr("token"), is_loopback_allowed=True)
    try:
        async with httpx.AsyncClient(trust_env=False, verify=NO_CERTIFICATES) as http:
            context = ConnectionContext(
                project="shop",
                name="amo",
                settings=settings,
                http=http,
                state=MemoryState(),
                clock=SystemClock(),
                region="UA",
            )
            yield AmoCrmClient(http, Credentials(context, settings))
    finally:
        server.close()
        await server.wait_closed()


async def read(body: bytes) -> Page[wire.Lead]:
    async with telling(body) as client:
        return await client.leads([])


#: (what the second lead says, what is read of it)
UNUSUAL: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"id": "2", "price": "12.5", "status_id": "142"}, {"id": 2, "price": 12.5, "status_id": 142}),
    ({"id": 2.0, "updated_at": 1767200100.0}, {"id": 2, "updated_at": 1767200100}),
    ({"id": 2, "is_deleted": 1}, {"id": 2, "is_deleted": True}),
    ({"id": 2, "is_deleted": "0"}, {"id": 2, "is_deleted": False}),
    ({"id": 2, "custom_fields_values": [{"field_id": "7", "values": [{"value": 5}]}]}, {"id": 2}),
]


@pytest.mark.parametrize(("told", "seen"), UNUSUAL)
async def test_a_number_may_come_as_a_text(told: dict[str, Any], seen: dict[str, Any]) -> None:
    found = await read(page(GOOD, told, next={"href": "…"}))
    assert [item.id for item in found.items] == [1, 2]
    assert {name: getattr(found.items[1], name) for name in seen} == seen
    assert found.has_more


#: (a record, where it is at fault)
UNREADABLE: list[tuple[dict[str, Any], str]] = [
    ({"name": "without an id"}, "`id`"),
    ({"id": "five"}, "$.id"),
    ({"id": 2, "name": {"first": "Oleg"}}, "$.name"),
    ({"id": 2, "custom_fields_values": [{"values": []}]}, "$.custom_fields_values[0]"),
    ({"id": 2, "_embedded": {"contacts": [{"is_main": True}]}}, "$._embedded.contacts[0]"),
]


@pytest.mark.parametrize(("told", "where"), UNREADABLE)
async def test_a_record_that_cannot_be_read_is_named_and_takes_nobody_with_it(
    told: dict[str, Any], where: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = await read(page(GOOD, told, GOOD | {"id": 3}))
    assert (found.items[0].id, found.items[-1].id) == (1, 3)
    (line,) = [one for one in caplog.records if getattr(one, "action", "") == "amocrm.unreadable"]
    said = str(getattr(line, "fields", ""))
    assert where in said
    # what it says may be a client's
    assert "five" not in said
    assert "Oleg" not in said


@pytest.mark.parametrize("body", [b"", b"   "])
async def test_an_empty_answer_is_an_empty_page(body: bytes) -> None:
    assert await read(body) == Page((), False)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"_embedded": {"contacts": []}}', b'{"_embedded": []}'])
async def test_what_is_no_list_is_not_taken_for_an_empty_one(body: bytes) -> None:
    """X5: whoever looks whether a lost write arrived would believe that it did not."""
    with pytest.raises(Unavailable):
        await read(body)
