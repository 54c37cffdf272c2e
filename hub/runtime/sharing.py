"""A vendor that keeps a copy of our employees, contacts, deals and pipelines is told what changed (DESIGN 7).

What was told stands in the table ``shared`` as a hash, so an unchanged record costs the vendor nothing, and a lost
directory is told anew without harm. A contact goes under the hub's client id, whatever CRM it is from: the same id that
the vendor hears when it asks for a contact itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta

import httpx
from sqlalchemy import Connection

from hub.core.interaction import ClientId
from hub.core.phone import parse_phone
from hub.core.records import Contact, Deal, EmployeeId, RecordKind, RecordRef, crm_user
from hub.engine.projects import LiveConnection, LiveProject
from hub.errors import VendorError
from hub.messenger import (
    Entities,
    SharedContact,
    SharedDeal,
    SharedPipeline,
    SharedStage,
    SharedUser,
    SyncsEntities,
)
from hub.ports import ChannelConfig
from hub.runtime.known_client import shared_deal_id
from hub.runtime.services import Services
from hub.store import acquaintance, codec, shared
from hub.store.directory_file import Record
from hub.store.holdings import employee_of
from hub.store.shared import Shared

__all__ = ["Sharing"]

log = logging.getLogger(__name__)

#: records that are looked at in one go, and how many of these in one run: a first run of a large account takes several
PAGE = 200
MOST_PAGES = 50


#: how long an unwritten directory is believed to be unchanged: an import's child process writes unseen
QUIET = timedelta(minutes=10)


#: a request that began earlier may be folded later: so far back is looked again (hashes make that free), microseconds
_OVERLAP = 5 * 60 * 1_000_000


@dataclass(slots=True, kw_only=True)
class _Place:
    """How far a pass through the records is."""

    #: only what was read at this moment or later, microseconds since 1970
    since: int = 0
    #: the last id of this pass, "" at its beginning
    after: str = ""
    #: the newest moment of this pass
    newest: int = 0

    @classmethod
    def load(cls, text: str) -> _Place:
        return cls(**codec.load_json(text.encode())) if text else cls()

    def dump(self) -> str:
        return codec.dump_json(asdict(self)).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """A record as it is now; None once it was deleted."""

    id: str
    #: when that was read, microseconds since 1970
    seen: int
    record: Record | None


@dataclass(slots=True, kw_only=True)
class _Told:
    """What one page comes to: what to say, and what to remember of it once it was said."""

    users: list[SharedUser] = field(default_factory=list)
    contacts: list[SharedContact] = field(default_factory=list)
    deals: list[SharedDeal] = field(default_factory=list)
    pipelines: list[SharedPipeline] = field(default_factory=list)
    removed: dict[str, list[str]] = field(default_factory=dict)
    #: by kind
    rows: dict[str, list[Shared]] = field(default_factory=dict)

    def entities(self) -> Entities:
        return Entities(
            users=tuple(self.users),
            contacts=tuple(self.contacts),
            deals=tuple(self.deals),
            pipelines=tuple(self.pipelines),
            removed_users=tuple(self.removed.get("users", ())),
            removed_contacts=tuple(self.removed.get("contacts", ())),
            removed_deals=tuple(self.removed.get("deals", ())),
        )


class Sharing:
    """Tells every vendor that wants to know; run by the clock, paced by the channel's client."""

    def __init__(self, services: Services, *, http: Callable[[ChannelConfig], httpx.AsyncClient]) -> None:
        self._services, self._http = services, http
        #: two runs at once would tell everything twice
        self._turn = asyncio.Lock()
        self._away: set[tuple[str, str]] = set()
        #: the last join of clients that was followed, by channel
        self._joins: dict[tuple[str, str], int] = {}
        #: by channel, connection and kind: at which count of writes, and when, nothing was left to tell
        self._quiet: dict[tuple[str, ...], tuple[int, float]] = {}

    async def run(self) -> None:
        """One run over all channels; one whose vendor fails goes on at the next."""
        async with self._turn:
            await self._run()

    async def _run(self) -> None:
        for project in self._services.projects.all():
            if project.policy is None or not project.is_writing:
                continue
            for channel in project.channels.values():
                source = self._services.plugins.sources.get(channel.source)
                if not isinstance(source, SyncsEntities) or not source.shares(channel):
                    continue
                key = (project.name, channel.name)
                try:
                    await self._run_channel(project, channel, source)
                except VendorError as err:
                    if key not in self._away:
                        self._away.add(key)
                        log.warning("%s/%s cannot be told of our records: %s", *key, err,
                                    extra={"action": "sharing.away"})  # fmt: skip
                    continue
                if key in self._away:
                    self._away.discard(key)
                    log.info("%s/%s is told of our records again", *key, extra={"action": "sharing.back"})

    async def _run_channel(self, project: LiveProject, channel: ChannelConfig, source: SyncsEntities) -> None:
        wanted = source.shares(channel)
        users = _users(project)
        if "users" in wanted:
            await self._say(project, channel, source, await self._changed_users(project, channel, users))
        if "pipelines" in wanted:
            await self._say(project, channel, source, await self._changed_pipelines(project, channel))
        if "contacts" in wanted:
            await self._follow_joins(project, channel, source, users)
        # contacts before deals: a deal names its contacts
        for kind in (RecordKind.CONTACT, RecordKind.DEAL):
            if f"{kind.value}s" in wanted:
                for connection in project.connections:
                    await self._run_records(project, channel, source, connection, kind, users)

    # --- employees and pipelines --------------------------------------------------------------------------------

    async def _changed_users(
        self, project: LiveProject, channel: ChannelConfig, users: Mapping[str, SharedUser]
    ) -> _Told:
        known = await self._known(project, channel, "users")
        told = _Told()
        for id, user in users.items():
            row = Shared(id=id, digest=_digest(user))
            if _is_news(row, known.get(id)):
                told.users.append(user)
                told.rows.setdefault("users", []).append(row)
        told.removed["users"] = sorted(known.keys() - users.keys())
        return told

    async def _changed_pipelines(self, project: LiveProject, channel: ChannelConfig) -> _Told:
        known = await self._known(project, channel, "pipelines")
        found = [
            SharedPipeline(
                id=f"{connection.name}-{pipeline.id}",
                name=pipeline.name,
                stages=tuple(
                    SharedStage(id=f"{connection.name}-{stage.id}", name=stage.name)
                    for stage in pipeline.stages
                    if not stage.is_final
                ),
            )
            for connection in project.connections
            for pipeline in connection.catalogue.pipelines
        ]
        told = _Told()
        row = Shared(id="all", digest=_digest(*found))
        if found and _is_news(row, known.get("all")):
            told.pipelines = found
            told.rows["pipelines"] = [row]
        return told

    # --- clients who turned out to be one -----------------------------------------------------------------------

    async def _follow_joins(
        self, project: LiveProject, channel: ChannelConfig, source: SyncsEntities, users: Mapping[str, SharedUser]
    ) -> None:
        """Of two clients that were joined the vendor keeps the one that the hub keeps, with the chats of both (X12)."""
        key = (project.name, channel.name)
        after = self._joins.get(key, 0)
        last, gone, records = await self._services.store.read(lambda conn: shared.joined_since(conn, *key, after))
        if gone:
            await self._say(project, channel, source, _Told(removed={"contacts": gone}))
            for connection in project.connections:
                cards = self._cards(project, connection, records)
                await self._say(
                    project, channel, source, await self._contacts(project, channel, connection, cards, users)
                )
                deals = self._deals_on(project, connection, cards)
                await self._say(project, channel, source, await self._deals(project, channel, connection, deals, users))
        self._joins[key] = last

    def _cards(self, project: LiveProject, connection: LiveConnection, records: Iterable[str]) -> list[_Change]:
        beginning = shared.record_key(connection.name, "")
        ids = [record.removeprefix(beginning) for record in records if record.startswith(beginning)]
        return [self._now(project, connection, RecordRef(kind=RecordKind.CONTACT, id=id)) for id in ids]

    def _deals_on(self, project: LiveProject, connection: LiveConnection, cards: Iterable[_Change]) -> list[_Change]:
        ids = [id for card in cards if isinstance(card.record, Contact) for id in card.record.deal_ids]
        return [self._now(project, connection, RecordRef(kind=RecordKind.DEAL, id=id)) for id in dict.fromkeys(ids)]

    def _now(self, project: LiveProject, connection: LiveConnection, ref: RecordRef) -> _Change:
        return _Change(id=ref.id, seen=0, record=self._services.directory.get(project.name, connection.name, ref))

    # --- contacts and deals -------------------------------------------------------------------------------------

    async def _run_records(
        self,
        project: LiveProject,
        channel: ChannelConfig,
        source: SyncsEntities,
        connection: LiveConnection,
        kind: RecordKind,
        users: Mapping[str, SharedUser],
    ) -> None:
        """Page by page through what changed since the last complete pass; the mark goes when the directory goes."""
        directory, mark = self._services.directory, f"shared/{channel.name}/{kind.value}"
        key = (project.name, channel.name, connection.name, kind.value)
        writes, began = directory.writes, self._services.clock.monotonic()
        quiet = self._quiet.get(key)
        if quiet is not None and quiet[0] == writes and began - quiet[1] < QUIET.total_seconds():
            return
        place = _Place.load(directory.mark(project.name, connection.name, mark))
        for _ in range(MOST_PAGES):
            page = await self._page(project, connection, kind, place)
            for change in page:
                place.newest = max(place.newest, change.seen)
            if page:
                made = self._contacts if kind is RecordKind.CONTACT else self._deals
                await self._say(project, channel, source, await made(project, channel, connection, page, users))
                place.after = page[-1].id
            is_end = len(page) < PAGE
            if is_end:
                place = _Place(since=max(place.since, place.newest - _OVERLAP))
                self._quiet[key] = (writes, began)
            if page:
                directory.set_mark(project.name, connection.name, mark, place.dump())
            if is_end:
                return

    async def _page(
        self, project: LiveProject, connection: LiveConnection, kind: RecordKind, place: _Place
    ) -> list[_Change]:
        rows = await asyncio.to_thread(
            self._services.directory.read_since,
            project.name,
            connection.name,
            kind,
            since=place.since,
            after=place.after,
            limit=PAGE,
        )
        return [_Change(id=id, seen=seen, record=record) for id, seen, record in rows]

    async def _contacts(
        self,
        project: LiveProject,
        channel: ChannelConfig,
        connection: LiveConnection,
        page: Sequence[_Change],
        users: Mapping[str, SharedUser],
    ) -> _Told:
        now = self._services.clock.now()
        gone = {shared.record_key(connection.name, change.id) for change in page if change.record is None}

        def whose(conn: Connection) -> tuple[dict[str, ClientId], dict[str, Shared], dict[ClientId, _Keys]]:
            found: dict[str, ClientId] = {}
            keys: dict[ClientId, _Keys] = {}
            for change in page:
                if isinstance(change.record, Contact):
                    id = acquaintance.client_of_contact(conn, project.name, connection.name, change.record, now=now)
                    if id is not None:
                        found[change.id] = id
                        keys[id] = acquaintance.identity_of(conn, id).handles
            known = shared.list_some(conn, project.name, channel.name, "contacts", found.values(), gone)
            return found, known, keys

        clients, known, keys = await self._services.store.write(whose)
        told = _Told()
        told.removed["contacts"] = sorted(id for id, row in known.items() if row.record in gone)
        said: set[str] = set()
        for change in page:
            contact, id = change.record, clients.get(change.id)
            if not isinstance(contact, Contact) or id is None or id in said:
                continue
            record = shared.record_key(connection.name, contact.id)
            before = known.get(id)
            # of two cards of one client the first that was told stays
            if before is not None and before.record not in ("", record) and before.record not in gone:
                continue
            if not contact.phones and not keys[id]:
                continue
            of_vendor = SharedContact(
                id=id,
                name=contact.name,
                responsible=_responsible(project, connection, contact.responsible, users),
                phones=contact.phones,
                handles=keys[id],
                url=self._url(project, connection, contact),
            )
            row = Shared(id=id, digest=_digest(of_vendor), record=record)
            said.add(id)
            if _is_news(row, before):
                told.contacts.append(of_vendor)
                told.rows.setdefault("contacts", []).append(row)
        told.removed["contacts"] = [id for id in told.removed["contacts"] if id not in said]
        return told

    async def _deals(
        self,
        project: LiveProject,
        channel: ChannelConfig,
        connection: LiveConnection,
        page: Sequence[_Change],
        users: Mapping[str, SharedUser],
    ) -> _Told:
        """Open deals, and closed ones that the vendor knows as open; nothing else of the past is told."""
        gone = {shared.record_key(connection.name, change.id) for change in page if change.record is None}
        deals = [change.record for change in page if isinstance(change.record, Deal)]
        of_deals = {deal.id: self._contacts_of(project, connection, deal) for deal in deals}
        now = self._services.clock.now()

        def look(conn: Connection) -> tuple[dict[str, tuple[str, ...]], dict[str, str], dict[str, Shared]]:
            owners: dict[str, tuple[str, ...]] = {}
            for deal in deals:
                ids = [
                    acquaintance.client_of_contact(conn, project.name, connection.name, contact, now=now)
                    for contact in of_deals[deal.id]
                ]
                owners[deal.id] = tuple(dict.fromkeys(id for id in ids if id is not None))
            records = [shared.record_key(connection.name, deal.id) for deal in deals]
            promised = dict(shared.deal_ids(conn, project.name, channel.name, records))
            for deal in deals:
                record = shared.record_key(connection.name, deal.id)
                if not deal.is_open or record in promised:
                    continue
                free = [shared.free_promise(conn, project.name, channel.name, owner) for owner in owners[deal.id]]
                # one promise is one deal
                taken = set(promised.values())
                chosen = next((id for id in free if id and id not in taken), "")
                if chosen:
                    promised[record] = chosen
            told_as = [shared_deal_id(connection.name, deal.id, promised) for deal in deals]
            return owners, promised, shared.list_some(conn, project.name, channel.name, "deals", told_as, gone)

        owners, promised, known = await self._services.store.write(look)
        told = _Told()
        told.removed["deals"] = sorted(id for id, row in known.items() if row.record in gone)
        for deal in deals:
            id = shared_deal_id(connection.name, deal.id, promised)
            before = known.get(id)
            if not owners[deal.id] or (not deal.is_open and before is None):
                continue
            of_vendor = SharedDeal(
                id=id,
                name=deal.name,
                responsible=_responsible(project, connection, deal.responsible, users),
                contacts=owners[deal.id],
                url=self._url(project, connection, deal),
                is_open=deal.is_open,
            )
            row = Shared(id=id, digest=_digest(of_vendor), record=shared.record_key(connection.name, deal.id))
            if _is_news(row, before):
                told.deals.append(of_vendor)
                told.rows.setdefault("deals", []).append(row)
        return told

    def _contacts_of(self, project: LiveProject, connection: LiveConnection, deal: Deal) -> list[Contact]:
        directory = self._services.directory
        refs = [RecordRef(kind=RecordKind.CONTACT, id=id) for id in deal.contact_ids]
        found = [directory.get(project.name, connection.name, ref) for ref in refs]
        return [contact for contact in found if isinstance(contact, Contact)]

    def _url(self, project: LiveProject, connection: LiveConnection, record: Contact | Deal) -> str:
        account = self._services.accounts.get((project.name, connection.name))
        return "" if account is None else account.session.record_url(record.ref)

    # --- saying it ----------------------------------------------------------------------------------------------

    async def _known(self, project: LiveProject, channel: ChannelConfig, kind: str) -> dict[str, Shared]:
        return await self._services.store.read(lambda conn: shared.list_shared(conn, project.name, channel.name, kind))

    async def _say(self, project: LiveProject, channel: ChannelConfig, source: SyncsEntities, told: _Told) -> None:
        """Tell the vendor, then remember it: a crash between the two tells it once more, which changes nothing."""
        entities = told.entities()
        if entities.is_empty:
            return
        refused = await source.share(channel, self._http(channel), entities)
        now = self._services.clock.now()

        def remember(conn: Connection) -> None:
            for kind, rows in told.rows.items():
                kept = [
                    Shared(id=row.id, digest=row.digest, record=row.record, problem=refused.get(f"{kind}/{row.id}", ""))
                    for row in rows
                ]
                shared.put(conn, project.name, channel.name, kind, kept, now)
            for kind, ids in told.removed.items():
                shared.forget(conn, project.name, channel.name, kind, ids)

        await self._services.store.write(remember)
        for key, why in refused.items():
            log.warning("%s/%s was not told of %s: %s", project.name, channel.name, key, why,
                        extra={"action": "sharing.refused"})  # fmt: skip


