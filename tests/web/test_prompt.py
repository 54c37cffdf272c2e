"""An answer on the spot is the answer that waiting for uvicorn would have brought, byte for byte (R2, R3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hub.runtime.services import Services
from hub.store import projects
from hub.web import server
from hub.web.forwarding import MOST_BYTES
from tests.web.conftest import CHANNEL, PROJECT, SECRET, STRANGER, Web, serving, set_up

KNOWN = "380501112233"
JSON = b'{"caller":"380501112233","call_id":"ua0_-1.1"}'
FORM = b"caller=380501112233&call_id=1"
RPC = b'{"jsonrpc":"2.0","id":7,"method":"route","params":{"caller":"380501112233"}}'
PLACE = f"/forward/shop/phone/{SECRET}"


def post(body: bytes = JSON, *headers: str, place: str = PLACE, method: str = "POST", version: str = "1.1") -> bytes:
    lines = [f"{method} {place} HTTP/{version}", "Host: hub", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def get(place: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {place} HTTP/1.1", "Host: hub", *headers, "", ""]).encode()


CHUNKED = f"POST {PLACE} HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
CHUNKED += b"8\r\n" + JSON[:8] + b"\r\n%x\r\n" % (len(JSON) - 8) + JSON[8:] + b"\r\n0\r\n\r\n"
LAST = "Connection: close"

#: what is asked, piece by piece, and how many of the answers come on the spot
ASKED: list[tuple[str, list[bytes], int]] = [
    ("json", [post()], 1),
    ("form", [post(FORM, "Content-Type: application/x-www-form-urlencoded")], 1),
    ("json-rpc", [post(RPC)], 1),
    ("in the address", [get(f"{PLACE}?caller={KNOWN}")], 1),
    ("in headers", [get(PLACE, f"CALLER: {KNOWN}")], 1),
    ("nobody's", [post(b'{"caller":"380671234567"}')], 1),
    ("garbage", [post(b"\xff\xfe{")], 1),
    ("nothing", [post(b"")], 1),
    ("put", [post(method="PUT")], 1),
    ("chunks", [CHUNKED], 1),
    ("an older client", [post(version="1.0")], 1),
    ("an older client that stays", [post(JSON, "Connection: keep-alive", version="1.0")], 1),
    ("one after another", [post(), post(FORM), post(RPC)], 3),
    ("all at once", [post() + post(FORM) + get(f"{PLACE}?caller={KNOWN}")], 3),
    ("another thing between", [post() + get("/healthz") + post(FORM)], 1),
    ("in two pieces", [post()[:-5], post()[-5:]], 0),
    ("headers in two pieces", [post()[:30], post()[30:]], 1),
    ("only the headers", [post(method="HEAD")], 0),
    ("after a yes", [post(JSON, "Expect: 100-continue")], 0),
    ("another protocol", [get(f"{PLACE}?caller={KNOWN}", "Connection: upgrade", "Upgrade: websocket")], 0),
    ("quoted", [post(place=PLACE.replace("phone", "ph%6Fne"))], 0),
    ("with a fragment", [get(f"{PLACE}?caller={KNOWN}#there")], 0),
    ("too large", [post(b"x" * (MOST_BYTES + 1))], 0),
    ("wrong secret", [post(place=PLACE[:-1])], 0),
    ("no secret", [post(place="/forward/")], 0),
    ("not HTTP", [b"POST /forward/ nonsense\r\n\r\n"], 0),
]


async def said(web: Web, pieces: Sequence[bytes]) -> bytes:
    """All that the hub says to ``pieces`` and to one last thing, until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            # the next piece is read by itself once the hub has been round
            await web.client.get("/healthz")
        writer.write(post(b"{}", LAST, place="/hooks/"))
        async with asyncio.timeout(30):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(("pieces", "on_the_spot"), [row[1:] for row in ASKED], ids=[row[0] for row in ASKED])
