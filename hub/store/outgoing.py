"""Messages that go out: in their order, each kept until it is known what became of it (W9, W10)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from sqlalchemy import Connection, Row, and_, func, select, update

from hub.core.interaction import ClientId, Direction, Message
from hub.core.outgoing import Delivery, Outgoing, OutgoingState, Receipt
from hub.core.records import EmployeeId
from hub.store import codec
from hub.store.dialect import insert_or
from hub.store.messenger_schema import outgoing
from hub.store.schema import interaction

__all__ = [
    "SKEW",
    "Queued",
    "add",
    "adopt_echo",
    "count_states",
    "end",
    "find",
    "find_echo",
    "list_of_client",
    "list_troubled",
    "mark_sent",
    "new_outgoing_id",
    "next_of_chats",
    "own_name",
    "put_back",
    "recover",
    "settle",
    "take_receipt",
]


#: how far the messenger's clock may be off
SKEW = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A message of ours and how far it is."""

    sequence: int
    message: Outgoing
    state: OutgoingState
    delivery: Delivery | None
    external_id: str
    attempts: int
    not_before: datetime | None
    ended_at: datetime | None
    note: str

    @property
    def is_troubled(self) -> bool:
        """True if a person has to look at it."""
        return self.state in (OutgoingState.REJECTED, OutgoingState.IN_DOUBT) or self.delivery is Delivery.FAILED


def new_outgoing_id() -> str:
    """An id that no other hub gives: the vendor keeps it beside those of other integrations of the account."""
    return f"hub-{secrets.token_hex(12)}"


def add(conn: Connection, message: Outgoing) -> int | None:
    """Put ``message`` at the end of its channel's queue; its number, None if its id is known: nothing changes then."""
    made = conn.execute(
        insert_or(conn, outgoing)
        .values(
            id=message.id,
            project=message.project,
            channel=message.channel,
            client_id=message.client_id,
            body=_dump(message),
            created_at=message.created_at,
        )
        .on_conflict_do_nothing(index_elements=["id"])
        .returning(outgoing.c.sequence)
    ).first()
    return None if made is None else int(made.sequence)


def find(conn: Connection, project: str, id: str) -> Queued | None:
    """The message with the hub's id ``id``; None if the project has none."""
    row = conn.execute(select(outgoing).where(outgoing.c.project == project, outgoing.c.id == id)).first()
    return None if row is None else _queued(row)


def list_of_client(conn: Connection, id: ClientId) -> list[Queued]:
    """The client's messages, oldest first."""
    rows = conn.execute(select(outgoing).where(outgoing.c.client_id == id).order_by(outgoing.c.sequence))
    return [_queued(row) for row in rows]


def list_troubled(conn: Connection, project: str, limit: int = 100) -> list[Queued]:
    """What a person has to look at: refused, in doubt, or not brought to the client; newest first."""
    is_troubled = outgoing.c.state.in_([OutgoingState.REJECTED.value, OutgoingState.IN_DOUBT.value]) | (
        outgoing.c.delivery == Delivery.FAILED.value
    )
    rows = conn.execute(
        select(outgoing)
        .where(outgoing.c.project == project, is_troubled)
        .order_by(outgoing.c.sequence.desc())
        .limit(limit)
    )
    return [_queued(row) for row in rows]


def count_states(conn: Connection, project: str) -> Mapping[OutgoingState, int]:
    """How many of the project's messages stand in which state."""
    rows = conn.execute(
        select(outgoing.c.state, func.count()).where(outgoing.c.project == project).group_by(outgoing.c.state)
    )
    return {OutgoingState(row[0]): row[1] for row in rows}


# --- sending ----------------------------------------------------------------------------------------------------


def next_of_chats(conn: Connection, project: str, channel: str, now: datetime, limit: int = 50) -> list[Queued]:
    """The oldest unfinished message of each client that may be sent now: one client's messages keep their order."""
    first = (
        select(func.min(outgoing.c.sequence))
        .where(
            outgoing.c.project == project,
            outgoing.c.channel == channel,
            outgoing.c.state.in_([OutgoingState.WAITING.value, OutgoingState.SENT.value]),
        )
        .group_by(outgoing.c.client_id)
    )
    is_due = (outgoing.c.not_before.is_(None)) | (outgoing.c.not_before <= now)
    rows = conn.execute(
        select(outgoing).where(outgoing.c.sequence.in_(first), is_due).order_by(outgoing.c.sequence).limit(limit)
    )
    return [_queued(row) for row in rows]


