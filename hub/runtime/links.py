"""Where short links lead, learnt without going there (W8).

Only the CRM's shortener is asked, over https, at an address that is public; its redirect is read and never followed.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from urllib.parse import urljoin, urlsplit

from hub.core.messenger import is_safe_target, may_be_asked
from hub.runtime.certificates import certificates

__all__ = ["ShortLinks"]

log = logging.getLogger(__name__)

#: what is read of an answer: the head is all that counts
_MOST_BYTES = 16 * 1024

#: (host, port) -> network addresses
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def _resolve(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(row[4][0]) for row in found]


class ShortLinks:
    """Asks the shortener; a test gives another ``resolve``, ``is_safe`` and ``context`` to reach a stand-in."""

    def __init__(
        self,
        *,
        longest: timedelta = timedelta(seconds=3),
        resolve: Resolve = _resolve,
        is_safe: Callable[[str], bool] = is_safe_target,
        context: ssl.SSLContext | None = None,
        port: int = 443,
    ) -> None:
        self._longest, self._resolve, self._is_safe, self._port = longest, resolve, is_safe, port
        self._context = context or certificates()

    async def targets(self, links: Sequence[str]) -> Mapping[str, str]:
        """Where each of ``links`` leads; one that may not be asked, or whose answer is no redirect, is left out."""
        ends = await asyncio.gather(*(self._target(link) for link in links))
        return {link: target for link, target in zip(links, ends, strict=True) if target}

    async def _target(self, link: str) -> str:
        address = may_be_asked(link)
        if not address:
            return ""
        try:
            async with asyncio.timeout(self._longest.total_seconds()):
                return await self._ask(address)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as err:
            # the message goes out with the short link: it works, it only shows no preview
            log.warning("a short link is not expanded: %s", type(err).__name__, extra={"action": "links.unexpanded"})
            return ""

    async def _ask(self, address: str) -> str:
        """The redirect's target. The name is resolved once and that very address is spoken to, so that what was
        checked is what is asked."""
        parts = urlsplit(address)
        host = parts.hostname or ""
        addresses = await self._resolve(host, self._port)
        if not addresses or not all(map(self._is_safe, addresses)):
            raise ValueError("the shortener's name leads into a network that is not public")
        reader, writer = await asyncio.open_connection(
            addresses[0], self._port, ssl=self._context, server_hostname=host, limit=_MOST_BYTES
        )
        try:
            head = f"HEAD {parts.path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: crm-hub\r\nConnection: close\r\n\r\n"
            writer.write(head.encode("ascii"))
            await writer.drain()
            answer = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError as err:
            raise ValueError("the answer is too large") from err
        finally:
            writer.close()
        return _location(answer.decode("latin-1"), address)


def _location(head: str, address: str) -> str:
    first, *lines = head.split("\r\n")
    status = first.split(" ")[1:2]
    if not status or not status[0].startswith("3"):
        return ""
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip().lower() == "location":
            target = urljoin(address, value.strip())
            # the shortener sending to itself tells nothing
            return "" if may_be_asked(target) else target
    return ""
