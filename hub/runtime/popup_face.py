"""What the hub knows of the client of an interaction, at once and from the directory alone (DESIGN 8)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from hub.core.facts import Facts, establish
from hub.core.heard import legs_of
from hub.core.interaction import Attribution, Call, Chat, Form, Interaction
from hub.core.policy import Policy
from hub.core.records import Catalogue, Deal, EmployeeId, RecordRef
from hub.core.shown import LastContact, Shown, ShownDeal, ShownLink
from hub.core.snapshot import History
from hub.engine.projects import LiveConnection, LiveProject
from hub.runtime.services import Services
from hub.store import acquaintance, clients, interactions
from hub.store.holdings import Holdings, assemble
from hub.store.interactions import Stored
from hub.store.unclaimed import unclaimed_deals

__all__ = ["source_of", "view_of"]

_HIDDEN = Holdings()


def view_of(
    conn: Connection, services: Services, project: LiveProject, policy: Policy, stored: Stored, now: datetime
) -> tuple[Facts, Shown]:
    """The facts about an interaction and what a popup shows of its client; no CRM is asked.

    Of several CRMs the first counts that knows the client (C8).
    """
    own = clients.own_keys_only(conn, stored) or stored
    interaction = own.interaction
    connection, holdings = _known_by(conn, services, project, own)
    snapshot = assemble(
        holdings,
        connection=connection.name if connection else "",
        taken_at=now,
        catalogue=connection.catalogue if connection else Catalogue(),
        employees=connection.employees if connection else {},
        names=connection.names if connection else {},
        history=_history(conn, policy, connection, own),
    )
    if connection is not None:
        snapshot = replace(snapshot, inactive=connection.inactive)
    facts = establish(interaction, snapshot, policy, now)
    return facts, _shown(conn, services, project, connection, facts, own)


def source_of(attribution: Attribution) -> str:
    """Where the client came from, in as many words as were told."""
    utm = " / ".join(
        part for part in (attribution.utm_source, attribution.utm_medium, attribution.utm_campaign) if part
    )
    return attribution.source or utm or attribution.pool


def _known_by(
    conn: Connection, services: Services, project: LiveProject, stored: Stored
) -> tuple[LiveConnection | None, Holdings]:
    identity = stored.interaction.client
    for connection in project.connections:
        made = acquaintance.without_keys(conn, identity, stored.client_id, connection.name)
        holdings = services.directory.lookup(
            project.name, connection.name, identity, field_ids=connection.key_field_ids, records=made
        )
        if not holdings.is_empty:
            return connection, holdings
    return next(iter(project.connections), None), _HIDDEN


def _history(conn: Connection, policy: Policy, connection: LiveConnection | None, stored: Stored) -> History:
    if connection is None:
        return History()
    made = acquaintance.without_keys(conn, stored.interaction.client, stored.client_id, connection.name)
    return History(
        own_contacts=frozenset(ref.id for ref in made),
        unclaimed=unclaimed_deals(conn, stored.client_id, connection.name) if policy.uses_unsorted else frozenset(),
    )


def _shown(
    conn: Connection,
    services: Services,
    project: LiveProject,
    connection: LiveConnection | None,
    facts: Facts,
    stored: Stored,
) -> Shown:
    found, interaction = facts.client, stored.interaction
    contact, company = found.contact, found.company
    account = services.accounts.get((project.name, connection.name)) if connection else None

    def url(ref: RecordRef) -> str:
        return account.session.record_url(ref) if account else ""

    link = None
    if connection is not None and (contact or company):
        record = contact or company
        assert record is not None
        link = ShownLink(
            connection=connection.name,
            kind=record.ref.kind.value,
            id=record.id,
            name=record.name,
            url=url(record.ref),
        )
    page, referrer = _page(interaction)
    return Shown(
        client_id=stored.client_id,
        name=(contact.name if contact else "") or interaction.client.name or (company.name if company else ""),
        phone=next(iter(interaction.client.phones), "") or (next(iter(contact.phones), "") if contact else ""),
        is_known=not facts.is_new_client,
        company=company.name if company else "",
        contact=link,
        deal=_deal(connection, found.deal, url(found.deal.ref)) if connection and found.deal else None,
        source=source_of(facts.attribution),
        page=page,
        referrer=referrer,
        channel=facts.channel,
        line=(interaction.line or "") if isinstance(interaction, Call) else "",
        last_contact=_last_contact(conn, facts.policy, stored),
        responsible=facts.responsible,
        is_unclaimed=facts.is_unclaimed,
    )


def _deal(connection: LiveConnection, deal: Deal, url: str) -> ShownDeal:
    pipeline = next((one for one in connection.catalogue.pipelines if one.id == deal.pipeline_id), None)
    stage = next((one for one in pipeline.stages if one.id == deal.stage_id), None) if pipeline else None
    return ShownDeal(
        connection=connection.name,
        id=deal.id,
        name=deal.name,
        url=url,
        stage=stage.shown if stage else "",
        pipeline=pipeline.name if pipeline else "",
    )


def _page(interaction: Interaction) -> tuple[str, str]:
    attribution = interaction.attribution
    own = interaction.page if isinstance(interaction, Chat | Form) else ""
    return own or attribution.landing_page, attribution.referrer


def _last_contact(conn: Connection, policy: Policy, stored: Stored) -> LastContact | None:
    before = next(iter(interactions.list_of_client(conn, stored.client_id, before=stored.sequence, limit=1)), None)
    if before is None:
        return None
    who: EmployeeId | None = None
    for leg in legs_of(before.interaction):
        if leg.is_answered:
            who = policy.people.recognise(leg.destination) or who
    return LastContact(at=before.interaction.started_at, kind=before.interaction.kind, who=who)