def mark_sent(conn: Connection, sequence: int, now: datetime) -> datetime:
    """The request is about to leave; when it left the first time."""
    row = conn.execute(select(outgoing.c.sent_at).where(outgoing.c.sequence == sequence).with_for_update()).one()
    first: datetime = row.sent_at or now
    conn.execute(
        update(outgoing)
        .where(outgoing.c.sequence == sequence)
        .values(state=OutgoingState.SENT.value, sent_at=first, attempts=outgoing.c.attempts + 1)
    )
    return first


def put_back(conn: Connection, sequence: int, not_before: datetime, note: str, *, was_sent: bool) -> None:
    """Try again at ``not_before``; ``was_sent`` False takes the attempt back: it certainly never arrived."""
    values: dict[str, Any] = {"not_before": not_before, "note": note}
    if not was_sent:
        values |= {"state": OutgoingState.WAITING.value, "sent_at": None}
    conn.execute(update(outgoing).where(outgoing.c.sequence == sequence).values(**values))


def end(
    conn: Connection,
    sequence: int,
    state: OutgoingState,
    now: datetime,
    *,
    external_id: str = "",
    note: str = "",
) -> None:
    """The message is done, refused, or left in doubt."""
    values: dict[str, Any] = {"state": state.value, "ended_at": now, "note": note, "not_before": None}
    if external_id:
        values["external_id"] = external_id
    if state is OutgoingState.DONE:
        row = conn.execute(select(outgoing.c.delivery).where(outgoing.c.sequence == sequence).with_for_update()).one()
        values["delivery"] = row.delivery or Delivery.ACCEPTED.value
    conn.execute(update(outgoing).where(outgoing.c.sequence == sequence).values(**values))


def settle(conn: Connection, project: str, id: str, *, again: bool, now: datetime) -> bool:
    """A person decides about a message of `list_troubled`: send it ``again``, or let it rest; False if too late.

    Sent again it is a first attempt: the vendor may have forgotten the one before.
    """
    row = conn.execute(
        select(outgoing).where(outgoing.c.project == project, outgoing.c.id == id).with_for_update()
    ).first()
    known = None if row is None else _queued(row)
    if known is None or not known.is_troubled:
        return False
    values: dict[str, Any] = {
        "state": OutgoingState.DONE.value,
        "ended_at": now,
        "delivery": "",
        "note": "left as it is",
    }
    if again:
        values = {
            "state": OutgoingState.WAITING.value,
            "sent_at": None,
            "ended_at": None,
            "not_before": None,
            "delivery": "",
            "external_id": "",
            "note": "",
        }
    conn.execute(update(outgoing).where(outgoing.c.sequence == known.sequence).values(**values))
    return True


def recover(conn: Connection, project: str, channel: str) -> int:
    """After a stop: what had left is looked at at once instead of waiting for its pause; how many there are."""
    return conn.execute(
        update(outgoing)
        .where(
            outgoing.c.project == project,
            outgoing.c.channel == channel,
            outgoing.c.state == OutgoingState.SENT.value,
        )
        .values(not_before=None)
    ).rowcount


# --- what the vendor tells --------------------------------------------------------------------------------------


def take_receipt(conn: Connection, project: str, channel: str, receipt: Receipt) -> Queued | None:
    """Note what became of a message; the message as it was, None if it is not ours or nothing is new."""
    row = conn.execute(
        select(outgoing)
        .where(
            outgoing.c.project == project,
            outgoing.c.channel == channel,
            outgoing.c.external_id == receipt.external_id,
        )
        .with_for_update()
    ).first()
    if row is None:
        return None
    known = _queued(row)
    if known.delivery is not None and known.delivery.rank >= receipt.delivery.rank:
        return None
    values: dict[str, Any] = {"delivery": receipt.delivery.value}
    if receipt.problem:
        values["note"] = receipt.problem
    conn.execute(update(outgoing).where(outgoing.c.sequence == known.sequence).values(**values))
    return known


