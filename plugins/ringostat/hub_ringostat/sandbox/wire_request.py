"""A telling put into the bytes of one HTTP request, in any shape of reference A.4."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode, urlsplit, urlunsplit
from zoneinfo import ZoneInfo

from .parameters import Project, Telling, Value, parameter_values
from .telephony import Call, SiteForm
from .webhook import ROOT_PARAMETERS, Moment, Quirk, Shape, Webhook

USER_AGENT = "ringostat HTTP Client v1.1"
_PHONES = frozenset({"client", "client_always", "line"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRequest:
    """One request ready to send: what it is about, and its exact bytes."""

    event_id: str
    moment: Moment
    at: datetime
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


def build_request(telling: Telling, webhook: Webhook, project: Project) -> WebhookRequest:
    """The request that this webhook makes of this telling."""
    fields = sent_fields(telling, webhook, project)
    url, body, content_type = with_query(webhook.url, webhook.static), b"", ""
    match webhook.shape:
        case Shape.QUERY:
            url = with_query(url, {name: str(value) for name, value in fields.items()})
        case Shape.FORM:
            body, content_type = urlencode(fields).encode(), "application/x-www-form-urlencoded"
        case Shape.JSON:
            body, content_type = _json(fields), "application/json"
        case Shape.NESTED:
            body, content_type = _json(_nested(fields, webhook)), "application/json"
        case Shape.ARRAY:
            body, content_type = _json([_nested(fields, webhook)]), "application/json"
    headers = {"User-Agent": USER_AGENT}
    if content_type:
        headers["Content-Type"] = content_type
    if webhook.basic_auth is not None:
        credentials = base64.b64encode(":".join(webhook.basic_auth).encode()).decode()
        headers["Authorization"] = f"Basic {credentials}"
    return WebhookRequest(
        event_id=telling.id,
        moment=telling.moment,
        at=telling.at,
        method=webhook.method,
        url=url,
        headers=headers,
        body=body,
    )


def sent_fields(telling: Telling, webhook: Webhook, project: Project) -> dict[str, str | int]:
    """Sent name -> sent value, flat, with the webhook's date format, zone and quirks applied."""
    values = parameter_values(telling, project)
    names = dict(webhook.names)
    if isinstance(telling.event, SiteForm):
        names |= {name: f"field:{name}" for name in telling.event.fields if name not in names}
    fields: dict[str, str | int] = {}
    for sent, parameter in names.items():
        value = _written(parameter, _quirky(parameter, values, telling, webhook), webhook)
        if value == "" and Quirk.ABSENT_EMPTY in webhook.quirks:
            continue
        fields[sent] = value
    return fields


def _quirky(parameter: str, values: dict[str, Value], telling: Telling, webhook: Webhook) -> Value:
    quirks, outgoing = webhook.quirks, telling.moment in {Moment.OUT_BEFORE, Moment.OUT_AFTER}
    value = values.get(parameter, "")
    if parameter == "line" and not outgoing and Quirk.DST_IS_CLIENT in quirks and isinstance(telling.event, Call):
        return values["client"]
    if parameter == "client" and outgoing and Quirk.CALLEE_IS_LINE in quirks:
        return values["line"]
    if parameter == "caller" and Quirk.CALLER_ID in quirks:
        value = f'"{values["caller_name"]}" <{value}>'
        return html.escape(value, quote=True) if Quirk.HTML_ESCAPED in quirks else value
    if parameter in _PHONES and Quirk.PLUS in quirks and str(value).isdigit():
        return f"+{value}"
    if parameter == "status":
        return _status_style(str(value), quirks)
    if parameter in {"recording_wav", "transcript"} and Quirk.PAGE_RECORDING in quirks:
        return str(value).replace("https://", "http://")
    return value


def _status_style(status: str, quirks: frozenset[Quirk]) -> str:
    if Quirk.UNDERSCORES in quirks:
        status = status.replace(" ", "_")
    if Quirk.PLUSES in quirks:
        status = status.replace(" ", "+")
    return status.lower() if Quirk.LOWER_CASE in quirks else status


def _written(parameter: str, value: Value, webhook: Webhook) -> str | int:
    """Dates in the cabinet's format, numbers as text unless the webhook sends them as numbers."""
    if isinstance(value, datetime):
        if webhook.date_format == "unix":
            return str(int(value.timestamp()))
        return value.astimezone(ZoneInfo(webhook.zone)).strftime(webhook.date_format)
    if isinstance(value, int):
        is_json = webhook.shape in {Shape.JSON, Shape.NESTED, Shape.ARRAY}
        return value if is_json and Quirk.NUMBERS in webhook.quirks else str(value)
    return value


def _nested(fields: Mapping[str, str | int], webhook: Webhook) -> dict[str, object]:
    root: dict[str, object] = {}
    rest: dict[str, object] = {}
    for sent, value in fields.items():
        (root if webhook.names.get(sent) in ROOT_PARAMETERS else rest)[sent] = value
    return {**root, "additional_call_data": rest}


def _json(payload: object) -> bytes:
    return json.dumps(payload, ensure_ascii=False).encode()


def with_query(url: str, query: Mapping[str, str]) -> str:
    """``url`` with further query parameters, those it had kept."""
    if not query:
        return url
    parts = urlsplit(url)
    joined = "&".join(part for part in (parts.query, urlencode(query)) if part)
    return urlunsplit(parts._replace(query=joined))
