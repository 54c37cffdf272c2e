"""An open connection to one amoCRM account (`hub.ports.SinkSession`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from hub.core.interaction import Direction, Identity
from hub.core.plan import StepKey
from hub.core.records import Catalogue, RecordKind, RecordRef
from hub.kept import keep, kept
from hub.ports import Applied, Changes, ConnectionContext, Done, Write
from hub.ringing import CallSign
from hub_amocrm.account import Account
from hub_amocrm.auth import Credentials
from hub_amocrm.body import Bodies, popup_item
from hub_amocrm.client import AmoCrmClient
from hub_amocrm.config import AmoCrmSettings
from hub_amocrm.doubt import Doubt
from hub_amocrm.feed import Feed
from hub_amocrm.importing import Import
from hub_amocrm.mapping import CARDS, Reader
from hub_amocrm.problem import Sent
from hub_amocrm.profile import Profile
from hub_amocrm.reading import COLLECTIONS, Collected, Records, to_changes
from hub_amocrm.writing import Writer, request_group

__all__ = ["AmoCrmSession"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What depends on the profile of the account."""

    records: Records
    writer: Writer
    doubt: Doubt
    feed: Feed
    importing: Import


class AmoCrmSession:
    """One account. The profile is loaded once, from the connection's state or from the account itself."""

    def __init__(
        self, context: ConnectionContext, settings: AmoCrmSettings, on_profile: Callable[[Profile], None]
    ) -> None:
        self._context = context
        self._settings = settings
        self._on_profile = on_profile
        self._credentials = Credentials(context, settings)
        self._client = AmoCrmClient(context.http, self._credentials)
        self._account = Account(client=self._client, settings=settings, context=context)
        self._reader = Reader(region=context.region, eight_is_seven=context.eight_is_seven)
        self._parts: _Parts | None = None
        self._address = settings.address

    async def close(self) -> None:
        """Nothing is held: the HTTP client is the hub's."""

    async def connect(self) -> Catalogue:
        """Look at the account, make the field for our mark, subscribe webhooks (also those amoCRM switched off)."""
        return await self._survey(is_setup=True)

    async def catalogue(self) -> Catalogue:
        """Users, pipelines, fields and task types as they are now."""
        return await self._survey(is_setup=False)

    async def apply(self, writes: Sequence[Write]) -> Mapping[StepKey, Applied]:
        """One request, except: writes of several `request_group`s (one each); `update_contact` that adds numbers
        (one read before, 6.1); a company for a new contact (one link after, 12)."""
        return await (await self._get()).writer.apply(writes) if writes else {}

    def request_group(self, write: Write) -> str:
        """Writes of one kind whose groups differ need a request each; batch by kind and group."""
        return request_group(write)

    async def find_done(self, writes: Sequence[Write]) -> Mapping[StepKey, Done]:
        """Contacts and deals by the mark, calls by uniq, tasks and notes by content, changes by their effect."""
        return await (await self._get()).doubt.find_done(writes)

    async def barrier(self, kinds: Collection[RecordKind], since: datetime) -> Changes:
        """One request for each kind with at most 250 changes since, all kinds at once."""
        parts = await self._get()
        began = self._context.clock.now()
        found = Collected.empty()
        start = int((since - self._settings.clock_skew).timestamp())
        lists = [collection for kind, collection in COLLECTIONS.items() if kind in kinds]
        sweeps = await asyncio.gather(*(parts.records.changed(one, start) for one in lists), return_exceptions=True)
        for sweep in sweeps:
            if isinstance(sweep, BaseException):
                raise sweep
            found.add(sweep.records.values())
        return to_changes(found, self._reader, as_of=began)

    async def changes(self, cursor: str) -> AsyncIterator[Changes]:
        """Polls lists by change time and the event log; five requests when nothing happened."""
        async for page in (await self._get()).feed.changes(cursor):
            yield page

    async def import_all(self, cursor: str) -> AsyncIterator[Changes]:
        """Open deals and their contacts first; ends with what changed while it ran."""
        async for page in (await self._get()).importing.import_all(cursor):
            yield page

    async def read(self, refs: Sequence[RecordRef]) -> Changes:
        """A request for every kind and 100 ids."""
        return await (await self._get()).records.read(refs)

    async def search(self, identity: Identity) -> Changes:
        """Contacts and companies by query, then their deals and open tasks; lags behind writes (19)."""
        return await (await self._get()).records.search(identity)

    async def show_call(self, sign: CallSign) -> None:
        """POST /api/v2/events: the corner notice with the caller's card, for those who ring or have picked up (16).

        amoCRM has none for outgoing calls, and none that takes a notice away.
        """
        if sign.phase == "over" or sign.direction is not Direction.INBOUND:
            return
        item = popup_item(sign.phone, sign.users)
        await self._client.pop_up([item], Sent(operation="POST /api/v2/events"))

    def record_url(self, ref: RecordRef) -> str:
        """The card in the account's web pages; tasks and notes have none, so the list of tasks stands in."""
        word = {**CARDS, RecordKind.TASK: "", RecordKind.NOTE: ""}[ref.kind]
        return f"{self._address}/{word}/detail/{ref.id}" if word else f"{self._address}/todo/list/"

    async def _survey(self, *, is_setup: bool) -> Catalogue:
        survey = await self._account.survey(await self._credentials.address(), is_setup=is_setup)
        self._address = await self._credentials.address()
        await keep(self._context.state, "profile", survey.profile)
        self._use(survey.profile)
        catalogue = survey.catalogue
        return with_alarm(catalogue, self._credentials.alarm)

    async def _get(self) -> _Parts:
        if self._parts is None:
            profile = await kept(self._context.state, "profile", Profile)
            if profile is None:
                await self._survey(is_setup=False)
            else:
                self._address = await self._credentials.address()
                self._use(profile)
        assert self._parts is not None
        return self._parts

    def _use(self, profile: Profile) -> None:
        self._on_profile(profile)
        settings, clock = self._settings, self._context.clock
        bodies = Bodies(settings=settings, profile=profile)
        records = Records(client=self._client, settings=settings, reader=self._reader, has_filters=profile.has_filters)
        writer = Writer(client=self._client, settings=settings, bodies=bodies, records=records, clock=clock)
        doubt = Doubt(client=self._client, settings=settings, bodies=bodies, records=records, writer=writer)
        feed = Feed(client=self._client, settings=settings, records=records, clock=clock)
        importing = Import(
            client=self._client, settings=settings, records=records, feed=feed, open_stages=profile.open_stages
        )
        self._parts = _Parts(records=records, writer=writer, doubt=doubt, feed=feed, importing=importing)


def with_alarm(catalogue: Catalogue, alarm: str) -> Catalogue:
    """The catalogue, with what is wrong with the tokens although they still work."""
    return replace(catalogue, warnings=(alarm, *catalogue.warnings)) if alarm else catalogue
