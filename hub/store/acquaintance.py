"""By what a client is known besides the keys of one enquiry: all their keys, and the contacts that the hub made.

A messenger often tells no phone and no e-mail, so the CRM's contact holds no key of the client: the hub's own memory
is all that leads from the second message to the contact of the first (J4).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, or_, select

from hub.core.interaction import ClientId, Identity
from hub.core.phone import Phone
from hub.core.records import Contact, RecordKind, RecordRef
from hub.core.revise import StepState
from hub.store import clients
from hub.store.prepared import Prepared
from hub.store.schema import client, client_key, step

__all__ = ["client_of_contact", "find_client", "identity_of", "made_contacts", "maker_of", "without_keys"]

_IS_THEIRS = or_(client.c.id == bindparam("of_client"), client.c.merged_into == bindparam("of_client"))
_MADE = Prepared(
    select(step.c.record_id)
    .join(client, client.c.id == step.c.client_id)
    .where(
        _IS_THEIRS,
        step.c.connection == bindparam("of_connection"),
        step.c.kind == "create_contact",
        step.c.state == StepState.DONE.value,
        step.c.record_id.is_not(None),
    )
    .order_by(step.c.id)
)


def made_contacts(conn: Connection, id: ClientId, connection: str) -> tuple[RecordRef, ...]:
    """The contacts that the hub made for the client in this CRM, oldest first; the CRM may have deleted them."""
    rows = _MADE.rows(conn, of_client=id, of_connection=connection)
    return tuple(RecordRef(kind=RecordKind.CONTACT, id=row[0]) for row in rows)


def without_keys(conn: Connection, identity: Identity, id: ClientId, connection: str) -> tuple[RecordRef, ...]:
    """`made_contacts` for an enquiry that tells nothing by which a CRM could find its client; () for any other."""
    return () if identity.phones or identity.emails or identity.fields else made_contacts(conn, id, connection)


def find_client(conn: Connection, project: str, identity: Identity) -> ClientId | None:
    """Whose the first known of these keys is; a look-up, so nothing is joined and nobody made."""
    keys: list[tuple[str, str]] = [*identity.handles, *(("phone", phone) for phone in identity.phones)]
    keys += [("email", email.strip().lower()) for email in identity.emails]
    for kind, value in keys:
        row = conn.execute(
            select(client.c.id, client.c.merged_into)
            .join(client_key, client_key.c.client_id == client.c.id)
            .where(client_key.c.project == project, client_key.c.kind == kind, client_key.c.value == value)
        ).first()
        if row is not None:
            return ClientId(row.merged_into or row.id)
    return None


_MAKER = Prepared(
    select(step.c.client_id).where(
        step.c.project == bindparam("of_project"),
        step.c.connection == bindparam("of_connection"),
        step.c.kind == "create_contact",
        step.c.record_id == bindparam("of_record"),
    )
)


def maker_of(conn: Connection, project: str, connection: str, contact: str) -> ClientId | None:
    """For whom the hub made the CRM's contact; None for one that it did not make."""
    row = _MAKER.first(conn, of_project=project, of_connection=connection, of_record=contact)
    return None if row is None else _kept(conn, ClientId(row[0]))


def client_of_contact(
    conn: Connection, project: str, connection: str, contact: Contact, *, now: datetime
) -> ClientId | None:
    """Whose card ``contact`` is, in the caller's transaction; one with a number or e-mail gets a client of its own.

    Nobody is joined by this: the CRM's cards may share numbers, and only an enquiry tells who one person is (X12).
    None for a card that nothing identifies. A read-only transaction must know the client already.
    """
    keys = Identity(phones=contact.phones, emails=contact.emails)
    found = find_client(conn, project, keys)
    if found is not None:
        return found
    maker = maker_of(conn, project, connection, contact.id)
    if maker is not None:
        return maker
    if keys.is_empty:
        return None
    first = Identity(phones=contact.phones[:1], emails=() if contact.phones else contact.emails[:1], name=contact.name)
    return clients.resolve(conn, project, first, clients.JoinRules(), now=now).client_id


def _kept(conn: Connection, id: ClientId) -> ClientId:
    found = clients.find(conn, id)
    return id if found is None else found.id


def identity_of(conn: Connection, id: ClientId) -> Identity:
    """Everything by which the client is known, of all channels together; keys that only count together are left out."""
    name: str = conn.execute(select(client.c.name).where(client.c.id == id)).scalar_one_or_none() or ""
    phones: list[Phone] = []
    emails: list[str] = []
    handles: list[tuple[str, str]] = []
    fields: dict[str, str] = {}
    rows: Sequence[tuple[str, str]] = [
        (row.kind, row.value)
        for row in conn.execute(
            select(client_key.c.kind, client_key.c.value)
            .where(client_key.c.client_id == id)
            .order_by(client_key.c.created_at, client_key.c.kind, client_key.c.value)
        )
    ]
    for kind, value in rows:
        if "&" in kind:
            continue
        if kind == "phone":
            phones.append(Phone(value))
        elif kind == "email":
            emails.append(value)
        elif kind.startswith("field:"):
            fields[kind.removeprefix("field:")] = value
        else:
            handles.append((kind, value))
    return Identity(phones=tuple(phones), emails=tuple(emails), handles=tuple(handles), name=name, fields=fields)
