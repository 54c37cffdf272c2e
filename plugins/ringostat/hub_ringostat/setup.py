"""What the administrator copies into the Ringostat cabinet, in order (H12, R4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hub.ports import SetupHint

from .config import ReplyForm, RingostatSettings, RpcResult
from .mapping import Event

__all__ = ["setup_hints"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Webhook:
    event: str
    moment: str
    value: Event
    parameters: str
    why: str


_ALWAYS = "uniqueid, calldate, type, call_type"
_MARKS = (
    "utm_source, utm_medium, utm_campaign, utm_content, utm_term, client_id, landing, refferrer, remote_ip, pool_name"
)
_EMPLOYEE = "connected_with, staffid, employee_fio, employee_email, extension_number, department"
_INBOUND = f"{_ALWAYS}, caller, dst, scheme_name"
_ENDED = "disposition, duration, waiting, billsec, has_recording, recording_wav, call_card"

_WEBHOOKS = (
    _Webhook(
        event="Incoming call",
        moment="After the call",
        value=Event.AFTER,
        parameters=f"{_INBOUND}, {_ENDED}, {_EMPLOYEE}, {_MARKS}",
        why="the main one: everything that is written to the CRM comes from it",
    ),
    _Webhook(
        event="Outgoing call",
        moment="After the call",
        value=Event.OUTGOING_AFTER,
        parameters=f"{_ALWAYS}, caller, callee, outbound_number, {_ENDED}, staffid, employee_fio, employee_email, "
        "extension_number, department",
        why="calls that employees make",
    ),
    _Webhook(
        event="Incoming call",
        moment="Before the call",
        value=Event.BEFORE,
        parameters=f"{_INBOUND}, {_MARKS}",
        why="the popup while it rings",
    ),
    _Webhook(
        event="Incoming call",
        moment="On forwarding to a location",
        value=Event.FORWARDED,
        parameters=f"{_INBOUND}, {_EMPLOYEE}",
        why="tells who is being rung: the popup goes to them, and who did not answer is kept",
    ),
    _Webhook(
        event="Incoming call",
        moment="When the call is taken",
        value=Event.TAKEN,
        parameters=f"{_INBOUND}, {_EMPLOYEE}, {_MARKS}",
        why="moves the popup to who answered; needed if cards are to be made at pick-up",
    ),
    _Webhook(
        event="Incoming call",
        moment="After the call rating",
        value=Event.RATED,
        parameters="uniqueid, category_number, category_mark, employee_mark, staffid",
        why="the employee's mark of the call, if you use the rating menu",
    ),
    _Webhook(
        event="Outgoing call",
        moment="Before the call",
        value=Event.OUTGOING_BEFORE,
        parameters=f"{_ALWAYS}, caller, callee, outbound_number, staffid",
        why="the popup of an outgoing call; optional",
    ),
    _Webhook(
        event="Call processed by AI",
        moment="",
        value=Event.SUMMARISED,
        parameters="uniqueid, ai_call_type, short summary, client mood, employee mood, general mood, recommended "
        "actions, transcript",
        why="the summary becomes a note; optional, needs Ringostat AI",
    ),
    _Webhook(
        event="Form submitted on the site",
        moment="",
        value=Event.FORM,
        parameters=f"name, phone, email, form name, comment, page, {_MARKS}",
        why="site forms become enquiries; optional",
    ),
)


def setup_hints(settings: RingostatSettings, hook_url: str, forward_url: str) -> Sequence[SetupHint]:
    """The webhooks with their exact addresses and parameters, the webhook number, the scheme."""
    return (
        *(_webhook_hint(webhook, settings, hook_url) for webhook in _WEBHOOKS),
        *_forwarding_hints(settings, forward_url),
        *_SCHEME,
    )


def _webhook_hint(webhook: _Webhook, settings: RingostatSettings, hook_url: str) -> SetupHint:
    joint = "&" if "?" in hook_url else "?"
    moment = f"moment «{webhook.moment}», " if webhook.moment else ""
    return SetupHint(
        where=f"Integration > Webhooks > Add: event «{webhook.event}», {moment}method POST, data format json, address:",
        value=f"{hook_url}{joint}{settings.moment_parameter}={webhook.value}",
        note=f"Parameters to tick: {webhook.parameters}. Why: {webhook.why}.",
    )


def _forwarding_hints(settings: RingostatSettings, forward_url: str) -> tuple[SetupHint, ...]:
    where = "Virtual PBX > Webhook forwarding > Add, then Edit: "
    import_type = {ReplyForm.PLAIN: "http", ReplyForm.JSON: "json", ReplyForm.JSON_RPC: "json-rpc"}[settings.reply_form]
    hints = [
        SetupHint(where=f"{where}URL", value=forward_url),
        SetupHint(where=f"{where}HTTP request method", value="POST"),
        SetupHint(where=f"{where}Data submission type", value="json", note="http and json-rpc are read as well."),
        SetupHint(where=f"{where}Data import type", value=import_type, note="Must equal the channel's «Answer form»."),
    ]
    is_keyed = settings.reply_form is ReplyForm.JSON or (
        settings.reply_form is ReplyForm.JSON_RPC and settings.rpc_result is RpcResult.FIELD
    )
    if is_keyed:
        hints.append(SetupHint(where=f"{where}Name in response for destination", value=settings.reply_key))
    hints.append(
        SetupHint(
            where=f"{where}Parameters",
            value="caller, dst, pool_name, scheme_name",
            note="caller is the client's number and is the one that matters. Set the timeout low.",
        )
    )
    return tuple(hints)


_SCHEME = (
    SetupHint(
        where="Virtual PBX > Forwarding scheme, block 1: the webhook number made above",
        note="The responsible: the hub answers with their number or SIP login, or with nothing for a new client.",
    ),
    SetupHint(
        where="Virtual PBX > Forwarding scheme, block 2: the queue of managers",
        note="New clients, and the reserve when the responsible does not answer. Never leave it out.",
    ),
    SetupHint(
        where="Virtual PBX > Forwarding scheme, block 3: voicemail",
        note="What the client says here reaches the responsible's task as a recording.",
    ),
)
