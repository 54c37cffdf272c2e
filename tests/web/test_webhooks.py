"""Webhooks are on disk before the vendor hears "yes"; nothing that comes is lost or guessed (H3, H8, H11)."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
from datetime import UTC, datetime
from secrets import token_hex

import pytest

from hub.runtime.intake import raw_request
from hub.store import inbox
from hub.store.inbox import Received
from tests.web.conftest import CHANNEL, PROJECT, SECRET, Web

pytestmark = pytest.mark.usefixtures("each_engine")

CALL = {"uniqueid": "ua0_-1785312345.1", "caller": "380501112233", "disposition": "ANSWERED", "billsec": "60"}


def stored(web: Web) -> list[Received]:
    return web.services.store.read_now(lambda conn: inbox.unread(conn, limit=1000))


async def test_a_webhook_is_stored_as_it_came_and_answered_with_nothing(web: Web) -> None:
    answer = await web.client.post(f"{web.hook()}?moment=after", json=CALL, headers={"x-own": "kept"})
    assert (answer.status_code, answer.content) == (200, b"")
    [row] = stored(web)
    assert (row.project, row.channel, row.kind) == (PROJECT, CHANNEL, "hook")
    assert row.request.method == "POST"
    assert row.request.query == b"moment=after"
    assert json.loads(row.request.body) == CALL
    assert row.request.header("x-own") == "kept"
    assert row.request.received_at == web.services.clock.now()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
async def test_every_method_is_taken(web: Web, method: str) -> None:
    answer = await web.client.request(method, f"{web.hook()}?uniqueid=1")
    assert answer.status_code == 200
    assert [row.request.method for row in stored(web)] == [method]


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
async def test_trying_the_address_stores_nothing(web: Web, method: str) -> None:
    answer = await web.client.request(method, web.hook())
    assert answer.status_code == 200
    assert stored(web) == []


async def test_ten_identical_webhooks_at_once_are_ten_rows(web: Web) -> None:
    answers = await asyncio.gather(*(web.client.post(web.hook(), json=CALL) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(stored(web)) == 10


async def test_the_reading_is_woken_after_the_commit(web: Web) -> None:
    seen: list[int] = []
    web.services.intake.wake = lambda: seen.append(len(stored(web)))
    await web.client.post(web.hook(), json=CALL)
    assert seen == [1]


@pytest.mark.parametrize(
    "path",
    [
        f"/hooks/{PROJECT}/{CHANNEL}/{'0' * 30}",
        f"/hooks/{PROJECT}/other/{SECRET}",
        f"/hooks/other/{CHANNEL}/{SECRET}",
        f"/hooks/{PROJECT}/{CHANNEL}/{SECRET}/more",
        f"/hooks/{PROJECT}/{CHANNEL}",
        f"/hooks/{PROJECT}/{CHANNEL}/",
        f"/hooks/{PROJECT}/{CHANNEL}/%ED%B2%80",
        f"/forward/{PROJECT}/{CHANNEL}/{'0' * 30}",
        f"/forward/other/{CHANNEL}/{SECRET}",
        f"/crm/{PROJECT}/amo/{SECRET}",
        f"/forms/{PROJECT}/{'0' * 30}",
        f"/forms/other/{SECRET}",
    ],
)
async def test_every_unknown_address_gets_the_same_404(web: Web, path: str) -> None:
    """The bytes tell nothing of which part was wrong (H8)."""
    known = await web.client.post(f"/hooks/{PROJECT}/{CHANNEL}/wrong", content=b"x")
    answer = await web.client.post(path, content=b"x")
    assert answer.status_code == 404
    assert (answer.content, answer.headers) == (known.content, known.headers)
    assert stored(web) == []


async def test_a_request_that_is_too_large_is_refused(web: Web) -> None:
    assert (await web.client.post(web.hook(), content=b"x" * (1024 * 1024))).status_code == 200
    answer = await web.client.post(web.hook(), content=b"x" * (1024 * 1024 + 1))
    assert answer.status_code == 413
    assert len(stored(web)) == 1


async def test_a_body_that_never_ends_is_given_up(web: Web) -> None:
    web.app.desks["hook"].watch.longest = -1.0  # whatever is under way is late at the next look
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(f"POST {web.hook()} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf".encode())
    await writer.drain()
    line = await asyncio.wait_for(reader.readline(), 30)
    writer.close()
    assert b" 408 " in line
    assert stored(web) == []


async def test_a_caller_who_hangs_up_leaves_nothing(web: Web) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(f"POST {web.hook()} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf".encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await web.client.post(web.hook(), content=b"whole")).status_code == 200
    assert [row.request.body for row in stored(web)] == [b"whole"]


async def test_what_cannot_be_stored_is_answered_503_with_one_line(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    """The vendor must not believe that a lost call is on disk; the log says so once, not once a request (H3)."""
    store = web.services.store
    store.write_now(lambda conn: conn.exec_driver_sql("ALTER TABLE inbox RENAME TO elsewhere"))
    with caplog.at_level(logging.WARNING, logger="hub.web"):
        answers = [await web.client.post(web.hook(), json=CALL) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [503] * 3
        assert answers[0].headers["retry-after"] == "5"
        store.write_now(lambda conn: conn.exec_driver_sql("ALTER TABLE elsewhere RENAME TO inbox"))
        assert (await web.client.post(web.hook(), json=CALL)).status_code == 200
    actions = [getattr(record, "action", "") for record in caplog.records]
    assert actions == ["intake.failed", "intake.back"]
    assert len(stored(web)) == 1


# on PostgreSQL a write that hangs holds up nobody else's
@pytest.mark.parametrize("each_engine", ["sqlite"], indirect=True)
async def test_a_store_that_hangs_is_answered_503(web: Web) -> None:
    held, blocked = threading.Event(), threading.Event()

    def block(_: object) -> None:
        blocked.set()
        held.wait(60)

    hanging = asyncio.create_task(web.services.store.write(block))
    await asyncio.to_thread(blocked.wait)
    web.app.desks["hook"].watch.longest = -1.0
    try:
        answer = await asyncio.wait_for(web.client.post(web.hook(), json=CALL), 30)
    finally:
        held.set()
        await hanging
    assert answer.status_code == 503


async def test_secret_headers_are_not_stored(web: Web) -> None:
    await web.client.post(
        web.hook(), json=CALL, headers={"Authorization": "Basic Zm9v", "Cookie": "a=b", "X-Api-Key": "k"}
    )
    [row] = stored(web)
    assert not {"authorization", "cookie", "x-api-key"} & {name for name, _ in row.request.headers}


@pytest.mark.parametrize(
    "body", [b"", b"\x00\xff\xfe", b"{", b"[[[[", "ї=є&%ZZ".encode(), b"null", b'{"a":' * 500], ids=range(7)
)
async def test_garbage_is_kept_and_answered_yes(web: Web, body: bytes) -> None:
    """What cannot be read is shown later, never dropped at the door (H11)."""
    answer = await web.client.post(web.hook(), content=body)
    assert answer.status_code == 200
    assert [row.request.body for row in stored(web)] == [body]


async def test_no_secret_reaches_the_log(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    """Path secrets and full numbers stay out of every logger at every level (H8)."""
    with caplog.at_level(logging.DEBUG):
        await web.client.post(web.hook(), json=CALL)
        await web.client.post(web.hook(), content=b"x" * (1024 * 1024 + 1))
        await web.client.post(web.forward(), json={"caller": "380501112233", "uuid": "u1"})
        await web.client.post(f"/forms/{PROJECT}/{SECRET}", json={"phone": "380501112233"})
        await web.client.post(web.hook("wrong" * 6), json=CALL)
    # the test's own client logs what it asks for; the hub must not
    said = "\n".join(
        record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))
    )
    assert SECRET not in said
    assert "wrongwrong" not in said
    assert "380501112233" not in said


def test_a_secret_header_is_in_nobodys_memory_when_its_request_is_gone() -> None:
    """H8: what is remembered of headers is remembered without their secrets."""
    secret = b"Bearer " + token_hex(16).encode()
    held = sys.getrefcount(secret)
    found = raw_request("POST", b"", ((b"authorization", secret), (b"x-kept", b"yes")), b"", datetime.now(UTC))
    assert found.headers == (("x-kept", "yes"),)
    assert sys.getrefcount(secret) == held