def find_echo(conn: Connection, message: Outgoing) -> Message | None:
    """A message of ours that the vendor told of itself: same client, same content, since ``message`` first left.

    One that another message of the queue accounts for is not looked at.
    """
    if message.sent_at is None:
        return None
    taken = select(outgoing.c.external_id).where(
        outgoing.c.project == message.project, outgoing.c.channel == message.channel, outgoing.c.external_id != ""
    )
    rows = conn.execute(
        select(interaction.c.id, interaction.c.body)
        .where(
            interaction.c.project == message.project,
            interaction.c.channel == message.channel,
            interaction.c.client_id == message.client_id,
            interaction.c.kind == "message",
            interaction.c.started_at >= message.sent_at - SKEW,
            interaction.c.external_id.not_in(taken),
        )
        .order_by(interaction.c.sequence)
    )
    for row in rows:
        found = codec.load_interaction(row.body)
        if isinstance(found, Message) and found.direction is Direction.OUTBOUND and _says_the_same(found, message):
            return found
    return None


def adopt_echo(conn: Connection, project: str, channel: str, found: Message) -> bool:
    """True if ``found`` is what the vendor tells of a message that is in the journal under our own name for it.

    Such a one was answered "repeated", without the vendor's id; from now on it bears that id.
    """
    if found.direction is not Direction.OUTBOUND:
        return False
    rows = conn.execute(
        select(outgoing)
        .where(
            outgoing.c.project == project,
            outgoing.c.channel == channel,
            outgoing.c.state == OutgoingState.DONE.value,
            outgoing.c.external_id == "",
            outgoing.c.sent_at <= found.started_at + SKEW,
            outgoing.c.ended_at >= found.started_at - SKEW,
        )
        .order_by(outgoing.c.sequence)
    )
    for row in rows:
        message = _queued(row).message
        if message.chat not in found.client.handles or not _says_the_same(found, message):
            continue
        ours = and_(
            interaction.c.project == project,
            interaction.c.channel == channel,
            interaction.c.external_id == own_name(message),
        )
        kept = conn.execute(select(interaction.c.id, interaction.c.body).where(ours)).first()
        if kept is None:
            continue
        conn.execute(update(outgoing).where(outgoing.c.sequence == row.sequence).values(external_id=found.external_id))
        told = replace(codec.load_interaction(kept.body), external_id=found.external_id)
        conn.execute(
            update(interaction)
            .where(interaction.c.id == kept.id)
            .values(external_id=found.external_id, body=codec.dump_interaction(told))
        )
        return True
    return False


def own_name(message: Outgoing) -> str:
    """What the journal calls a message of which the vendor told no id."""
    return f"sent/{message.id}"


def _says_the_same(found: Message, message: Outgoing) -> bool:
    """The text is the same; a file has the same address, or under the vendor's own address the same name."""
    if message.text:
        return found.text.strip() == message.text.strip()
    told = found.parameters.get("content_url", "")
    if message.content_url in (told, found.text.strip()):
        return True
    name = _file_name(message.content_url)
    return bool(name) and name == _file_name(told)


def _file_name(address: str) -> str:
    parts = urlsplit(address)
    named = parse_qs(parts.query).get("filename")
    return named[0] if named else unquote(parts.path.rpartition("/")[2])


# --- rows -------------------------------------------------------------------------------------------------------


def _dump(message: Outgoing) -> bytes:
    return codec.dump_json(
        {
            "chat": list(message.chat),
            "account": message.account,
            "text": message.text,
            "content_url": message.content_url,
            "author": message.author,
            "is_automatic": message.is_automatic,
        }
    )


def _queued(row: Row[Any]) -> Queued:
    body = codec.load_json(row.body)
    kind, chat_id = body.pop("chat")
    author = body.pop("author")
    message = Outgoing(
        id=row.id,
        project=row.project,
        channel=row.channel,
        client_id=ClientId(row.client_id),
        chat=(kind, chat_id),
        author=EmployeeId(author) if author else None,
        created_at=row.created_at,
        sent_at=row.sent_at,
        **body,
    )
    return Queued(
        sequence=row.sequence,
        message=message,
        state=OutgoingState(row.state),
        delivery=Delivery(row.delivery) if row.delivery else None,
        external_id=row.external_id,
        attempts=row.attempts,
        not_before=row.not_before,
        ended_at=row.ended_at,
        note=row.note,
    )
