"""An open connection to one Zoho CRM organisation (`hub.ports.SinkSession`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from hub.core.interaction import Identity
from hub.core.plan import StepKey
from hub.core.records import Catalogue, RecordKind, RecordRef
from hub.kept import keep, kept
from hub.ports import Applied, Changes, ConnectionContext, Done, Write
from hub_zoho.account import Account
from hub_zoho.auth import Credentials
from hub_zoho.body import Bodies
from hub_zoho.channel import Channels
from hub_zoho.client import ZohoClient
from hub_zoho.config import ZohoSettings
from hub_zoho.doubt import Doubt
from hub_zoho.feed import Feed
from hub_zoho.importing import Import
from hub_zoho.mapping import Reader, module_of
from hub_zoho.profile import Profile
from hub_zoho.reading import MODULES_OF, Records
from hub_zoho.wire import Row
from hub_zoho.writing import Writer, request_group

__all__ = ["ZohoSession"]

#: how a module is called in the address of a card
_TABS = {"Deals": "Potentials"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What depends on the profile of the organisation."""

    records: Records
    writer: Writer
    doubt: Doubt
    feed: Feed
    importing: Import


class ZohoSession:
    """One organisation. The profile is loaded once, from the connection's state or from Zoho itself."""

    def __init__(self, context: ConnectionContext, settings: ZohoSettings) -> None:
        self._context = context
        self._settings = settings
        self._client = ZohoClient(context.http, Credentials(context, settings))
        self._channels = Channels(client=self._client, settings=settings, context=context)
        self._account = Account(client=self._client, settings=settings, context=context, channels=self._channels)
        self._parts: _Parts | None = None

    async def close(self) -> None:
        """Nothing is held: the HTTP client is the hub's."""

    async def connect(self) -> Catalogue:
        """Look at the organisation and make the notification channel."""
        return await self._survey(is_setup=True)

    async def catalogue(self) -> Catalogue:
        """Users, pipelines and fields as they are now."""
        return await self._survey(is_setup=False)

    async def apply(self, writes: Sequence[Write]) -> Mapping[StepKey, Applied]:
        """One request, except: writes of several `request_group`s (one each); numbers or results that are added to a
        card, and leads of known contacts (one read before); deals with new contacts (contacts first); tags that are
        added (one request after); conversions (one each)."""
        return await (await self._get()).writer.apply(writes) if writes else {}

    def request_group(self, write: Write) -> str:
        """Writes of one kind whose groups differ need a request each; batch by kind and group."""
        return request_group(write)

    async def find_done(self, writes: Sequence[Write]) -> Mapping[StepKey, Done]:
        """New records by their mark, notes by what they say, changes by their effect."""
        return await (await self._get()).doubt.find_done(writes)

    async def barrier(self, kinds: Collection[RecordKind], since: datetime) -> Changes:
        """One request for each module with at most 200 changes since: leads are contacts and deals."""
        parts = await self._get()
        began = self._context.clock.now()
        start = int((since - self._settings.clock_skew).timestamp())
        modules = dict.fromkeys(module for kind in kinds for module in MODULES_OF.get(kind, ()))
        rows: list[Row] = []
        for module in modules:
            if module in parts.records.modules:
                rows += [row async for page in parts.records.changed(module, start) for row in page]
        return replace(parts.records.reader.changes(rows), as_of=began)

    async def changes(self, cursor: str) -> AsyncIterator[Changes]:
        """Polls lists by change time and the recycle bin: two requests for each module. Renews the channel in time."""
        parts = await self._get()
        await self._channels.ensure()
        async for page in parts.feed.changes(cursor):
            yield page

    async def import_all(self, cursor: str) -> AsyncIterator[Changes]:
        """Open deals and their contacts first; ends with what changed while it ran."""
        async for page in (await self._get()).importing.import_all(cursor):
            yield page

    async def read(self, refs: Sequence[RecordRef]) -> Changes:
        """A request for every module and 100 ids."""
        return await (await self._get()).records.read(refs)

    async def search(self, identity: Identity) -> Changes:
        """Contacts, leads and accounts by number and e-mail, then their deals and open tasks."""
        return await (await self._get()).records.search(identity)

    def record_url(self, ref: RecordRef) -> str:
        """The card in Zoho's pages."""
        module, record_id = module_of(ref)
        return self._settings.card_address.format(
            site=self._settings.site, module=_TABS.get(module, module), id=record_id
        )

    async def _survey(self, *, is_setup: bool) -> Catalogue:
        survey = await self._account.survey(is_setup=is_setup)
        await keep(self._context.state, "profile", survey.profile)
        self._use(survey.profile)
        return survey.catalogue

    async def _get(self) -> _Parts:
        if self._parts is None:
            profile = await kept(self._context.state, "profile", Profile)
            if profile is None:
                await self._survey(is_setup=False)
            else:
                self._use(profile)
        assert self._parts is not None
        return self._parts

    def _use(self, profile: Profile) -> None:
        settings, clock = self._settings, self._context.clock
        reader = Reader(
            region=self._context.region,
            profile=profile,
            closed_lead_statuses=settings.closed_lead_statuses,
            eight_is_seven=self._context.eight_is_seven,
        )
        bodies = Bodies(settings=settings, profile=profile)
        records = Records(client=self._client, settings=settings, profile=profile, reader=reader)
        writer = Writer(client=self._client, settings=settings, bodies=bodies, records=records, clock=clock)
        doubt = Doubt(client=self._client, settings=settings, bodies=bodies, records=records)
        feed = Feed(settings=settings, records=records, clock=clock, lead=self._context.lead)
        importing = Import(settings=settings, records=records, feed=feed, profile=profile)
        self._parts = _Parts(records=records, writer=writer, doubt=doubt, feed=feed, importing=importing)
