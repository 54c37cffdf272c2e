"""What the widget's buttons do: take, create, a task, close, move, write (U1). Each request is done once."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from starlette.responses import JSONResponse, Response

from hub.core.interaction import ClientId, InteractionId
from hub.core.phone import Phone
from hub.core.records import EmployeeId
from hub.errors import AccessError
from hub.runtime.acting import Acting, Done, Impossible, Unknown
from hub.runtime.client_records import ClientRecords, Reader, records_of_number, records_of_whom
from hub.runtime.ringing import Ringing
from hub.runtime.telling import note_text
from hub.web.widget.ability import framing_channel, record_url, ringing_channel
from hub.web.widget.refusal import Refusal
from hub.web.widget.visitor import Handler, Visitor

__all__ = ["call", "call_number", "complete", "create", "frame", "reschedule", "take", "task"]

#: what can be made that is missing
MAKES = frozenset({"contact", "deal"})
#: how far ahead a deadline may lie
FAR = 10 * 366


def _acting(visitor: Visitor) -> Acting:
    return Acting(
        services=visitor.services,
        live=visitor.project,
        connection=visitor.connection,
        policy=visitor.policy,
        employee=visitor.me,
        request=_request(visitor),
    )


def _request(visitor: Visitor) -> str:
    """The browser's id of the request: the same one twice is one. Raises Refusal."""
    try:
        return str(uuid.UUID(visitor.text("request", most=64)))
    except ValueError:
        raise Refusal("bad_field", field="request") from None


def _client(visitor: Visitor) -> ClientId:
    return ClientId(visitor.path("client"))


def _interaction(visitor: Visitor) -> InteractionId | None:
    return InteractionId(found) if (found := visitor.text("interaction", most=64)) else None


def _moment(visitor: Visitor, name: str) -> datetime | None:
    """An instant of the body, with its zone, not yet over. Raises Refusal."""
    text = visitor.text(name, most=64)
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal("bad_field", field=name) from None
    now = visitor.services.clock.now()
    if found.tzinfo is None or not now < found or (found - now).days > FAR:
        raise Refusal("bad_field", field=name)
    return found.astimezone(UTC)


def answered(handler: Handler) -> Handler:
    """``handler`` with what is not there told as 404, and what cannot be as 409."""

    async def guarded(visitor: Visitor) -> Response:
        try:
            return await handler(visitor)
        except Unknown:
            raise Refusal("not_found") from None
        except Impossible as err:
            raise Refusal(err.code) from None
        except AccessError:
            raise Refusal("may_not") from None

    return guarded


@answered
async def take(visitor: Visitor) -> Response:
    """POST /clients/{client}/take"""
    return _told(visitor, await _acting(visitor).take(_client(visitor), _interaction(visitor)))


@answered
async def create(visitor: Visitor) -> Response:
    """POST /clients/{client}/create"""
    what = visitor.body.get("what")
    if not isinstance(what, list) or not what or not all(isinstance(one, str) and one in MAKES for one in what):
        raise Refusal("bad_field", field="what")
    done = await _acting(visitor).create(
        _client(visitor), frozenset(what), name=visitor.text("name", most=255), interaction=_interaction(visitor)
    )
    return _told(visitor, done)


@answered
async def task(visitor: Visitor) -> Response:
    """POST /clients/{client}/task"""
    done = await _acting(visitor).call_back_task(
        _client(visitor),
        text=visitor.text("text"),
        due=_moment(visitor, "due"),
        interaction=_interaction(visitor),
    )
    return _told(visitor, done)


@answered
async def complete(visitor: Visitor) -> Response:
    """POST /tasks/{entity}/{task}/complete"""
    return _told(visitor, await _acting(visitor).complete(visitor.path("task"), visitor.text("text")))


@answered
async def reschedule(visitor: Visitor) -> Response:
    """POST /tasks/{entity}/{task}/reschedule"""
    due = _moment(visitor, "due")
    if due is None:
        raise Refusal("bad_field", field="due")
    return _told(visitor, await _acting(visitor).reschedule(visitor.path("task"), due))