_Keys = tuple[tuple[str, str], ...]


def _is_news(row: Shared, before: Shared | None) -> bool:
    return before is None or (before.digest, before.record) != (row.digest, row.record)


def _digest(*rows: SharedUser | SharedContact | SharedDeal | SharedPipeline) -> str:
    content = codec.dump_json([asdict(row) for row in rows])
    return hashlib.sha256(content).hexdigest()[:24]


def _users(project: LiveProject) -> dict[str, SharedUser]:
    """The policy's employees, and users of the CRMs whom nobody bound: they may be responsibles too."""
    found: dict[str, SharedUser] = {}
    policy = project.policy
    for employee in policy.employees if policy else ():
        assert policy is not None
        numbers: Iterable[str] = employee.mobiles
        phones = [parse_phone(text, policy.project.region, eight_is_seven=policy.eight_is_seven) for text in numbers]
        found[employee.id] = SharedUser(
            id=employee.id, name=employee.name, phone=next((phone for phone in phones if phone), None)
        )
    for connection in project.connections:
        for user in connection.catalogue.users:
            if user.is_active and user.id not in connection.employees:
                id = crm_user(user.id)
                found.setdefault(id, SharedUser(id=id, name=user.name))
    return found


def _responsible(
    project: LiveProject,
    connection: LiveConnection,
    responsible: EmployeeId | None,
    users: Mapping[str, SharedUser],
) -> str:
    """Somebody whom the vendor knows: the responsible, else the senior, else the first."""
    found = employee_of(responsible, connection.employees)
    if found is not None and found in users:
        return found
    senior = next(
        (one.id for one in (project.policy.employees if project.policy else ()) if "senior" in one.roles), None
    )
    return senior or next(iter(users), "")
