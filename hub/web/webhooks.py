"""Webhooks: the raw request is on disk, then the vendor hears "yes" (H3); nothing is read before that.

Raw ASGI: a vendor's burst comes through here, and the framework's share of one request is as large as SQLite's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

from starlette.types import Message, Receive, Scope, Send

from hub.messenger import OwesReply
from hub.ports import RawRequest, Reply
from hub.runtime.intake import raw_request
from hub.runtime.known_client import KnownClients
from hub.runtime.services import Services
from hub.store.engine import problem_of
from hub.store.inbox import InboxKind
from hub.store.projects import Channel
from hub.web.headers import SECURITY_HEADERS
from hub.web.limits import Unread, Watch, read_body
from hub.web.metrics import Counts

__all__ = ["MOST_BYTES", "NOT_FOUND", "Desk", "Outcome", "Webhooks", "empty_answer", "send_answer"]

log = logging.getLogger(__name__)

#: the largest request that is stored
MOST_BYTES = 1024 * 1024

Outcome = tuple[Message, Message]


def empty_answer(status: int, body: bytes = b"", *more: tuple[bytes, bytes]) -> Outcome:
    """An answer that is made once and sent many times."""
    headers = [
        (b"content-length", str(len(body)).encode()),
        (b"content-type", b"text/plain; charset=utf-8"),
        *SECURITY_HEADERS,
        *more,
    ]
    return (
        {"type": "http.response.start", "status": status, "headers": headers},
        {"type": "http.response.body", "body": body},
    )


async def send_answer(send: Send, answer: Outcome) -> None:
    """Send what `empty_answer` made."""
    await send(answer[0])
    await send(answer[1])


ACCEPTED = empty_answer(200)
#: the same bytes whether the project, the channel or the secret is unknown (H8)
NOT_FOUND = empty_answer(404, b"not found\n")
_TOO_LARGE = empty_answer(413, b"too large\n")
_TOO_SLOW = empty_answer(408, b"too slow\n")
_NOT_STORED = empty_answer(503, b"not stored, send again\n", (b"retry-after", b"5"))


class Desk:
    """Stores what comes to one kind of endpoint, bounded in size, time and number.

    Beyond ``most_under_way`` requests at once the next ones wait for their turn; nobody is turned away for the
    crowd alone before ``longest``, since most vendors never send again.
    """

    def __init__(
        self,
        services: Services,
        counts: Counts,
        kind: InboxKind,
        *,
        longest: timedelta = timedelta(seconds=10),
        most_bytes: int = MOST_BYTES,
        most_under_way: int = 256,
    ) -> None:
        self._services, self._counts, self._kind = services, counts, kind
        self._most_bytes = most_bytes
        self._turn = asyncio.Semaphore(most_under_way)
        self._is_failing = False
        self.longest = longest
        self.watch = Watch(longest, services.clock.monotonic)

    async def take(
        self,
        scope: Scope,
        receive: Receive,
        project: str,
        channel: str,
        stored: Callable[[RawRequest], None] = lambda _: None,
    ) -> Outcome | None:
        """Store the request; the answer that it gets, None if the caller hung up. ``stored`` hears what is on disk."""
        watch = self.watch
        task = watch.enter()
        body: bytes | Unread | None = None
        try:
            async with self._turn:
                body = await read_body(receive, self._most_bytes)
                if isinstance(body, Unread):
                    return self._refuse(project, channel, body)
                request = raw_request(
                    scope["method"], scope["query_string"], scope["headers"], body, self._services.clock.now()
                )
                await self._services.intake.accept(project=project, channel=channel, kind=self._kind, request=request)
                stored(request)
        except asyncio.CancelledError:
            if not watch.was_late():
                raise
            if body is None:
                return self._refuse(project, channel, Unread.TOO_SLOW)
            self._failed(project, channel, TimeoutError("the database does not answer"))
            return _NOT_STORED
        except Exception as err:  # noqa: BLE001 - whatever it is, the vendor must hear that it is not stored
            self._failed(project, channel, err)
            return _NOT_STORED
        finally:
            watch.leave(task)
        self._counts.accepted[project, channel, self._kind] += 1
        if self._is_failing:
            self._is_failing = False
            log.warning("requests can be stored again", extra={"action": "intake.back"})
        return ACCEPTED

    def _refuse(self, project: str, channel: str, why: Unread) -> Outcome | None:
        self._counts.refused[self._kind, why.value] += 1
        if why is Unread.GONE:
            return None
        log.warning(
            "a request for %s/%s was %s and is not stored",
            project,
            channel,
            why.value,
            extra={"action": "intake.refused"},
        )
        return _TOO_LARGE if why is Unread.TOO_LARGE else _TOO_SLOW

    def _failed(self, project: str, channel: str, err: Exception) -> None:
        self._counts.refused[self._kind, "not stored"] += 1
        if not self._is_failing:
            self._is_failing = True
            log.error(
                "requests cannot be stored and are answered 503, first one for %s/%s: %s",
                project,
                channel,
                problem_of(err),
                extra={"action": "intake.failed"},
            )


class Webhooks:
    """Any method ``/hooks/{project}/{channel}/{secret}``: 200 once it is on disk, 404, 408, 413, 503.

    HEAD and OPTIONS are answered and not stored: vendors' cabinets try an address with them. A source that owes its
    vendor a reply gives it from the local directory, after the request is on disk (DESIGN 2.1); whatever goes wrong
    there, the answer is the question's own ``otherwise``: a vendor that reads JSON gets JSON.
    """

    #: how long the reply may take beyond the time for which the question itself waits
    BUDGET = timedelta(seconds=1)

    def __init__(self, services: Services, desk: Desk, counts: Counts) -> None:
        self._services, self._desk, self._counts = services, desk, counts
        self._clients = KnownClients(services)
        # asked once: a Protocol is looked through member by member
        self._owing = {
            name: source for name, source in services.plugins.sources.items() if isinstance(source, OwesReply)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = scope["path"].split("/")
        found = None
        if len(parts) == 5:
            found = self._services.projects.addresses.channel(parts[2], parts[3], parts[4])
        if found is None:
            await send_answer(send, NOT_FOUND)
        elif scope["method"] in ("HEAD", "OPTIONS"):
            await send_answer(send, ACCEPTED)
        elif found.source in self._owing:
            kept: list[RawRequest] = []
            answer = await self._desk.take(scope, receive, found.project, found.name, kept.append)
            if answer is ACCEPTED:
                answer = await self._owed(found, kept[0])
            if answer is not None:
                await send_answer(send, answer)
        else:
            answer = await self._desk.take(scope, receive, found.project, found.name)
            if answer is not None:
                await send_answer(send, answer)

    async def _owed(self, row: Channel, request: RawRequest) -> Outcome:
        """The reply that ``request`` is owed; the vendor's own "received" if none in time, the plain 200 if none."""
        source, plain = self._owing[row.source], ACCEPTED
        project = self._services.projects.find(row.project)
        channel = project.channels.get(row.name) if project else None
        if project is None or channel is None:
            return ACCEPTED
        try:
            question = source.owed_question(request, channel)
            if question is None:
                return ACCEPTED
            plain = reply_answer(question.otherwise)
            async with asyncio.timeout((self.BUDGET + question.wait).total_seconds()):
                client = await self._clients.find(project, row.name, question)
            answer = reply_answer(source.owed_reply(question, client, channel))
        except Exception:
            # the webhook is on disk; an error would only make the vendor doubt that
            log.exception("a reply owed by %s/%s is left out", row.project, row.name, extra={"action": "owed.failed"})
            self._counts.owed[row.project, row.name, "failed"] += 1
            return plain
        self._counts.owed[row.project, row.name, "answered"] += 1
        return answer


def reply_answer(reply: Reply) -> Outcome:
    """A plugin's reply as it is sent."""
    headers = [
        (b"content-length", b"%d" % len(reply.body)),
        (b"content-type", reply.content_type.encode()),
        *SECURITY_HEADERS,
    ]
    return (
        {"type": "http.response.start", "status": reply.status, "headers": headers},
        {"type": "http.response.body", "body": reply.body},
    )
