"""Webhooks on their way out (reference 4.3)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from .state import Account

__all__ = ["Delivered", "Sender"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """One webhook and what it was answered; status 0 = no answer."""

    body: Mapping[str, Any]
    status: int
    answer: bytes


class Sender:
    """POSTs to the account's one address."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.delivered: list[Delivered] = []
        #: each webhook is sent so often: the vendor may repeat
        self.times = 1
        #: webhooks are lost: nothing in v3 says that they are repeated
        self.is_losing = False

    async def test(self, uri: str) -> int:
        """Try an address; the status it answered."""
        return (await self._post(uri, {"test": True})).status

    async def send(self, body: Mapping[str, Any]) -> Delivered | None:
        """Send one webhook to the subscribed address; what came of the last delivery, None if none was made."""
        uri = self._account.subscription.uri
        if not uri or self.is_losing:
            return None
        last: Delivered | None = None
        for _ in range(self.times):
            last = await self._post(uri, body)
            self.delivered.append(last)
        return last

    async def _post(self, uri: str, body: Mapping[str, Any]) -> Delivered:
        # literally so: a hyphen where an equals sign belongs
        headers = {"Content-Type": "application/json; charset-utf-8"}
        if self._account.crm_key:
            headers["Authorization"] = f"Bearer {self._account.crm_key}"
        try:
            async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
                answer = await http.post(uri, content=json.dumps(body, ensure_ascii=False).encode(), headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL):
            return Delivered(body=body, status=0, answer=b"")
        return Delivered(body=body, status=answer.status_code, answer=answer.content)
