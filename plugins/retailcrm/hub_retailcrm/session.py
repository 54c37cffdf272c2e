"""An open connection to one RetailCRM account (`hub.ports.SinkSession`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from hub.core.interaction import Identity
from hub.core.plan import StepKey
from hub.core.records import Catalogue, RecordKind, RecordRef
from hub.kept import keep, kept
from hub.ports import Applied, Changes, ConnectionContext, Done, Write
from hub.ringing import CallSign
from hub_retailcrm.account import Account
from hub_retailcrm.body import Bodies
from hub_retailcrm.client import RetailCrmClient
from hub_retailcrm.config import RetailCrmSettings
from hub_retailcrm.doubt import Doubt
from hub_retailcrm.feed import Feed
from hub_retailcrm.importing import Import
from hub_retailcrm.mapping import Reader
from hub_retailcrm.problem import Sent
from hub_retailcrm.profile import Profile
from hub_retailcrm.reading import LISTS, Collected, Records
from hub_retailcrm.writing import Writer, request_group

__all__ = ["RetailCrmSession"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What depends on the profile of the account."""

    records: Records
    writer: Writer
    doubt: Doubt
    feed: Feed
    importing: Import
    #: every status that the account knew when we looked
    statuses: frozenset[str]


class RetailCrmSession:
    """One account. The profile is loaded once, from the connection's state or from the account itself."""

    def __init__(self, context: ConnectionContext, settings: RetailCrmSettings) -> None:
        self._context, self._settings = context, settings
        self._client = RetailCrmClient(context.http, settings)
        self._account = Account(client=self._client, settings=settings, context=context)
        self._parts: _Parts | None = None
        self._strange: frozenset[str] = frozenset()

    async def close(self) -> None:
        """Nothing is held: the HTTP client is the hub's."""

    async def connect(self) -> Catalogue:
        """Look at the account and register the telephony module."""
        return await self._survey(is_setup=True)

    async def catalogue(self) -> Catalogue:
        """Users, order types with their statuses, and fields as they are now."""
        return await self._survey(is_setup=False)

    async def apply(self, writes: Sequence[Write]) -> Mapping[StepKey, Applied]:
        """One request for customers, orders and calls (batches), plus: one for each that fails of a batch; one reading
        of customers whom new orders copy; one for GA client ids. Everything else costs a request or two for each."""
        return await (await self._get()).writer.apply(writes) if writes else {}

    def request_group(self, write: Write) -> str:
        """Creates for different shops need a request each."""
        return request_group(write)

    async def find_done(self, writes: Sequence[Write]) -> Mapping[StepKey, Done]:
        """Customers and orders by ``externalId``, tasks and notes by content, changes by their effect."""
        return await (await self._get()).doubt.find_done(writes)

    async def barrier(self, kinds: Collection[RecordKind], since: datetime) -> Changes:
        """A request for each kind, and one for the records if there are any."""
        parts = await self._get()
        began = self._context.clock.now()
        found, gone = Collected(), set[RecordRef]()
        for kind, word in LISTS.items():
            if kind in kinds and word in parts.records.words:
                more, lost = await parts.feed.since(word, since)
                found.found |= more.found
                gone |= lost
        return found.changes(parts.records.reader, deleted=gone, as_of=began)

    async def changes(self, cursor: str) -> AsyncIterator[Changes]:
        """Polls the histories; four requests when nothing happened.

        An order in a status that was made since we looked at the account is read again once its group is known:
        whether it is open depends on that.
        """
        async for page in (await self._get()).feed.changes(cursor):
            known = (await self._get()).statuses | self._strange
            strange = [deal for deal in page.deals if deal.stage_id not in known]
            if not strange:
                yield page
                continue
            await self._survey(is_setup=False)
            # one that is in no reference stays as it is, and is not asked for again
            self._strange |= {deal.stage_id for deal in strange} - (await self._get()).statuses
            rest = tuple(deal for deal in page.deals if deal not in strange)
            yield replace(page, deals=rest, touched=(*page.touched, *(deal.ref for deal in strange)))

    async def import_all(self, cursor: str) -> AsyncIterator[Changes]:
        """Open orders with their customers first; ends with what changed while it ran."""
        async for page in (await self._get()).importing.import_all(cursor):
            yield page

    async def show_call(self, sign: CallSign) -> None:
        """POST /telephony/call/event: ``in`` or ``out`` shows the caller's card, ``hangup`` says how it ended (7)."""
        if self._settings.popup == "notification":
            return
        event = (await self._get()).writer.bodies.call_event(sign)
        await self._client.call_event(event, Sent(operation="POST telephony/call/event"))

    async def read(self, refs: Sequence[RecordRef]) -> Changes:
        """A request for every kind and 100 ids."""
        return await (await self._get()).records.read(refs)

    async def search(self, identity: Identity) -> Changes:
        """Customers by number and e-mail, then their orders and open tasks."""
        return await (await self._get()).records.search(identity)

    def record_url(self, ref: RecordRef) -> str:
        """The card in the account's web pages; a note has none, so the list of customers stands in."""
        settings = self._settings
        pages = {
            RecordKind.CONTACT: settings.customer_page,
            RecordKind.COMPANY: settings.corporate_page,
            RecordKind.DEAL: settings.order_page,
            RecordKind.TASK: settings.task_page,
            RecordKind.NOTE: "/customers",
        }
        return settings.address + pages[ref.kind].replace("{id}", ref.id)

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
        settings, context = self._settings, self._context
        reader = Reader(
            region=context.region,
            eight_is_seven=context.eight_is_seven,
            zone=profile.zone,
            won=profile.won,
            lost=profile.lost,
        )
        records = Records(client=self._client, settings=settings, reader=reader, has_corporate=profile.has_corporate)
        bodies = Bodies(settings=settings, profile=profile)
        writer = Writer(client=self._client, settings=settings, bodies=bodies, records=records, url_of=self.record_url)
        feed = Feed(client=self._client, settings=settings, records=records, clock=context.clock, lead=context.lead)
        importing = Import(settings=settings, records=records, feed=feed, open_statuses=profile.open)
        self._parts = _Parts(
            records=records,
            writer=writer,
            doubt=Doubt(writer=writer),
            feed=feed,
            importing=importing,
            statuses=frozenset({*profile.open, *profile.won, *profile.lost}),
        )
