"""Sending webhooks the way the vendor does: one try, its status kept, nothing ever re-sent (reference A.3)."""

from __future__ import annotations

import asyncio
import functools
import random
import ssl
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

from .wire_request import WebhookRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of one request. ``status`` is None when no answer came (``error`` says why)."""

    request: WebhookRequest
    status: int | None
    seconds: float
    error: str = ""

    @property
    def is_ok(self) -> bool:
        """The vendor takes HTTP 200 only as success; anything else stands on its error page."""
        return self.status == 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Disorder:
    """What goes wrong between the vendor and the receiver; the default is nothing (A9, X7).

    ``duplicates`` and ``drops`` are shares between 0 and 1 of the requests that are sent twice or never;
    ``reorder`` shuffles requests within windows of so many. All of it follows from ``seed``.
    """

    duplicates: float = 0.0
    drops: float = 0.0
    reorder: int = 1
    seed: int = 1

    def applied(self, requests: Sequence[WebhookRequest]) -> list[WebhookRequest]:
        """``requests`` with some doubled, some dropped and the order disturbed."""
        chance = random.Random(self.seed)
        kept: list[WebhookRequest] = []
        for request in requests:
            if chance.random() < self.drops:
                continue
            kept.append(request)
            if chance.random() < self.duplicates:
                kept.append(request)
        if self.reorder > 1:
            for start in range(0, len(kept), self.reorder):
                window = kept[start : start + self.reorder]
                chance.shuffle(window)
                kept[start : start + self.reorder] = window
        return kept


@functools.cache
def tls_context() -> ssl.SSLContext:
    """One TLS context for all clients: making one takes longer than a whole delivery."""
    return ssl.create_default_context()


@dataclass(slots=True)
class Sender:
    """Sends requests over real HTTP and keeps what became of each. Use as ``async with``."""

    timeout_seconds: float = 10.0
    deliveries: list[Delivery] = field(default_factory=list)
    _client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        self._client = httpx.AsyncClient(
            verify=tls_context(), timeout=self.timeout_seconds, follow_redirects=False, trust_env=False
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def send(self, request: WebhookRequest) -> Delivery:
        """One try. Never raises for what the receiver does: a refused connection is a delivery with an error."""
        if self._client is None:
            raise RuntimeError("the sender is not open: use it in `async with`")
        started = time.perf_counter()
        status, error = None, ""
        try:
            # Built by hand, so that none of the client library's own headers (Accept …) go along.
            answer = await self._client.send(
                httpx.Request(
                    request.method,
                    request.url,
                    headers={"Host": urlsplit(request.url).netloc.rpartition("@")[2], **request.headers},
                    content=request.body,
                )
            )
            status = answer.status_code
        except httpx.HTTPError as problem:
            error = f"{type(problem).__name__}: {problem}"
        delivery = Delivery(request=request, status=status, seconds=time.perf_counter() - started, error=error)
        self.deliveries.append(delivery)
        return delivery

    async def send_all(self, requests: Iterable[WebhookRequest], *, at_once: int = 1) -> list[Delivery]:
        """All of them, at most ``at_once`` in flight; with more than 1 the order of arrival is not certain."""
        waiting = list(requests)
        if at_once <= 1:
            return [await self.send(request) for request in waiting]
        slots = asyncio.Semaphore(at_once)

        async def one(request: WebhookRequest) -> Delivery:
            async with slots:
                return await self.send(request)

        return list(await asyncio.gather(*(one(request) for request in waiting)))