async def test_the_answer_is_the_same_on_both_ways(web: Web, pieces: list[bytes], on_the_spot: int) -> None:
    answers: list[object] = []
    at_once = web.app.at_once

    def count(*asked: Any) -> tuple[bytes, bytes] | None:
        found = at_once(*asked)
        answers.append(found)
        return found

    web.app.at_once = count  # type: ignore[assignment]
    quick = await said(web, pieces)
    assert len([answer for answer in answers if answer is not None]) == on_the_spot
    # from here the heads are known, the usual one too where it came in pieces before
    await said(web, [post()])
    answers.clear()
    assert quick == await said(web, pieces)
    assert len([answer for answer in answers if answer is not None]) == on_the_spot
    web.app.at_once = lambda *_: None
    assert quick == await said(web, pieces)
    assert quick.startswith(b"HTTP/1.1 ")


async def test_a_head_that_was_answered_is_not_read_again(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even for another body, by another connection; any other byte of it makes it another head."""
    read: list[bytes] = []
    data_received = HttpToolsProtocol.data_received

    def count(self: HttpToolsProtocol, data: bytes) -> None:
        read.append(data)
        data_received(self, data)

    monkeypatch.setattr(HttpToolsProtocol, "data_received", count)

    async def ask(*asked: bytes) -> list[bytes]:
        """What was read of ``asked``, each sent by itself once the one before is answered."""
        reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
        read.clear()
        try:
            async with asyncio.timeout(30):
                for one in asked:
                    writer.write(one)
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                    told = await reader.readexactly(length)
                    assert (told == b"examplecom_olena") is (KNOWN.encode() in one)
        finally:
            writer.close()
        return list(read)

    known, stranger = post(), post(JSON.replace(b"50111", b"67111"))
    assert await ask(known, known, stranger) == [known]
    assert await ask(stranger, known) == []
    assert await ask(known, post(JSON + b" "), stranger) == [post(JSON + b" ")]
    assert await ask(known.replace(b"Host: hub", b"Host: bub")) == [known.replace(b"Host: hub", b"Host: bub")]
    address = get(f"{PLACE}?caller={KNOWN}")
    # a question in the address would only push others out
    assert await ask(address, address) == [address, address]


async def test_a_known_head_whose_secret_is_no_longer_right_is_nobodys(
    make_services: Callable[..., Services],
) -> None:
    """H8: knowing how it reads is not knowing that it may."""
    services = make_services()
    set_up(services)
    async with serving(services) as web:
        assert b" 200 " in await said(web, [post()])
        services.store.write_now(lambda conn: projects.remove_channel(conn, PROJECT, CHANNEL))
        services.projects.reload_now()
        assert (await said(web, [post()])).startswith(b"HTTP/1.1 404 ")
    services.close()


async def test_who_asks_and_hangs_up_gets_no_answer_and_harms_nobody(web: Web) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(post(JSON, LAST) + post())
    writer.transport.abort()
    assert (await web.client.post(PLACE, content=JSON)).text == "examplecom_olena"


async def test_answers_keep_the_order_of_the_questions(web: Web) -> None:
    """The first waits for who talked last, so the second, which need not wait, waits for its turn (R3)."""
    go, forwarding = asyncio.Event(), web.app.forwarding
    tell, tell_now = forwarding._tell, forwarding._tell_now

    def not_now(project: Any, channel: Any, question: Any, now: Any) -> Any:
        return None if question.caller == STRANGER and not go.is_set() else tell_now(project, channel, question, now)

    async def later(*asked: Any) -> Any:
        await go.wait()
        return await tell(*asked)

    forwarding._tell, forwarding._tell_now = later, not_now  # type: ignore[assignment,method-assign]
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    try:
        writer.write(post(b'{"caller":"380671234567"}') + post(JSON, LAST))
        await web.client.get("/healthz")
        go.set()
        async with asyncio.timeout(30):
            both = await reader.read()
    finally:
        writer.close()
    first, second = both.split(b"HTTP/1.1 200 OK")[1:]
    assert (first[-4:], second[-15:]) == (b"\r\n\r\n", b"examplecom_olena"[-15:])


async def test_a_connection_that_rests_after_its_answer_is_closed_in_the_end(
    make_services: Callable[..., Services], monkeypatch: pytest.MonkeyPatch
) -> None:
    """H8: as after any other answer, and not before the third look at it."""
    monkeypatch.setattr(server, "HEADERS", 0.05)
    services = make_services()
    set_up(services)
    async with serving(services) as web:
        reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
        try:
            writer.write(post())
            async with asyncio.timeout(30):
                assert (await reader.read()).endswith(b"examplecom_olena")
        finally:
            writer.close()
    services.close()
