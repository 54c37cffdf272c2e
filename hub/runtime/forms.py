"""The hub's own form endpoint (J8): a site's form, JSON or form-encoded, becomes a `Form`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from urllib.parse import parse_qsl

from hub.core.interaction import Attribution, Form, Identity, InteractionId, ProjectId
from hub.core.phone import parse_phone
from hub.errors import PayloadError
from hub.ports import ChannelConfig, RawRequest

__all__ = ["parse_form"]

_NAMES = ("name", "client_name", "fio")
_PHONES = ("phone", "tel", "telephone")
_EMAILS = ("email", "mail", "e-mail")
_KNOWN = {
    "form_name": ("form_name", "form"),
    "page": ("page", "url", "landing"),
    "text": ("text", "message", "comment"),
    "id": ("id", "submission_id", "uuid"),
}
_ATTRIBUTION = ("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term")


def parse_form(request: RawRequest, channel: ChannelConfig) -> Form:
    """The form in ``request``; every field stays available to conditions. Raises PayloadError naming the field.

    A submission without an id of its own is told apart from others by its content and the ten seconds of its
    arrival, so that a visitor's double click is one form.
    """
    fields = _fields(request)

    def first(names: tuple[str, ...]) -> str:
        return next((fields[name].strip() for name in names if fields.get(name, "").strip()), "")

    phone_text, email = first(_PHONES), first(_EMAILS)
    phone = parse_phone(phone_text, channel.region, eight_is_seven=channel.eight_is_seven) if phone_text else None
    if not phone and not email:
        at_fault = "phone" if phone_text or not email else "email"
        raise PayloadError(
            "a form needs a readable phone or e-mail", source="forms", field=at_fault, raw=phone_text[:40]
        )
    own_id = first(_KNOWN["id"])
    content = "\n".join(f"{name}={value}" for name, value in sorted(fields.items()))
    moment = int(request.received_at.timestamp()) // 10
    digest = hashlib.sha256(f"{content}\n{moment}".encode()).hexdigest()[:24]
    return Form(
        id=InteractionId(""),
        project=ProjectId(channel.project),
        channel=channel.name,
        source="forms",
        # the site's own id is of this client's form alone: many a site sends the product's there, the same for all
        external_id=f"form-{own_id[:100]}-{phone or email.casefold()}" if own_id else f"form-{digest}",
        started_at=request.received_at,
        client=Identity(
            phones=(phone,) if phone else (),
            emails=(email,) if email else (),
            name=first(_NAMES),
        ),
        form_name=first(_KNOWN["form_name"]),
        page=first(_KNOWN["page"]),
        text=first(_KNOWN["text"]),
        attribution=Attribution(
            **{name: fields.get(name, "") for name in _ATTRIBUTION},
            ga_client_id=fields.get("client_id", ""),
            landing_page=first(_KNOWN["page"]),
            referrer=fields.get("referrer", ""),
        ),
        parameters=fields,
    )


def _fields(request: RawRequest) -> dict[str, str]:
    """Query and body together, the body's values first."""
    found = dict(parse_qsl(request.query.decode("utf-8", "replace"), keep_blank_values=True))
    text = request.body.decode("utf-8", "replace")
    if "json" in request.header("content-type") or text.lstrip().startswith("{"):
        try:
            body = json.loads(text)
        except ValueError as err:
            raise PayloadError(f"the body is no JSON: {err}", source="forms", field="body") from err
        if not isinstance(body, Mapping):
            raise PayloadError("the body must be a JSON object", source="forms", field="body")
        found.update(
            {str(name): value if isinstance(value, str) else json.dumps(value) for name, value in body.items()}
        )
    else:
        found.update(parse_qsl(text, keep_blank_values=True))
    return found
