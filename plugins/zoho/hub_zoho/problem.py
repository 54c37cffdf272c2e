"""What Zoho's refusals mean: the one place where a status or a code becomes an error type (reference 2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

import httpx

from hub.errors import NeedsCredentials, Problem, Rejected, Stale, Throttled, Unavailable
from hub.ports import Refused
from hub_zoho.wire import Outcome

__all__ = ["IN_DOUBT", "Sent", "judge", "raise_for", "to_unavailable"]

_USER_FIELDS = frozenset({"Owner", "assign_to"})
_RECORD_FIELDS = frozenset(
    {"id", "What_Id", "Who_Id", "Parent_Id", "Contact_Name", "Account_Name", "Contacts", "Deals"}
)
#: the record became something else since the decision
_MOVED_ON = frozenset({"ID_ALREADY_CONVERTED", "CONVERTED_RECORD", "ALREADY_MODIFIED"})
#: the vendor failed on this record: nobody knows whether it is there
IN_DOUBT = frozenset({"INTERNAL_ERROR", "INTERNAL_SERVER_ERROR"})
_CREDENTIALS = frozenset({"INVALID_TOKEN", "AUTHENTICATION_FAILURE", "OAUTH_SCOPE_MISMATCH"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What was asked."""

    operation: str = ""
    #: reads apply nothing, so their failure leaves nothing in doubt
    is_read: bool = False


def to_unavailable(err: httpx.TransportError, sent: Sent) -> Unavailable:
    """The error for a request that got no answer; in doubt unless it certainly never left."""
    never_left = isinstance(err, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    return Unavailable(
        f"Zoho cannot be reached: {type(err).__name__}",
        maybe_applied=not (never_left or sent.is_read),
        operation=sent.operation,
    )


def judge(outcome: Outcome) -> Refused:
    """What a record's own refusal in the answer to a write means; the others of the request stand.

    A deactivated owner is stale by the user; a record that is gone, or a lead that was converted, by the record.
    """
    text = f"Zoho refused: {outcome.code} {outcome.message}"
    if outcome.api_name:
        text += f" ({outcome.api_name}{outcome.hint})"
    name = outcome.api_name.rsplit(".", 1)[-1]
    if outcome.code == "INVALID_DATA" and name in _USER_FIELDS:
        return Refused(text=text, is_stale=True, is_user_stale=True)
    if outcome.code in _MOVED_ON or (outcome.code == "INVALID_DATA" and name in _RECORD_FIELDS):
        return Refused(text=text, is_stale=True)
    return Refused(text=text)


def raise_for(status: int, headers: Mapping[str, str], body: bytes, sent: Sent) -> NoReturn:
    """Raise what an answer means that refuses the whole request.

    401 comes here only after the one refresh that `auth` tries. A scope that is missing stops the connection too:
    every step would meet it, and connecting again grants it. 403 is a right that the token's user lacks on that
    record or module, so it is the step's own.
    """
    names = {"operation": sent.operation, "request_id": headers.get("x-request-id", "")}
    told = _parse(body)
    code, said = str(told.get("code", "")), _text_of(told) or f"status {status}"
    if status == 429 or code == "TOO_MANY_REQUESTS":
        raise Throttled("Zoho asks to slow down", retry_after=_retry_after(headers), **names)
    if code == "OAUTH_SCOPE_MISMATCH":
        raise NeedsCredentials(f"the connection lacks a scope ({sent.operation}); connect the account again", **names)
    if status == 401 or code in _CREDENTIALS:
        raise NeedsCredentials(f"Zoho does not accept the credentials: {said}", **names)
    if status >= 500 or status == 408 or code in IN_DOUBT:
        raise Unavailable(
            f"Zoho failed with {status}", maybe_applied=not sent.is_read, too_large=status == 504, **names
        )
    if status == 413:
        raise Unavailable("the request was too large for Zoho", maybe_applied=False, too_large=True, **names)
    if status == 412 or code in _MOVED_ON:
        raise Stale(f"the record has changed in Zoho: {said}", **names)
    if 300 <= status < 400:
        raise NeedsCredentials("the API has moved; connect the account again", **names)
    raise Rejected(problems={"": [Problem(code=code or str(status), text=said)]}, **names)


def _parse(body: bytes) -> Mapping[str, Any]:
    """The object in ``body``, {} if it is something else (an HTML page, plain text)."""
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text_of(told: Mapping[str, Any]) -> str:
    details = told.get("details")
    shown = json.dumps(details, ensure_ascii=False) if details else ""
    return " ".join(str(part) for part in (told.get("code"), told.get("message"), shown) if part)[:500]


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Not dependable (2), honoured when present."""
    value = headers.get("retry-after", "").strip()
    return timedelta(seconds=int(value[:9])) if value.isdecimal() else None
