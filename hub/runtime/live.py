"""Live events: one reading for all open streams of a process, and to each what is meant for its employee (DESIGN 8).

Events are rows; waking is only a wake-up. What was appended is read once, however many tabs are open, and put into
the queues of those whom it concerns. A stream whose reader is too slow ends: its browser comes back and catches up.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from hub.core.popup import PopupState, Preferences
from hub.core.records import EmployeeId
from hub.core.text import Language
from hub.engine.projects import LiveProject
from hub.language import translator
from hub.runtime.popup_view import popup_view
from hub.runtime.services import Services
from hub.store import codec, events, popup_preferences, popups, presence
from hub.store.events import Event
from hub.store.popups import CARD, DISMISSED, SHOWN, Kept, Told, load_told

__all__ = ["Live", "LiveEvent", "Viewer"]

log = logging.getLogger(__name__)

#: how often is looked without having been woken; a wake-up of another process may be lost
POLL = timedelta(seconds=1)
#: how often a process says that its tabs are still open, and how long one word of it counts
RENEW, PRESENT = timedelta(seconds=15), timedelta(seconds=40)
#: a tab that was closed may be reloading
LINGER = timedelta(seconds=8)
#: events that wait for one slow reader
MOST_QUEUED = 200
#: open streams of one employee, or of one account's administrators who are none; a browser keeps one for all its tabs
MOST_TABS = 20
#: what rings is shown to a tab that opens meanwhile; longer than that nothing rings
RINGS, TALKS = timedelta(minutes=3), timedelta(hours=2)
#: what was missed or written while no tab was open is shown by the next one
WAITS = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Whose stream it is."""

    project: str
    connection: str
    #: None for an administrator who is no employee: cards only
    employee: EmployeeId | None
    language: Language


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEvent:
    """One event as the browser gets it."""

    kind: str
    #: the event row's; 0 for what is no row
    id: int = 0
    #: JSON
    data: str = "{}"


@dataclass(slots=True, kw_only=True, eq=False)
class _Stream:
    viewer: Viewer
    #: the project as this stream last knew it: another object means that something changed
    project: LiveProject
    queue: asyncio.Queue[LiveEvent | None] = field(default_factory=lambda: asyncio.Queue(MOST_QUEUED + 1))

    def put(self, event: LiveEvent) -> None:
        """Give it to the reader; one who is far behind is cut off."""
        if self.queue.qsize() >= MOST_QUEUED:
            self.end()
        else:
            self.queue.put_nowait(event)

    def end(self) -> None:
        while not self.queue.empty():
            self.queue.get_nowait()
        self.queue.put_nowait(None)


@dataclass(slots=True, kw_only=True)
class _News:
    """What one reading found."""

    events: list[Event]
    preferences: dict[tuple[str, EmployeeId], Preferences]


