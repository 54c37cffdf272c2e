"""Zoho's notifications: they name records, which are read again (8)."""

from __future__ import annotations

import hashlib
import hmac

from pydantic import ValidationError

from hub.core.records import RecordRef
from hub.errors import AccessError, PayloadError
from hub.ports import Changes
from hub_zoho.config import ZohoSettings
from hub_zoho.mapping import LEADS
from hub_zoho.mapping import refs_of as refs_in
from hub_zoho.wire import Notification

__all__ = ["MODULES", "channel_token", "read_notification"]

#: what is subscribed to
MODULES = (LEADS, "Contacts", "Accounts", "Deals", "Tasks")
_OPERATIONS = frozenset({"insert", "update", "delete"})


def channel_token(settings: ZohoSettings, project: str, connection: str) -> str:
    """What a channel of this connection echoes: made from the client's secret, so that nothing has to be stored.

    Zoho does not sign notifications; this is the only proof of their origin. At most 50 characters.
    """
    secret = settings.client_secret.get_secret_value().encode()
    return hmac.new(secret, f"notifications {project}/{connection}".encode(), hashlib.sha256).hexdigest()[:48]


def read_notification(body: bytes, expected_token: str) -> Changes:
    """Which records changed and which are gone. Contents are not taken from it: its shape is not confirmed, and it is
    repeated and reordered, so the records are read again.

    Raises AccessError for a wrong token, PayloadError naming the field otherwise.
    """
    try:
        found = Notification.model_validate_json(body)
    except ValidationError as err:
        first = err.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PayloadError(str(first["msg"]), source="zoho", field=place, raw=repr(body[:200])) from None
    if not hmac.compare_digest(found.token.encode(), expected_token.encode()):
        raise AccessError("the notification does not bear this connection's token", endpoint="zoho notification")
    if found.module not in MODULES:
        raise PayloadError("a module that the hub does not read", source="zoho", field="module", raw=found.module[:80])
    if found.operation not in _OPERATIONS:
        raise PayloadError("an unknown operation", source="zoho", field="operation", raw=found.operation[:80])
    refs: dict[RecordRef, None] = {}
    for record_id in found.ids:
        text = str(record_id)
        if not text.isdigit():
            raise PayloadError("a record without an id", source="zoho", field="ids", raw=text[:80])
        refs |= dict.fromkeys(refs_in(found.module, text))
    if found.operation == "delete":
        return Changes(deleted=tuple(refs))
    return Changes(touched=tuple(refs))
