"""What the hub knows of a client at this moment, for replies that a vendor waits for (DESIGN 2.1, 7).

The local directory answers; no CRM is asked. At most one short write happens: a client whom nobody knows yet is given
an id, so that the vendor can be told one that stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import quote

from sqlalchemy import Connection

from hub.core.interaction import ClientId, Identity
from hub.core.records import Contact, Deal, EmployeeId, RecordRef
from hub.engine.projects import LiveConnection, LiveProject
from hub.messenger import KnownClient, KnownDeal, KnownEmployee, OwedQuestion
from hub.runtime.ingest import join_rules
from hub.runtime.services import Services
from hub.store import acquaintance, clients, shared
from hub.store.holdings import Holdings, employee_of

__all__ = ["KnownClients", "known_employee", "shared_deal_id"]

_NEVER = datetime.min.replace(tzinfo=UTC)


def shared_deal_id(connection: str, deal: str, promised: Mapping[str, str]) -> str:
    """Under which id a channel's vendor knows a deal: the promised one if there is one (`shared.deal_ids`)."""
    return promised.get(shared.record_key(connection, deal)) or f"{connection}-{deal}"


def known_employee(project: LiveProject, connection: LiveConnection, id: EmployeeId | None) -> KnownEmployee | None:
    """The employee as a reply names them; ``id`` may still be the CRM's user."""
    employee = employee_of(id, connection.employees)
    if employee is None:
        return None
    of_policy = project.policy.people.by_id.get(employee) if project.policy else None
    if of_policy is None:
        user = next((user for user in connection.catalogue.users if f"@{user.id}" == employee), None)
        return KnownEmployee(id=employee, name=user.name if user else "", email=user.email if user else "")
    return KnownEmployee(id=employee, name=of_policy.name, email=of_policy.email, staff_ids=of_policy.staff_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Met:
    """What the store knows of the client."""

    id: ClientId | None
    identity: Identity
    #: the contacts that the hub made, by connection
    made: Mapping[str, tuple[RecordRef, ...]]
    promised_deal_id: str = ""


class KnownClients:
    """Looks clients up, and says what is known in the words of `hub.messenger`."""

    #: how often the directory is looked at while a reply waits for the CRM
    LOOK_EVERY = 0.2

    def __init__(self, services: Services) -> None:
        self._services = services

    async def find(self, project: LiveProject, channel: str, question: OwedQuestion) -> KnownClient:
        """The client of ``question`` as known now, or once the CRM has the record, if the question waits for it."""
        if question.client.is_empty and not question.client_id:
            return KnownClient()
        until = self._services.clock.monotonic() + question.wait.total_seconds()
        while True:
            met = await self._meet(project, question)
            known = await self._describe(project, channel, met)
            has_record = bool(known.open_deals) if question.needs_deal else known.contact is not None
            if has_record or self._services.clock.monotonic() >= until:
                break
            await asyncio.sleep(self.LOOK_EVERY)
        if question.needs_deal and not known.open_deals and met.id is not None:
            id, now = met.id, self._services.clock.now()
            promised = await self._services.store.write(
                lambda conn: shared.promise_deal(conn, project.name, channel, id, now)
            )
            known = replace(known, promised_deal_id=promised)
        return known

    async def _meet(self, project: LiveProject, question: OwedQuestion) -> _Met:
        names = [connection.name for connection in project.connections]
        now = self._services.clock.now()

        def look(conn: Connection) -> _Met:
            id: ClientId | None = None
            if question.client_id:
                found = clients.find(conn, ClientId(question.client_id))
                id = found.id if found is not None and found.project == project.name else None
            if id is None and question.needs_client_id and not question.client.is_empty:
                rules = join_rules(project.policy)
                id = clients.resolve(conn, project.name, question.client, rules, now=now).client_id
            elif id is None:
                id = acquaintance.find_client(conn, project.name, question.client)
            if id is None:
                return _Met(id=None, identity=question.client, made={})
            made = {name: acquaintance.made_contacts(conn, id, name) for name in names}
            return _Met(id=id, identity=_together(question.client, acquaintance.identity_of(conn, id)), made=made)

        store = self._services.store
        # by indexed keys, while a vendor waits: nothing to queue for behind a thread (J1)
        return await (store.write(look) if question.needs_client_id else store.read(look, is_short=True))

    async def _describe(self, project: LiveProject, channel: str, met: _Met) -> KnownClient:
        base = KnownClient(
            client_id=met.id or "",
            name=met.identity.name,
            phones=met.identity.phones,
            emails=met.identity.emails,
            card_url=self._own_page(project, met.id),
        )
        for connection in project.connections:
            holdings = self._services.directory.lookup(
                project.name,
                connection.name,
                met.identity,
                field_ids=connection.key_field_ids,
                records=met.made.get(connection.name, ()),
            )
            if not holdings.is_empty:
                return await self._of_crm(project, channel, connection, holdings, base)
        return base

    async def _of_crm(
        self,
        project: LiveProject,
        channel: str,
        connection: LiveConnection,
        holdings: Holdings,
        base: KnownClient,
    ) -> KnownClient:
        still_open = sorted((deal for deal in holdings.deals if deal.is_open), key=_changed, reverse=True)
        keys = [shared.record_key(connection.name, deal.id) for deal in still_open]
        promised: Mapping[str, str] = {}
        if keys:
            promised = await self._services.store.read(
                lambda conn: shared.deal_ids(conn, project.name, channel, keys), is_short=True
            )
        deals = tuple(self._deal(project, connection, deal, promised) for deal in still_open)
        contact = _fullest(holdings.contacts, still_open)
        company = holdings.companies[0] if holdings.companies else None
        of_card = contact.responsible if contact else company.responsible if company else None
        card = contact.ref if contact else company.ref if company else None
        responsible = next((deal.responsible for deal in deals if deal.responsible), None)
        return replace(
            base,
            name=(contact.name if contact else company.name if company else "") or base.name,
            phones=tuple(dict.fromkeys((*base.phones, *(contact.phones if contact else ())))),
            emails=tuple(dict.fromkeys((*base.emails, *(contact.emails if contact else ())))),
            connection=connection.name,
            contact=contact.ref if contact else None,
            responsible=responsible or known_employee(project, connection, of_card),
            open_deals=deals,
            card_url=(self._url(project, connection, card) if card else "") or base.card_url,
        )

    def _deal(
        self, project: LiveProject, connection: LiveConnection, deal: Deal, promised: Mapping[str, str]
    ) -> KnownDeal:
        pipeline = next((one for one in connection.catalogue.pipelines if one.id == deal.pipeline_id), None)
        stage = next((one for one in pipeline.stages if one.id == deal.stage_id), None) if pipeline else None
        return KnownDeal(
            shared_id=shared_deal_id(connection.name, deal.id, promised),
            ref=deal.ref,
            connection=connection.name,
            name=deal.name,
            responsible=known_employee(project, connection, deal.responsible),
            pipeline=pipeline.name if pipeline else "",
            stage=stage.shown if stage else "",
            price=deal.price,
            url=self._url(project, connection, deal.ref),
        )

    def _url(self, project: LiveProject, connection: LiveConnection, ref: RecordRef) -> str:
        account = self._services.accounts.get((project.name, connection.name))
        return "" if account is None else account.session.record_url(ref)

    def _own_page(self, project: LiveProject, id: ClientId | None) -> str:
        public = self._services.settings.public_url
        return f"{public}/console/{quote(project.name)}/clients/{id}" if public and id else ""


def _together(one: Identity, other: Identity) -> Identity:
    return Identity(
        phones=tuple(dict.fromkeys((*one.phones, *other.phones))),
        emails=tuple(dict.fromkeys((*one.emails, *other.emails))),
        handles=tuple(dict.fromkeys((*one.handles, *other.handles))),
        name=other.name or one.name,
        fields={**other.fields, **one.fields},
    )


def _fullest(contacts: Sequence[Contact], still_open: Sequence[Deal]) -> Contact | None:
    """The contact of the newest open deal, else the first."""
    for deal in still_open:
        for contact in contacts:
            if contact.id in deal.contact_ids or deal.id in contact.deal_ids:
                return contact
    return contacts[0] if contacts else None


def _changed(deal: Deal) -> tuple[datetime, str]:
    return deal.updated_at or deal.created_at or _NEVER, deal.id