class Live:
    """The open streams of one process."""

    def __init__(self, services: Services) -> None:
        self._services, self._store, self._clock = services, services.store, services.clock
        #: what a project offers an employee beside its CRM: calling back, writing; the web says it
        self.abilities: Callable[[LiveProject, EmployeeId], frozenset[str]] = lambda project, employee: frozenset()
        self._streams: set[_Stream] = set()
        self._by_employee: dict[tuple[str, EmployeeId], dict[_Stream, None]] = {}
        #: of administrators who are no employees, by project and connection
        self._of_others: dict[tuple[str, str], dict[_Stream, None]] = {}
        self._wakeup = asyncio.Event()
        #: everything up to here was read; None while nobody watches
        self._position: int | None = None
        #: ids of the last moments: on PostgreSQL they are read again, for ids are not given in the order of commits
        self._seen: dict[int, datetime] = {}
        self._process = uuid.uuid4().hex
        self._is_closing = False

    def __len__(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    def wake(self) -> None:
        """Events were appended, here or elsewhere; projects may have changed. Cheap, and never wrong."""
        self._wakeup.set()

    # --- streams ------------------------------------------------------------------------------------------------

    async def events(self, viewer: Viewer, after: int) -> AsyncGenerator[LiveEvent, None]:
        """What ``viewer`` is to see, from the event ``after`` on; ends when the hub stops or the reader is too slow.

        Raises LookupError if there is no such project any more.
        """
        project = self._services.projects.find(viewer.project)
        if project is None or not _is_staff(viewer, project):
            raise LookupError(viewer.project)
        stream = _Stream(viewer=viewer, project=project)
        if self._is_closing:
            return
        self._enter(stream)
        try:
            caught_up = await self._catch_up(stream, after)
            yield LiveEvent(kind="hello")
            known = {event.id for event in caught_up}
            for event in caught_up:
                yield event
            while (news := await stream.queue.get()) is not None:
                if news.id not in known or not news.id:
                    yield news
        finally:
            await self._leave(stream)

    def _enter(self, stream: _Stream) -> None:
        self._streams.add(stream)
        # whoever waited long because nobody watched now waits shorter
        self.wake()
        viewer = stream.viewer
        if viewer.employee is not None:
            own = self._by_employee.setdefault((viewer.project, viewer.employee), {})
        else:
            own = self._of_others.setdefault((viewer.project, viewer.connection), {})
        own[stream] = None
        if len(own) > MOST_TABS:
            next(iter(own)).end()

    async def _leave(self, stream: _Stream) -> None:
        self._streams.discard(stream)
        viewer = stream.viewer
        if viewer.employee is None:
            watching = self._of_others.get((viewer.project, viewer.connection), {})
            watching.pop(stream, None)
            if not watching:
                self._of_others.pop((viewer.project, viewer.connection), None)
            return
        key = (viewer.project, viewer.employee)
        others = self._by_employee.get(key, {})
        others.pop(stream, None)
        if not others:
            self._by_employee.pop(key, None)
        if any(other.viewer.connection == viewer.connection for other in others):
            return
        employee, until = viewer.employee, self._clock.now() + LINGER
        try:
            await self._store.write(
                lambda conn: presence.end(
                    conn, viewer.project, viewer.connection, employee, process=self._process, until=until
                )
            )
        except Exception as err:  # noqa: BLE001 - whatever the database says, the tab is closed
            log.warning("a closed tab was not noted: %s", err, extra={"action": "live.not_noted"})

    async def _catch_up(self, stream: _Stream, after: int) -> list[LiveEvent]:
        """What the stream does not know yet; from here on it hears everything."""
        viewer, now = stream.viewer, self._clock.now()
        employee = viewer.employee
        if employee is not None:
            await self._store.write(
                lambda conn: presence.begin(
                    conn,
                    viewer.project,
                    viewer.connection,
                    employee,
                    process=self._process,
                    until=now + PRESENT,
                )
            )

        def read(conn: Connection) -> tuple[int, list[Kept], Preferences]:
            if employee is None:
                return events.last_id(conn), [], Preferences()
            kept = popups.since(conn, viewer.project, after, now=now, recent=now - WAITS)
            return events.last_id(conn), kept, popup_preferences.get(conn, viewer.project, employee)

        last, kept, wanted = await self._store.read(read)
        if self._position is None:
            self._position = last
        found: list[LiveEvent] = []
        for one in kept if employee is not None else ():
            assert employee is not None
            if employee in one.dismissed or one.popup.of(employee) is None:
                if one.event_id > after:
                    found.append(_dismissal(one.popup.key, one.event_id))
            elif wanted.wants(one.popup.kind) and (one.event_id > after or _is_worth_showing(one, employee, now)):
                event = self._shown(stream, one.told, one.event_id, now)
                found += [event] if event else []
        return found

    # --- news ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read and hand out until cancelled."""
        renewed, self._is_closing = self._clock.monotonic(), False
        while True:
            try:
                async with asyncio.timeout(POLL.total_seconds() if self._streams else RENEW.total_seconds()):
                    await self._wakeup.wait()
            except TimeoutError:
                pass
            self._wakeup.clear()
            try:
                await self.look()
                if self._streams and self._clock.monotonic() - renewed >= RENEW.total_seconds():
                    renewed = self._clock.monotonic()
                    await self._renew()
            except Exception:
                # the database is away, or the like: the events are still there when it is back
                log.exception("live events cannot be read", extra={"action": "live.broken"})
                await asyncio.sleep(POLL.total_seconds())

    async def look(self) -> None:
        """Hand out what was appended since the last time."""
        if not self._streams:
            self._position = None
            return
        self._follow_staff()
        while self._position is not None:
            news = await self._store.read(self._read)
            for event in news.events:
                if event.id not in self._seen:
                    self._hand_out(event, news.preferences)
                self._seen[event.id] = event.at
                self._position = max(self._position, event.id)
            if len(news.events) < BATCH:
                break
        if len(self._seen) > 2 * BATCH:
            oldest = self._clock.now() - 3 * events.OVERLAP
            self._seen = {id: at for id, at in self._seen.items() if at >= oldest}

    def _read(self, conn: Connection) -> _News:
        projects = {stream.viewer.project for stream in list(self._streams)}
        found = events.read_after(conn, self._position or 0, projects=projects, limit=BATCH)
        preferences: dict[tuple[str, EmployeeId], Preferences] = {}
        asked: dict[str, set[EmployeeId]] = {}
        for event in found:
            if event.kind == SHOWN and event.id not in self._seen:
                here = {EmployeeId(one) for one in event.body["to"] if (event.project, one) in self._by_employee}
                asked.setdefault(event.project, set()).update(here)
        for project, employees in asked.items():
            for employee, wanted in popup_preferences.of_employees(conn, project, employees).items():
                preferences[project, employee] = wanted
        return _News(events=found, preferences=preferences)

    def _hand_out(self, event: Event, preferences: Mapping[tuple[str, EmployeeId], Preferences]) -> None:
        if event.kind == CARD:
            self._hand_out_card(event)
        elif event.kind in (SHOWN, DISMISSED):
            self._hand_out_popup(event, preferences)

    def _hand_out_popup(self, event: Event, preferences: Mapping[tuple[str, EmployeeId], Preferences]) -> None:
        here = {
            EmployeeId(one): self._by_employee[event.project, one]
            for one in event.body["to"]
            if (event.project, one) in self._by_employee
        }
        if event.kind == DISMISSED:
            for streams in here.values():
                for stream in list(streams):
                    stream.put(_dismissal(event.body["key"], event.id))
        elif here:
            told = load_told(event.body)
            for employee, streams in here.items():
                if preferences.get((event.project, employee), Preferences()).wants(told.popup.kind):
                    self._show(streams, told, event.id)

    def _hand_out_card(self, event: Event) -> None:
        for stream in list(self._streams):
            if stream.viewer.project == event.project:
                entities = [
                    {"entity": _ENTITY.get(kind, kind), "id": id}
                    for connection, kind, id in event.body["records"]
                    if connection == stream.viewer.connection
                ]
                if entities:
                    stream.put(LiveEvent(kind="card", id=event.id, data=_json({"entities": entities})))

    def _show(self, streams: Collection[_Stream], told: Told, id: int) -> None:
        now = self._clock.now()
        made: dict[Language, LiveEvent | None] = {}
        for stream in list(streams):
            language = stream.viewer.language
            if language not in made:
                made[language] = self._shown(stream, told, id, now)
            event = made[language]
            if event is not None:
                stream.put(event)

    def _shown(self, stream: _Stream, told: Told, id: int, now: datetime) -> LiveEvent | None:
        viewer = stream.viewer
        assert viewer.employee is not None
        abilities = self.abilities(stream.project, viewer.employee)
        view = popup_view(told, viewer.employee, stream.project, translator(viewer.language), abilities, now)
        return None if view is None else LiveEvent(kind="popup", id=id, data=_json(view))

    def _follow_staff(self) -> None:
        """Tell those whose project changed; who is no employee of it any more hears nothing more."""
        for stream in list(self._streams):
            project = self._services.projects.find(stream.viewer.project)
            if project is stream.project:
                continue
            if project is None or not _is_staff(stream.viewer, project):
                stream.put(LiveEvent(kind="staff"))
                stream.queue.put_nowait(None)
                continue
            before, stream.project = stream.project, project
            if _people(before) != _people(project):
                stream.put(LiveEvent(kind="staff"))

    async def _renew(self) -> None:
        now = self._clock.now()
        kept = {
            (stream.viewer.project, stream.viewer.connection, stream.viewer.employee)
            for stream in self._streams
            if stream.viewer.employee is not None
        }
        await self._store.write(lambda conn: presence.renew(conn, self._process, kept, now=now, until=now + PRESENT))

    def close(self) -> None:
        """End every stream at once, so that a restart waits for none; browsers come back by themselves."""
        self._is_closing = True
        for stream in list(self._streams):
            stream.end()


#: events of one reading
BATCH = 200
#: what the page calls a record
_ENTITY = {"deal": "lead"}


def _is_staff(viewer: Viewer, project: LiveProject) -> bool:
    if project.connection(viewer.connection) is None:
        return False
    return viewer.employee is None or (project.policy is not None and viewer.employee in project.policy.people.by_id)


def _people(project: LiveProject) -> tuple[object, ...]:
    return project.policy_version, tuple(connection.names for connection in project.connections)


def _is_worth_showing(kept: Kept, employee: EmployeeId, now: datetime) -> bool:
    """Whether a tab that has just been opened shows what it was never told of."""
    mine = kept.popup.of(employee)
    if mine is None or kept.updated_at is None:
        return False
    age = now - kept.updated_at
    match mine.state:
        case PopupState.RINGING:
            return age < RINGS
        case PopupState.TALKING:
            return age < TALKS
        case PopupState.MISSED | PopupState.NEW:
            return age < WAITS
        case PopupState.ANSWERED | PopupState.ENDED:
            return False


def _dismissal(key: str, id: int) -> LiveEvent:
    return LiveEvent(kind="dismiss", id=id, data=_json({"key": key}))


def _json(value: Any) -> str:
    return codec.dump_json(value).decode()
