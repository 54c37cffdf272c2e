"""What RetailCRM's refusals mean: the one place where a status becomes an error type (reference 1)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from hub.core.plan import StepKey
from hub.errors import NeedsCredentials, Problem, Rejected, Stale, Throttled, Unavailable

__all__ = ["PARTLY_FAILED", "STALE_USER", "LacksRight", "Sent", "is_stale", "problems_of", "raise_for"]

#: a batch of which some entities failed; not raised, its body says which
PARTLY_FAILED = 460
#: `Problem.code` for an employee whom RetailCRM no longer accepts: read the employees, decide again
STALE_USER = "stale_user"
#: `Problem.code` for a record that is gone: take a new snapshot, decide again
STALE_RECORD = "stale_record"

_USER_FIELDS = ("managerId", "performerId", "userId")
_RECORD_FIELDS = ("customer", "order", "contact")


class LacksRight(NeedsCredentials):
    """The API key is good, but lacks the right for this method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What was asked, as far as a refusal can be tied to it."""

    operation: str = ""
    #: the steps in the request
    keys: Sequence[StepKey] = ()
    #: the request names an employee
    names_user: bool = False
    #: reads apply nothing, so their failure leaves nothing in doubt
    is_read: bool = False


def is_stale(problems: Sequence[Problem]) -> bool:
    """Whether the hub should decide again instead of giving up."""
    return bool(problems) and all(problem.code in (STALE_USER, STALE_RECORD) for problem in problems)


def raise_for(status: int, body: bytes, sent: Sent) -> NoReturn:
    """Raise what an answer means whose status is not below 400, or that does not say ``success``.

    503 is the limit (the vendor's own words), but in HTML it is the web server's: then a write may have been applied.
    The only HTML 405 comes from an address that is no account. Texts follow the account's language, so of 403 only
    the name of the parameter, which does not, tells a bad key from a missing right.
    """
    found = _parse(body)
    said = _text_of(found) or f"status {status}"
    names = {"operation": sent.operation}
    if status == 429 or (status == 503 and found is not None):
        raise Throttled("RetailCRM asks to slow down", operation=sent.operation)
    if status == 401 or (status == 403 and (found is None or "apikey" in said.lower())):
        raise NeedsCredentials(f"RetailCRM does not accept the API key: {said}", **names)
    if status == 403:
        raise LacksRight(f"the API key lacks the right for {sent.operation}: {said}", **names)
    if 300 <= status < 400 or (status in (404, 405) and found is None):
        raise NeedsCredentials(f"there is no RetailCRM account at this address ({status})", **names)
    if status == 400 and "account does not exist" in said.lower():
        raise NeedsCredentials(f"there is no RetailCRM account at this address: {said}", **names)
    if status >= 500 or status == 408 or (status < 300 and found is None):
        is_late = status == 504
        raise Unavailable(f"RetailCRM failed with {status}", maybe_applied=not sent.is_read, too_large=is_late, **names)
    if status == 413:
        raise Unavailable("the request was too large for RetailCRM", maybe_applied=False, too_large=True, **names)
    if status == 404 or (isinstance(found, dict) and found.get("combinedTo")):
        if "method" in said.lower():
            raise Rejected(problems={"": [Problem(code="404", text=said)]}, **names)
        raise Stale(f"a record is gone from RetailCRM: {said}", **names)
    problems = problems_of(found, sent) or [Problem(code=str(status), text=said)]
    key = sent.keys[0] if len(sent.keys) == 1 else ""
    raise Rejected(problems={key: problems}, **names)


def problems_of(found: Any, sent: Sent) -> list[Problem]:
    """``errors``: an object of texts by field, or a list of texts."""
    errors = found.get("errors") if isinstance(found, dict) else None
    if isinstance(errors, dict):
        return [
            Problem(field=str(field), code=_code(str(field), sent), text=str(text)) for field, text in errors.items()
        ]
    if isinstance(errors, list):
        return [Problem(text=str(text)) for text in errors]
    return []


def _code(field: str, sent: Sent) -> str:
    leaf = field.rsplit(".", 1)[-1]
    if leaf in _USER_FIELDS and sent.names_user:
        return STALE_USER
    return STALE_RECORD if leaf in _RECORD_FIELDS else ""


def _parse(body: bytes) -> Any | None:
    """The JSON in ``body``, None if it is something else: an HTML page, nothing."""
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _text_of(found: Any) -> str:
    if not isinstance(found, Mapping):
        return ""
    errors = found.get("errors")
    more = errors.values() if isinstance(errors, dict) else errors if isinstance(errors, list) else ()
    return "; ".join(str(part) for part in (found.get("errorMsg"), *more) if part)[:500]
