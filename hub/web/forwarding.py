"""Whom to ring: the telephony asks before a call, and is answered from the local directory (R2, R3, X9, DESIGN 5).

Raw ASGI, and synchronous once the question is read: nothing here waits, unless the policy lets a caller whom the
directory does not know be asked of the CRM within the budget, or a database over the network has to tell who talked
last to a caller who is nobody's. After the secret is known there is no error status: whatever breaks, the answer is the
channel's empty one and the telephony's own scheme goes on. Only to a proxy that has another process to ask
(`ASKS_OTHERS`) one whose copy of the directory is not there yet says 503 instead of "unknown".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Container, Sequence
from datetime import datetime, timedelta
from functools import lru_cache, partial

from sqlalchemy.exc import SQLAlchemyError
from starlette.types import Receive, Scope, Send

from hub.core.forwarding import Answer, Holder, is_owned
from hub.core.interaction import Identity
from hub.core.phone import Phone
from hub.core.plan import Reason
from hub.core.policy import Policy
from hub.core.records import EmployeeId, crm_user
from hub.core.snapshot import History
from hub.engine.projects import LiveConnection, LiveProject
from hub.errors import VendorError
from hub.ports import AnswersForwarding, ChannelConfig, ForwardingAnswer, ForwardingQuestion, Reply
from hub.runtime.intake import raw_request
from hub.runtime.pace import Urgency, urgency
from hub.runtime.services import Services
from hub.store import clients
from hub.store.directory_holders import Whose
from hub.store.forwarding_log import ForwardingEntry
from hub.store.instant import microseconds
from hub.store.projects import Channel
from hub.web.forwarding_journal import Journal, Recent
from hub.web.forwarding_told import Answered, Lately, Told, entry_of
from hub.web.headers import SECURITY_HEADERS
from hub.web.limits import Unread, Watch, read_body
from hub.web.metrics import Counts
from hub.web.webhooks import NOT_FOUND, empty_answer, send_answer

__all__ = ["Forwarding"]

log = logging.getLogger(__name__)

#: the largest question that is read
MOST_BYTES = 8 * 1024
#: a question that takes longer to arrive is answered empty
LONGEST = timedelta(seconds=2)
#: questions at once; beyond, the answer is empty, which is never wrong
MOST_UNDER_WAY = 1000

#: how far back answers are remembered over a restart
REMEMBERED = timedelta(minutes=2)
#: how long a database over the network may take to tell who talked last, and how long it is left alone if it does not
PATIENCE, LEFT_ALONE = timedelta(milliseconds=100), timedelta(seconds=5)

#: a proxy in front sends it to say that it asks another process after a 503, and never passes that on (deploy/nginx)
ASKS_OTHERS = (b"x-hub-asks-others", b"yes")

_EMPTY = Reply()
_ASK_OTHERS = empty_answer(503, b"the directory is being copied\n")
_NO_HISTORY = History()
_UNREAD = ForwardingQuestion(caller=None)
_ASKED_BEFORE = Reason(code="asked_before")


class Forwarding:
    """Any method ``/forward/{project}/{channel}/{secret}``: 200 and where to ring, or 404."""

    def __init__(self, services: Services, counts: Counts) -> None:
        self._services, self._counts = services, counts
        self.journal: Journal[Answered] = Journal(services.store, counts, self._entry, services.intake.spool)
        self.recent = Recent()
        self._lately = Lately()
        #: (monotonic seconds) until then the database is not asked who last talked to a caller
        self._remembers_from = 0.0
        self._known: dict[tuple[str, str], tuple[LiveConnection, Whose]] = {}
        #: whose each path is that was right, and of which addresses that is true
        self._paths: dict[str, Channel] = {}
        self._addresses = services.projects.addresses
        self._monotonic, self._now = services.clock.monotonic, services.clock.now
        self.watch = Watch(LONGEST, services.clock.monotonic)
        # asked once: a Protocol is looked through member by member
        self._sources = {
            name: source for name, source in services.plugins.sources.items() if isinstance(source, AnswersForwarding)
        }

    async def prepare(self) -> None:
        """Remember what was told just before a restart: a question asked again gets the same answer."""
        services = self._services
        names = [project.name for project in services.projects.all()]
        await self.recent.load(services.store, names, services.clock, REMEMBERED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        services = self._services
        row = self._channel_at(scope["path"])
        if row is None:
            await send_answer(send, NOT_FOUND)
            return
        body = await self._read(receive)
        if body is Unread.GONE:
            return
        began, now = services.clock.monotonic(), services.clock.now()
        project = services.projects.find(row.project)
        channel = project.channels.get(row.name) if project else None
        source = self._sources.get(row.source)
        if project is None or channel is None or source is None:
            await self._send(send, _EMPTY, None)
            return
        try:
            if isinstance(body, Unread):
                question, told = _UNREAD, Told(answer=Answer(reason=Reason(code="unreadable")))
            else:
                question = source.forwarding_question(
                    raw_request(scope["method"], scope["query_string"], scope["headers"], body, now), channel
                )
                told = await self._tell(project, channel, question, now, began)
            reply = source.forwarding_reply(question, ForwardingAnswer(destination=told.answer.destination), channel)
        except Exception:
            # whatever broke: an error status would end the caller's call
            log.exception(
                "a forwarding question of %s/%s was answered empty",
                project.name,
                channel.name,
                extra={"action": "forwarding.failed"},
            )
            self._counts.forwarded[project.name, channel.name, "failed"] += 1
            await self._send(send, _empty_reply(source, channel), None)
            return
        if told.is_copying and ASKS_OTHERS in scope["headers"]:
            self._counts.forwarded[project.name, channel.name, "left to others"] += 1
            await send_answer(send, _ASK_OTHERS)
            return
        await self._send(send, reply, told.age)
        # counting and telling the story come later, many at once: together they cost as much as the look-up
        self.journal.add((project, channel.name, question, told, services.clock.monotonic() - began, now))

    async def try_question(
        self, project: LiveProject, channel: ChannelConfig, question: ForwardingQuestion
    ) -> ForwardingEntry:
        """The row that the journal would get if ``question`` came now, of what the hub knows; nothing is kept of it.

        The CRM is not asked. The project has a policy.
        """
        began, now, policy = self._monotonic(), self._now(), project.policy
        assert policy is not None
        told = self._decide(project, policy, question.caller, now)
        if told.lacks_history and question.caller is not None:
            history = await self._remembered(project.row.name, question.caller)
            told = self._decide(project, policy, question.caller, now, history)
        return entry_of((project, channel.name, question, told, self._monotonic() - began, now))

    def at_once(
        self, method: str, url: bytes, headers: Sequence[tuple[bytes, bytes]], body: bytes
    ) -> tuple[bytes, bytes] | None:
        """The same answer where nobody has to be waited for, as `hub.web.prompt` sends it; None: ask as ASGI does."""
        path, _, query = url.partition(b"?")
        if len(body) > MOST_BYTES or b"#" in url or b"%" in path or not url.isascii():
            return None
        row = self._channel_at(path.decode("ascii"))
        if row is None:
            return None
        began, now = self._monotonic(), self._now()
        project = self._services.projects.find(row.project)
        channel = project.channels.get(row.name) if project else None
        source = self._sources.get(row.source)
        if project is None or channel is None or source is None:
            return None
        try:
            question = source.forwarding_question(raw_request(method, query, headers, body, now), channel)
            told = self._tell_now(project, channel, question, now)
            if told is None or (told.is_copying and ASKS_OTHERS in headers):
                return None
            reply = source.forwarding_reply(question, ForwardingAnswer(destination=told.answer.destination), channel)
        except Exception:  # noqa: BLE001 - asked again as ASGI does, it says what is wrong
            return None
        age = told.age
        head = _head(reply.content_type, len(reply.body), None if age is None else age // 1_000_000)
        self.journal.add((project, channel.name, question, told, self._monotonic() - began, now))
        return head, reply.body

    def _channel_at(self, path: str) -> Channel | None:
        """Whose address ``path`` is; None if nobody's.

        A path that was right once is found by its own keyed hash, which tells as little of it as that of the
        addresses; a wrong one always takes the long way.
        """
        addresses = self._services.projects.addresses
        if addresses is not self._addresses:
            self._addresses, self._paths = addresses, {}
        row = self._paths.get(path)
        if row is None:
            parts = path.split("/")
            row = addresses.channel(parts[2], parts[3], parts[4]) if len(parts) == 5 else None
            if row is not None:
                self._paths[path] = row
        return row

    def _entry(self, answered: Answered) -> ForwardingEntry:
        """Count one answer and tell those who wait for it; the journal's row (X1)."""
        project, channel, question, told, took, _ = answered
        found, counts, name, services = told.answer, self._counts, project.row.name, self._services
        counts.forwarded[name, channel, "answered" if found.destination else "empty"] += 1
        counts.forwarding_took.observe(took)
        if told.age is not None:
            counts.fact_age.observe(told.age / 1_000_000)
        if found.employee is not None and services.popups is not None:
            services.popups.forwarded(name, question.call_id, found.employee)
        if found.employee is not None and services.fleet is not None:
            services.fleet.answered(name, question.call_id, found.employee)
        return entry_of(answered)

    async def _read(self, receive: Receive) -> bytes | Unread:
        watch = self.watch
        if watch.under_way >= MOST_UNDER_WAY:
            self._counts.refused["forward", "too many"] += 1
            return Unread.TOO_SLOW
        task = watch.enter()
        try:
            return await read_body(receive, MOST_BYTES)
        except asyncio.CancelledError:
            if not watch.was_late():
                raise
            return Unread.TOO_SLOW
        finally:
            watch.leave(task)

    async def _send(self, send: Send, reply: Reply, age: int | None) -> None:
        headers = _headers(reply.content_type, len(reply.body), None if age is None else age // 1_000_000)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    # --- the answer ---------------------------------------------------------------------------------------------

    async def _tell(
        self, project: LiveProject, channel: ChannelConfig, question: ForwardingQuestion, now: datetime, began: float
    ) -> Told:
        told = self._tell_now(project, channel, question, now)
        if told is not None:
            return told
        known = self.recent.find(project.row.name, channel.name, question.uuid) if question.uuid else None
        if known is not None:
            destination = known if isinstance(known, str) else await asyncio.shield(known)
            return Told(answer=Answer(destination=destination, reason=_ASKED_BEFORE), is_repeated=True)
        policy, history = project.policy, None
        assert policy is not None
        told = self._decide(project, policy, question.caller, now)
        if told.lacks_history and question.caller is not None:
            history = await self._remembered(project.row.name, question.caller)
            told = self._decide(project, policy, question.caller, now, history)
        if _asks_crm(policy, question, told):
            told = await self._ask_crm(project, channel, policy, question, told, now, began, history)
        if question.uuid and not told.is_copying:
            self.recent.keep(project.row.name, channel.name, question.uuid, told.answer.destination)
        return told

    def _tell_now(
        self, project: LiveProject, channel: ChannelConfig, question: ForwardingQuestion, now: datetime
    ) -> Told | None:
        """The answer, if nobody has to be waited for."""
        if question.uuid:
            known = self.recent.find(project.row.name, channel.name, question.uuid)
            if known is not None:
                if not isinstance(known, str):
                    return None
                return Told(answer=Answer(destination=known, reason=_ASKED_BEFORE), is_repeated=True)
        policy = project.policy
        if policy is None:
            return Told(answer=Answer(reason=Reason(code="no_policy")))
        told = self._decide(project, policy, question.caller, now)
        if (told.lacks_history and question.caller is not None) or _asks_crm(policy, question, told):
            return None
        if question.uuid and not told.is_copying:
            self.recent.keep(project.row.name, channel.name, question.uuid, told.answer.destination)
        return told

    def _decide(
        self, project: LiveProject, policy: Policy, caller: Phone | None, now: datetime, history: History | None = None
    ) -> Told:
        """The answer from what is known here, and the ``history`` if that lies elsewhere; microseconds.

        Of several CRMs the first counts in which the caller is somebody's, else the first that knows them (C8).
        """
        told_by, is_importing = "", False
        holders: tuple[Holder, ...] = ()
        seen: int | None = None
        lacks_history = False
        name = project.row.name
        if caller is not None:
            holders_of = self._services.directory.holders
            for connection in project.connections:
                row = connection.row
                found_here, seen_at = holders_of(name, row.name, caller, self._whose(connection))
                if found_here:
                    has_owner = is_owned(found_here)
                    if has_owner or not told_by:
                        holders, told_by, seen = found_here, row.name, seen_at
                    if has_owner:
                        break
                    continue
                if told_by:
                    continue
                if row.imported_at is None:
                    is_importing = True
                if seen_at is not None and (seen is None or seen_at < seen):
                    seen = seen_at
            if history is None and _needs_history(policy, holders):
                if self._services.store.is_sqlite:
                    history = self._history(name, caller)
                else:
                    lacks_history = True
        found = self._lately.answer(name, caller, holders, history, policy, now)
        age = None if seen is None else max(microseconds(now) - seen, 0)
        fleet = self._services.fleet
        is_copying = fleet is not None and not told_by and caller is not None and not fleet.copies.may_answer
        return Told(
            answer=found,
            connection=told_by,
            age=age,
            is_importing=is_importing or is_copying,
            is_copying=is_copying,
            lacks_history=lacks_history,
        )

    def _whose(self, connection: LiveConnection) -> Whose:
        """`_employees_of`, made once for each state of the connection."""
        key = (connection.row.project, connection.row.name)
        made_of, whose = self._known.get(key, (None, None))
        if made_of is not connection or whose is None:
            whose = _employees_of(connection)
            self._known[key] = (connection, whose)
        return whose

    def _history(self, project: str, caller: Phone) -> History:
        found = self._services.store.read_now(partial(clients.find_last_talked, project=project, phone=caller))
        return _NO_HISTORY if found is None else History(last_talked=found)

    async def _remembered(self, project: str, caller: Phone) -> History:
        """`_history` from a database over the network (H9), which nobody waits for while it is slow or away."""
        monotonic = self._services.clock.monotonic
        if monotonic() < self._remembers_from:
            return _NO_HISTORY
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                found = await self._services.store.read(
                    partial(clients.find_last_talked, project=project, phone=caller)
                )
        except (TimeoutError, SQLAlchemyError) as err:
            self._remembers_from = monotonic() + LEFT_ALONE.total_seconds()
            log.warning(
                "who last talked to callers is not told for %d s: %s",
                LEFT_ALONE.total_seconds(),
                err or "the database is slow",
                extra={"action": "forwarding.unremembered"},
            )
            return _NO_HISTORY
        return _NO_HISTORY if found is None else History(last_talked=found)

    async def _ask_crm(
        self,
        project: LiveProject,
        channel: ChannelConfig,
        policy: Policy,
        question: ForwardingQuestion,
        told: Told,
        now: datetime,
        began: float,
        history: History | None,
    ) -> Told:
        """Ask the CRMs themselves for a caller whom the directory does not know, within the budget (R3)."""
        caller = question.caller
        assert caller is not None
        if question.uuid:
            pending = self.recent.begin(project.name, channel.name, question.uuid)
        else:
            pending = None
        left = policy.forwarding.budget.total_seconds() - (self._services.clock.monotonic() - began)
        try:
            async with asyncio.timeout(max(left, 0.0)):
                ended = await asyncio.gather(
                    *(self._search(project, connection, caller) for connection in project.connections),
                    return_exceptions=True,
                )
            failures = [found for found in ended if isinstance(found, Exception)]
            for failure in failures:
                # one CRM that fails is as good as one that does not know the caller
                log.warning("a CRM could not be asked: %s", failure, extra={"action": "forwarding.unasked"})
            told = self._decide(project, policy, caller, now, history)
            told.asked_crm = "failed" if failures else "answered"
            told.is_copying &= bool(failures)
        except TimeoutError:
            told.asked_crm = "too slow"
        finally:
            if pending is not None and not pending.done():
                pending.set_result(told.answer.destination)
        return told

    async def _search(self, project: LiveProject, connection: LiveConnection, caller: Phone) -> None:
        account = self._services.accounts.get((project.name, connection.name))
        if account is None or not account.may_ask:
            return
        asked_at = self._services.clock.now()
        try:
            with urgency(Urgency.POPUP):
                changes = await account.session.search(Identity(phones=(caller,)))
        except VendorError as err:
            account.failed(err)
            raise
        await account.fold(changes, asked_at)


@lru_cache(maxsize=1024)
def _headers(content_type: str, length: int, age: int | None) -> tuple[tuple[bytes, bytes], ...]:
    """``age`` in seconds; remembered, since a feed vouches for all callers alike."""
    return (
        (b"content-type", content_type.encode()),
        (b"content-length", b"%d" % length),
        *SECURITY_HEADERS,
        *(() if age is None else ((b"x-hub-fact-age", b"%d" % age),)),
    )


@lru_cache(maxsize=1024)
def _head(content_type: str, length: int, age: int | None) -> bytes:
    """Status line and headers as they are sent."""
    return b"HTTP/1.1 200 OK\r\n" + b"".join(b"%b: %b\r\n" % pair for pair in _headers(content_type, length, age))


class _Employees(dict[EmployeeId | None, EmployeeId | None]):
    """Employees by responsible; whoever is not bound is told as they are, unless they may work no more."""

    def __init__(self, inactive: Container[EmployeeId]) -> None:
        super().__init__()
        self._inactive = inactive

    def __missing__(self, responsible: EmployeeId | None) -> EmployeeId | None:
        return None if responsible in self._inactive else responsible


def _employees_of(connection: LiveConnection) -> Whose:
    """Which of the project's employees a responsible of the CRM is; None for one whom the CRM lets work no more."""
    employees, inactive = connection.employees, connection.inactive
    known = _Employees(inactive)
    known[None] = None
    for user, employee in employees.items():
        known[crm_user(user)] = None if employee in inactive else employee
    return known.__getitem__


def _needs_history(policy: Policy, holders: tuple[Holder, ...]) -> bool:
    """True if nothing that the policy prefers to ``last_talked`` tells whose the caller is."""
    for role in policy.forwarding.order:
        if role == "last_talked":
            return True
        for holder in holders:
            if role == "contact":
                if holder.responsible is not None:
                    return False
            else:
                for deal in holder.open_deals:
                    if deal.responsible is not None:
                        return False
    return False


def _asks_crm(policy: Policy, question: ForwardingQuestion, told: Told) -> bool:
    """Whether the CRM itself is to be asked for a caller whom the directory does not know (R3)."""
    return (
        policy.forwarding.ask_crm
        and not told.connection
        and question.caller is not None
        and told.answer.reason.code == "new_client"
    )


def _empty_reply(source: AnswersForwarding, channel: ChannelConfig) -> Reply:
    try:
        return source.forwarding_reply(_UNREAD, ForwardingAnswer(), channel)
    except Exception:  # noqa: BLE001 - the plugin is broken; an empty body is empty in most forms
        return _EMPTY
