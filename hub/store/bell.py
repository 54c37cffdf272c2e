"""How the processes of one installation wake each other: NOTIFY says that something is there, rows say what (DESIGN 3).

A word that is lost loses nothing: whoever listens also looks from time to time. Some words say a little more after a
space, for what is only of use at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import URL

from hub.store.cluster import CHANNEL

__all__ = ["Bell"]

log = logging.getLogger(__name__)

#: what is told at once is told together: a flood of webhooks rings some hundred times a second
_TOGETHER = 0.004
#: words that say more, and wait for a connection: beyond that they are of no use any more
_MOST_MORE = 100
_PAUSE = 1.0


class Bell:
    """Rings for the others, and hears them; ``heard`` is called on the loop with each word.

    After a lost connection ``heard`` is called with every word of ``words``: what was told meanwhile is not known.
    """

    def __init__(self, url: URL, *, words: tuple[str, ...], heard: Callable[[str], None]) -> None:
        self._conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._words, self._heard = words, heard
        self._rung: set[str] = set()
        self._ringing = asyncio.Event()

    def ring(self, word: str) -> None:
        """Let the other processes, and this one, hear ``word`` soon (8,000 bytes at most); from the loop only.

        One that says more than its name is dropped while many of its like wait for a database that is away.
        """
        if " " in word and len(self._rung) >= _MOST_MORE:
            return
        self._rung.add(word)
        self._ringing.set()

    async def run(self) -> None:
        """Ring and listen until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep("bell rings", self._ring_forever))
            tasks.create_task(self._keep("bell listens", self._listen_forever))

    async def _keep(self, name: str, work: Callable[[psycopg.AsyncConnection[Any]], Any]) -> None:
        is_away = False
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._conninfo, autocommit=True, connect_timeout=5, application_name=f"hub {name}"
                ) as conn:
                    if is_away:
                        log.info("%s again", name, extra={"action": "bell.back"})
                    is_away = False
                    await work(conn)
            except (psycopg.Error, OSError) as error:
                if not is_away:
                    log.warning("%s no more: %s", name, error, extra={"action": "bell.away"})
                is_away = True
                await asyncio.sleep(_PAUSE)

    async def _ring_forever(self, conn: psycopg.AsyncConnection[Any]) -> None:
        while True:
            await self._ringing.wait()
            self._ringing.clear()
            words = sorted(self._rung)
            try:
                for word in words:
                    await conn.execute("SELECT pg_notify(%s, %s)", (CHANNEL, word))
                    self._rung.discard(word)
            except BaseException:
                self._ringing.set()
                raise
            await asyncio.sleep(_TOGETHER)

    async def _listen_forever(self, conn: psycopg.AsyncConnection[Any]) -> None:
        await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
        for word in self._words:
            self._heard(word)
        async for notice in conn.notifies():
            self._heard(notice.payload)
