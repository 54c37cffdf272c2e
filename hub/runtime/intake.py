"""Intake: the raw request is on disk before the vendor hears "yes" (H3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import lru_cache

from hub.engine.checkpoints import checkpoint
from hub.ports import RawRequest
from hub.runtime.spool import Spool
from hub.store import inbox
from hub.store.engine import Store
from hub.store.inbox import InboxKind

__all__ = ["SECRET_HEADERS", "Intake", "raw_request"]

#: headers that may carry a secret: never stored, never logged (H8)
SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key", "auth-key", "x-auth-token"})
_SECRET = frozenset(name.encode() for name in SECRET_HEADERS)


def raw_request(
    method: str, query: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes, received_at: datetime
) -> RawRequest:
    """The request as it is stored: secrets removed; ``headers`` have their names in lower case, as ASGI has them."""
    return RawRequest(
        method=method,
        query=query,
        # secrets are taken out before anything is remembered
        headers=_decoded(tuple([pair for pair in headers if pair[0] not in _SECRET])),
        body=body,
        received_at=received_at,
    )


@lru_cache(maxsize=1024)
def _decoded(headers: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[str, str], ...]:
    """``headers``, of which none is secret, as text; remembered, since a vendor sends the same ones each time."""
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)


class Intake:
    """Stores what came in and wakes the reading of it."""

    def __init__(self, store: Store, wake: Callable[[], None]) -> None:
        self._store, self.wake = store, wake
        #: where requests wait while the database is away; None on SQLite, which is as near as the spool would be
        self.spool: Spool | None = None

    async def accept(self, *, project: str, channel: str, kind: InboxKind, request: RawRequest) -> None:
        """Returns only after the commit. Raises what the database raises or, with a spool, what its file raises."""
        if self.spool is not None:
            await self.spool.accept(project=project, channel=channel, kind=kind, request=request)
        else:
            await self._store.write(
                lambda conn: inbox.add(conn, project=project, channel=channel, kind=kind, request=request), is_one=True
            )
        checkpoint("inbox.stored")
        self.wake()