@answered
async def call(visitor: Visitor) -> Response:
    """POST /clients/{client}/call: the telephony rings this employee and the client, once for a request."""
    records = await _records(visitor)
    card = records.contact or records.company
    known = dict.fromkeys([*records.identity.phones, *(card.phones if card else ())])
    asked = visitor.text("phone", most=40)
    # only the client's own numbers: this is no way to ring anybody at the company's cost
    phone = next((one for one in known if not asked or one == asked), None)
    return await _ring(visitor, records, phone)


@answered
async def call_number(visitor: Visitor) -> Response:
    """POST /call: the same for a number that was clicked anywhere in the CRM, if a card or an interaction has it."""
    phone = visitor.policy.phone(visitor.text("phone", most=40))
    if phone is None:
        raise Refusal("bad_field", field="phone")
    records = await visitor.services.store.read(
        lambda conn: records_of_number(conn, visitor.services, visitor.project, visitor.connection, phone)
    )
    if records is None:
        raise Refusal("unknown_number")
    return await _ring(visitor, records, phone)


async def _records(visitor: Visitor) -> ClientRecords:
    """Of the client of the address, also of one whom only a card of the CRM knows. Raises Refusal."""
    services, live = visitor.services, visitor.project
    records = await services.store.read(
        lambda conn: records_of_whom(conn, services, live, visitor.connection, visitor.path("client"))
    )
    if records is None:
        raise Refusal("not_found")
    return records


async def _ring(visitor: Visitor, records: ClientRecords, phone: Phone | None) -> Response:
    services, live, me, request = visitor.services, visitor.project, visitor.me, _request(visitor)
    policy, composer, found = visitor.policy, services.composer, ringing_channel(services, live)
    if not records.allows(Reader(employee=me), "write", policy, services.clock.now()):
        raise Refusal("may_not")
    if found is None or composer is None:
        raise Refusal("no_telephony")
    destination = policy.destinations.get(me, "")
    if not destination:
        raise Refusal("no_destination")
    if phone is None:
        raise Refusal("bad_field", field="phone")
    source, channel = found
    ringing = Ringing(services=services, live=live, source=source, channel=channel, http=composer.http(channel))
    client = next(iter(records.ids), None)
    await ringing.ring(request=request, client=client, phone=phone, employee=me, destination=destination)
    return _told(visitor, Done(state="done", said="call"))


@answered
async def frame(visitor: Visitor) -> Response:
    """GET /clients/{client}/frame: the dialogue in the messenger vendor's frame, as this employee; for one opening."""
    services, live, me = visitor.services, visitor.project, visitor.me
    policy, composer, found = visitor.policy, services.composer, framing_channel(services, live)
    records = await _records(visitor)
    if found is None or composer is None:
        raise Refusal("no_messenger")
    source, channel = found
    if not records.allows(Reader(employee=me), "write", policy, services.clock.now(), channel.name):
        raise Refusal("may_not")
    name = policy.names.get(EmployeeId(me), me)
    url = await source.frame_url(channel, composer.http(channel), staff_id=me, staff_name=name, client=records.identity)
    return JSONResponse({"url": url})


def _told(visitor: Visitor, done: Done) -> Response:
    """``{state, message, links}``"""
    t = visitor.t
    message = t(f"deed.{done.said}")
    if done.state == "waiting":
        message = f"{message} {t('deed.waiting')}"
    elif done.state == "failed":
        message = t("deed.failed", why=note_text(done.note, t, visitor.policy.names))
    url = record_url(visitor.services, visitor.project, visitor.connection)
    links = {name: url(ref) for name, ref in (("contact", done.contact), ("deal", done.deal)) if ref is not None}
    return JSONResponse(
        {"state": done.state, "message": message, "links": {name: link for name, link in links.items() if link}}
    )
