"""Who is who: the keys by which a client is recognised, and joins that can be undone (DESIGN 2.2, X12)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import combinations, product
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from hub.core.interaction import ClientId, Identity
from hub.core.phone import Phone
from hub.core.records import EmployeeId
from hub.core.remark import remark
from hub.store import client_joins, codec, locks
from hub.store.client_joins import Join, list_joins, undo
from hub.store.engine import driver_connection
from hub.store.identifier import new_client_id
from hub.store.interactions import Stored
from hub.store.prepared import Prepared
from hub.store.schema import client, client_key

__all__ = [
    "Client",
    "ClientKey",
    "Join",
    "JoinRules",
    "Resolved",
    "add_caller",
    "find",
    "find_by_phone",
    "find_last_talked",
    "get",
    "keys_of",
    "list_joins",
    "own_keys_only",
    "resolve",
    "set_last_talked",
    "undo",
]

#: (kind, value): ("phone", "+380…"), ("email", …), (<handle kind>, …), ("field:<name>", …)
ClientKey: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRules:
    """When two identities are one person (J4, X12). A name never is a key (J7)."""

    #: any: one common key is enough (OR); all: every kind in ``kinds`` that the enquiry has must fit (AND)
    join: Literal["any", "all"] = "any"
    #: the kinds that must fit together under ``all``; other keys then count only where none of these is present
    kinds: tuple[str, ...] = ("phone", "email")
    #: under ``all``: a kind that the enquiry does not have is left out of the comparison instead of failing it
    ignore_absent: bool = False
    #: numbers of several people (a family, an office exchange): they never join anybody
    shared: frozenset[Phone] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A person outside, as the hub knows them over all channels."""

    id: ClientId
    project: str
    #: joined into another client
    merged_into: ClientId | None
    name: str
    last_talked: EmployeeId | None
    last_talked_at: datetime | None
    #: employees whose outgoing call has reached the client
    called_by: frozenset[EmployeeId]
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Whose interaction it is."""

    client_id: ClientId
    is_new: bool
    #: clients that were joined into this one by this very identity
    joined: tuple[ClientId, ...] = ()


def identity_keys(identity: Identity, rules: JoinRules) -> list[ClientKey]:
    """The keys of ``identity``, without the name; a shared number counts only where there is nothing else."""
    own: list[ClientKey] = [("phone", phone) for phone in identity.phones if phone not in rules.shared]
    own += [("email", email.strip().lower()) for email in identity.emails if email.strip()]
    own += [(kind, handle) for kind, handle in identity.handles if handle]
    own += [(f"field:{name}", value.strip()) for name, value in identity.fields.items() if value.strip()]
    keys = own or [("phone", phone) for phone in identity.phones]
    unique = list(dict.fromkeys(keys))
    return unique if rules.join == "any" else _together(unique, rules)


def _together(keys: list[ClientKey], rules: JoinRules) -> list[ClientKey]:
    """Under AND: one key for each combination of values, the fullest first, such as ("email&phone", "a@b +380…")."""
    by_kind: dict[str, list[str]] = {}
    for kind, value in keys:
        if kind in rules.kinds:
            by_kind.setdefault(kind, []).append(value)
    if not by_kind:
        return keys
    kinds = sorted(by_kind)
    sizes = range(len(kinds), 0, -1) if rules.ignore_absent else (len(kinds),)
    return [
        ("&".join(chosen), " ".join(values))
        for size in sizes
        for chosen in combinations(kinds, size)
        for values in product(*(by_kind[kind] for kind in chosen))
    ]


def find_owner(conn: Connection, project: str, identity: Identity, rules: JoinRules) -> ClientId | None:
    """The client who has any key of ``identity``, the oldest of several; None if nobody has. Changes nothing."""
    return min(_owners(conn, project, identity_keys(identity, rules)).values(), default=None)


def resolve(
    conn: Connection,
    project: str,
    identity: Identity,
    rules: JoinRules,
    *,
    now: datetime,
    current: ClientId | None = None,
) -> Resolved:
    """The client behind ``identity``, in the caller's transaction; clients that turn out to be one are joined.

    ``current`` is the client that an earlier part of the same interaction was given: a hidden number stays with it,
    and once the number is known it is joined with the number's owner. Without any key the client is new and is
    nobody else's, ever. Of joined clients the lowest (oldest) id stays.
    """
    locks.hold_arrivals(conn, project)
    here = None if current is None else _survivor(conn, current)
    keys = identity_keys(identity, rules)
    if not keys:
        return Resolved(client_id=here, is_new=False) if here else _new(conn, project, identity, now)
    owners = _owners(conn, project, keys)
    if rules.join == "any":
        found = set(owners.values())
    else:
        found = set(_owner_of_all(conn, keys, owners, rules))
    if here is not None:
        found.add(here)
    if not found:
        made = _new(conn, project, identity, now)
        _claim(conn, project, keys, made.client_id, now)
        return made
    kept, *others = sorted(found)
    joined = []
    for other in others:
        if client_joins.were_parted(conn, project, kept, other):
            continue
        client_joins.join(conn, project, kept=kept, joined=other, reason=_reason(owners, kept, other), now=now)
        joined.append(other)
    if here is not None and here != kept and here not in joined:
        kept = here
    # whoever has a key already keeps it
    _claim(conn, project, [key for key in keys if key not in owners], kept, now)
    if identity.name:
        conn.execute(update(client).where(client.c.id == kept, client.c.name == "").values(name=identity.name))
    return Resolved(client_id=kept, is_new=False, joined=tuple(joined))


def _owner_of_all(
    conn: Connection, keys: list[ClientKey], owners: Mapping[ClientKey, ClientId], rules: JoinRules
) -> Iterable[ClientId]:
    """Under AND: the owners of the fullest combinations that anybody has."""
    longest = keys[0][0].count("&")
    for size in range(longest, -1, -1):
        level = [key for key in keys if key[0].count("&") == size and key in owners]
        found = {owners[key] for key in level}
        if size < longest:
            # known by a part only: not if that client has the missing kinds with other values
            missing = [kind for kind in keys[0][0].split("&") if all(kind not in key[0].split("&") for key in level)]
            found = {owner for owner in found if not _has_kind(conn, owner, missing)}
        if found:
            return found
    return ()


def _has_kind(conn: Connection, owner: ClientId, kinds: list[str]) -> bool:
    return any(set(kind.split("&")) & set(kinds) for kind, _ in keys_of(conn, owner))


_OWNER = Prepared(
    select(client_key.c.client_id).where(
        client_key.c.project == bindparam("of_project"),
        client_key.c.kind == bindparam("by_kind"),
        client_key.c.value == bindparam("by_value"),
    )
)
_INSERT = Prepared(insert(client).inline(), columns=("id", "project", "name", "created_at"))
_CLAIM = Prepared(
    sqlite.insert(client_key).inline().on_conflict_do_nothing(),
    columns=("project", "kind", "value", "client_id", "created_at"),
    postgresql=postgresql.insert(client_key).inline().on_conflict_do_nothing(),
)


def _owners(conn: Connection, project: str, keys: list[ClientKey]) -> dict[ClientKey, ClientId]:
    found = {key: _OWNER.scalar(conn, of_project=project, by_kind=key[0], by_value=key[1]) for key in keys}
    return {key: ClientId(owner) for key, owner in found.items() if owner is not None}


def _new(conn: Connection, project: str, identity: Identity, now: datetime) -> Resolved:
    made = new_client_id(now)
    _INSERT.change(conn, id=made, project=project, name=identity.name, created_at=now)
    return Resolved(client_id=made, is_new=True)


def _claim(conn: Connection, project: str, keys: list[ClientKey], owner: ClientId, now: datetime) -> None:
    given = {"project": project, "client_id": owner, "created_at": now}
    _CLAIM.change_many(conn, [{"kind": kind, "value": value, **given} for kind, value in keys])


def _reason(owners: Mapping[ClientKey, ClientId], *ids: ClientId) -> str:
    """Which keys brought them together: kinds only, since the reason is shown and logged."""
    kinds = sorted({kind for (kind, _), owner in owners.items() if owner in ids})
    return remark("joined_by_keys", kinds=", ".join(kinds)) if kinds else remark("joined_by_enquiry")


_MERGED_INTO = Prepared(select(client.c.merged_into).where(client.c.id == bindparam("by_id")))


def _survivor(conn: Connection, id: ClientId) -> ClientId:
    found: str | None = _MERGED_INTO.scalar(conn, by_id=id)
    return ClientId(found) if found else id


# --- reading ----------------------------------------------------------------------------------------------------


_FIND = Prepared(
    select(
        client.c.id,
        client.c.project,
        client.c.merged_into,
        client.c.name,
        client.c.last_talked,
        client.c.last_talked_at,
        client.c.called_by,
        client.c.created_at,
    ).where(client.c.id == bindparam("by_id"))
)


def _client(row: Any) -> Client:
    id, project, merged_into, name, last_talked, last_talked_at, called_by, created_at = row
    return Client(
        id=ClientId(id),
        project=project,
        merged_into=ClientId(merged_into) if merged_into else None,
        name=name,
        last_talked=EmployeeId(last_talked) if last_talked else None,
        last_talked_at=last_talked_at,
        called_by=frozenset(EmployeeId(employee) for employee in codec.load_json(called_by)),
        created_at=created_at,
    )


def find(conn: Connection, id: ClientId) -> Client | None:
    """The client; of a joined one, the client into which it was joined."""
    row = _FIND.first(conn, by_id=id)
    found = None if row is None else _client(row)
    if found is not None and found.merged_into is not None:
        row = _FIND.first(conn, by_id=found.merged_into)
        return None if row is None else _client(row)
    return found


def get(conn: Connection, id: ClientId) -> Client:
    """`find` for a client that must exist. Raises LookupError."""
    found = find(conn, id)
    if found is None:
        raise LookupError(f"there is no client {id}")
    return found


def find_by_phone(conn: Connection, project: str, phone: Phone) -> Client | None:
    """The client whose number this is (under AND, the oldest of those who have it)."""
    row = conn.execute(
        select(client_key.c.client_id)
        .where(client_key.c.project == project, client_key.c.kind == "phone", client_key.c.value == phone)
        .limit(1)
    ).first()
    return None if row is None else find(conn, ClientId(row[0]))


_LAST_TALKED = (
    "SELECT coalesce(kept.last_talked, client.last_talked) FROM client_key"
    " JOIN client ON client.id = client_key.client_id"
    " LEFT JOIN client AS kept ON kept.id = client.merged_into"
    " WHERE client_key.project = ? AND client_key.kind = 'phone' AND client_key.value = ?"
)


def own_keys_only(conn: Connection, stored: Stored | None) -> Stored | None:
    """``stored`` without the keys of somebody from whom its client was parted: a person said so (X12)."""
    if stored is None:
        return None
    told = stored.interaction.client
    keys = identity_keys(told, JoinRules())
    foreign = client_joins.foreign_keys(conn, stored.interaction.project, stored.client_id, keys)
    if not foreign:
        return stored
    client = replace(
        told,
        phones=tuple(phone for phone in told.phones if ("phone", phone) not in foreign),
        emails=tuple(email for email in told.emails if ("email", email.strip().lower()) not in foreign),
        handles=tuple(handle for handle in told.handles if handle not in foreign),
        fields={name: value for name, value in told.fields.items() if (f"field:{name}", value.strip()) not in foreign},
    )
    return replace(stored, interaction=replace(stored.interaction, client=client))


def find_last_talked(conn: Connection, *, project: str, phone: Phone) -> EmployeeId | None:
    """Who last talked to the client whose number this is; microseconds on SQLite, where forwarding asks (R3)."""
    driver = driver_connection(conn)
    if driver is None:
        found = find_by_phone(conn, project, phone)
        return None if found is None else found.last_talked
    row = driver.execute(_LAST_TALKED, (project, phone)).fetchone()
    return None if row is None or row[0] is None else EmployeeId(row[0])


def keys_of(conn: Connection, id: ClientId) -> list[ClientKey]:
    """Everything by which the client is recognised."""
    rows = conn.execute(
        select(client_key.c.kind, client_key.c.value)
        .where(client_key.c.client_id == id)
        .order_by(client_key.c.kind, client_key.c.value)
    )
    return [(row[0], row[1]) for row in rows]


_SET_LAST_TALKED = Prepared(
    update(client)
    .where(
        client.c.id == bindparam("by_id"),
        (client.c.last_talked_at.is_(None)) | (client.c.last_talked_at <= bindparam("at")),
    )
    .values(last_talked=bindparam("employee"), last_talked_at=bindparam("at"))
)


def set_last_talked(conn: Connection, id: ClientId, employee: EmployeeId, at: datetime) -> None:
    """Remember who talked to the client, unless somebody did later."""
    _SET_LAST_TALKED.change(conn, by_id=id, employee=employee, at=at)


def add_caller(conn: Connection, id: ClientId, employee: EmployeeId) -> None:
    """Remember that the employee's outgoing call reached the client (A15)."""
    known = get(conn, id)
    if employee not in known.called_by:
        row = conn.execute(select(client.c.called_by).where(client.c.id == known.id).with_for_update()).one()
        callers = sorted({*codec.load_json(row.called_by), employee})
        conn.execute(update(client).where(client.c.id == known.id).values(called_by=codec.dump_json(callers)))
