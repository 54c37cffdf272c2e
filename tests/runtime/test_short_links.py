"""Short links are expanded without going where they lead (W8): a stand-in plays the shortener over TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest

from hub.runtime.links import ShortLinks
from tests.tls import contexts_for


class Shortener:
    """Answers each path as told, over TLS, as ``amo.sh``."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, bytes] = {}
        self.delay = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head.split("\r\n")[0])
        await asyncio.sleep(self.delay)
        path = head.split(" ")[1]
        writer.write(self.answers.get(path, b"HTTP/1.1 404 Not Found\r\n\r\n"))
        await writer.drain()
        writer.close()


def redirect(target: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for amo.sh, and a client's that trusts it."""
    return contexts_for("amo.sh", tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def shortener(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[tuple[Shortener, int]]:
    played = Shortener()
    server = await asyncio.start_server(played.serve, "127.0.0.1", 0, ssl=contexts[0])
    try:
        yield played, server.sockets[0].getsockname()[1]
    finally:
        server.close()


def links_to(
    port: int,
    context: ssl.SSLContext | None,
    *,
    is_safe: bool = True,
    addresses: Sequence[str] = ("127.0.0.1",),
    longest: float = 3,
) -> ShortLinks:
    """As in production, but for the port and that loopback counts as public."""
    if is_safe:

        async def found(host: str, port: int) -> Sequence[str]:
            assert host == "amo.sh"
            return addresses

        return ShortLinks(
            resolve=found, is_safe=lambda _: True, context=context, port=port, longest=timedelta(seconds=longest)
        )

    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return ShortLinks(resolve=resolve, context=context, port=port)


LINK = "https://amo.sh/Ab1"

ANSWERS = [
    (redirect("https://shop.example/table?utm=1"), "https://shop.example/table?utm=1"),
    (redirect("/elsewhere"), ""),
    (redirect("https://amo.sh/other"), ""),
    (b"HTTP/1.1 200 OK\r\nLocation: https://shop.example\r\n\r\n", ""),
    (b"HTTP/1.1 302 Found\r\n\r\n", ""),
    (b"nonsense\r\n\r\n", ""),
    (b"HTTP/1.1 302 Found\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", ""),
    (b"", ""),
]


@pytest.mark.parametrize(
    ("answer", "target"),
    ANSWERS,
    ids=["redirect", "relative", "itself", "no redirect", "no target", "nonsense", "too large", "hung up"],
)
async def test_the_redirect_is_read_and_not_followed(
    shortener: tuple[Shortener, int],
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
    answer: bytes,
    target: str,
) -> None:
    """W8: one request, to the shortener only; whatever it answers, the message can go out."""
    played, port = shortener
    played.answers["/Ab1"] = answer
    found = await links_to(port, contexts[1]).targets([LINK])
    assert found == ({LINK: target} if target else {})
    assert played.asked == ["HEAD /Ab1 HTTP/1.1"]


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.7", "169.254.169.254", "::1", "fe80::1", "100.64.0.1"])
async def test_a_shortener_that_leads_into_a_private_network_is_not_asked(
    shortener: tuple[Shortener, int], contexts: tuple[ssl.SSLContext, ssl.SSLContext], address: str
) -> None:
    """W8: never into private networks, whatever the name is made to stand for."""
    played, port = shortener
    played.answers["/Ab1"] = redirect("https://shop.example/")
    assert await links_to(port, contexts[1], is_safe=False, addresses=("93.184.216.34", address)).targets([LINK]) == {}
    assert played.asked == []


@pytest.mark.parametrize(
    "link", ["https://amo.sh.evil.example/Ab1", "https://evil.example/amo.sh/Ab1", "ftp://amo.sh/Ab1", "nonsense"]
)
async def test_nobody_but_the_shortener_is_asked(
    shortener: tuple[Shortener, int], contexts: tuple[ssl.SSLContext, ssl.SSLContext], link: str
) -> None:
    played, port = shortener
    assert await links_to(port, contexts[1]).targets([link]) == {}
    assert played.asked == []


async def test_a_server_without_the_shorteners_certificate_is_not_believed(shortener: tuple[Shortener, int]) -> None:
    assert await links_to(shortener[1], None).targets([LINK]) == {}
    assert shortener[0].asked == []


async def test_a_slow_shortener_does_not_hold_a_message_up(
    shortener: tuple[Shortener, int], contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    played, port = shortener
    played.answers["/Ab1"] = redirect("https://shop.example/")
    played.delay = 0.5
    assert await links_to(port, contexts[1], longest=0.2).targets([LINK]) == {}
    played.delay = 0
    assert await links_to(port, contexts[1]).targets([LINK]) == {LINK: "https://shop.example/"}
