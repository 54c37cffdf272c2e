"""What amoCRM's refusals mean: the one place where a status becomes an error type (reference 2)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NoReturn

from hub.core.plan import StepKey
from hub.errors import (
    Banned,
    NeedsCredentials,
    Problem,
    Rejected,
    Stale,
    Throttled,
    Unavailable,
)

__all__ = ["STALE_RECORD", "STALE_USER", "Sent", "is_stale", "raise_for"]

#: `Problem.code` for a responsible or author whom amoCRM no longer accepts: read the employees, decide again
STALE_USER = "stale_user"
#: `Problem.code` for a record that is gone: take a new snapshot, decide again
STALE_RECORD = "stale_record"

_USER_PATHS = ("responsible_user_id", "created_by", "updated_by", "call_responsible", "user_id")
_NOT_ASSOCIATED = re.compile(r"User\(s\)\s+([\d,\s]+?)\s+are not associated", re.IGNORECASE)
#: legacy codes in bodies: wrong or disabled user, captcha; 113 is an address that the account does not let in
_LEGACY_CREDENTIALS = frozenset({101, 110, 111, 112, 402})
_LEGACY_BANNED = 113


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What was asked, as far as a refusal can be tied to it."""

    operation: str = ""
    #: the steps by the ``request_id`` that was sent with their item
    keys: Mapping[str, StepKey] = field(default_factory=dict)
    #: the steps by the user whom their item names
    users: Mapping[str, Sequence[StepKey]] = field(default_factory=dict)
    #: reads apply nothing, so their failure leaves nothing in doubt
    is_read: bool = False


def is_stale(problems: Sequence[Problem]) -> bool:
    """Whether the hub should decide again instead of giving up."""
    return bool(problems) and all(problem.code in (STALE_USER, STALE_RECORD) for problem in problems)


def raise_for(status: int, headers: Mapping[str, str], body: bytes, sent: Sent) -> NoReturn:
    """Raise what an answer with a status outside 200 to 299 means.

    401 comes here only after the one refresh that `auth` tries. 402 (unpaid) and 403 with "scope" stop the
    connection, since every step would meet them and none is at fault; other 403 in JSON is a right that the token's
    user lacks on that record, so it is the step's own (Rejected). 403 without JSON is the ban of reference 2.
    """
    names = {"operation": sent.operation, "request_id": headers.get("x-request-id", "")}
    problem = _parse(body)
    said = _text_of(problem) or f"status {status}"
    legacy = _legacy_code(problem)
    if status == 429:
        raise Throttled("amoCRM asks to slow down", retry_after=_retry_after(headers), **names)
    if legacy == _LEGACY_BANNED or (status == 403 and problem is None):
        raise Banned("amoCRM refuses this server; its support has to lift the ban", **names)
    if status == 401 or legacy in _LEGACY_CREDENTIALS:
        raise NeedsCredentials(f"amoCRM does not accept the credentials: {said}", **names)
    if status == 402:
        raise NeedsCredentials(f"the amoCRM account is not paid, or its tariff lacks this: {said}", **names)
    if status == 403 and "scope" in said.lower():
        raise NeedsCredentials(f"the integration lacks a right that it asked for: {said}", **names)
    if 300 <= status < 400:
        raise NeedsCredentials("the account's address has changed; connect it again", **names)
    if status >= 500 or status == 408:
        raise Unavailable(
            f"amoCRM failed with {status}", maybe_applied=not sent.is_read, too_large=status == 504, **names
        )
    if status == 413:
        raise Unavailable("the request was too large for amoCRM", maybe_applied=False, too_large=True, **names)
    if status == 404:
        if len(set(sent.keys.values())) <= 1:
            raise Stale(f"a record is gone from amoCRM: {said}", **names)
        raise Rejected(problems={"": [Problem(code=STALE_RECORD, text=said)]}, **names)
    problems = _problems(problem, sent)
    raise Rejected(problems=problems or {"": [Problem(code=str(status), text=said)]}, **names)


def _parse(body: bytes) -> Any | None:
    """The JSON in ``body``, None if it is something else (an HTML page, plain text)."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def _text_of(problem: Any) -> str:
    if not isinstance(problem, dict):
        return ""
    parts = [problem.get("hint"), problem.get("detail") or problem.get("title")]
    return ": ".join(str(part) for part in parts if part)[:500]


def _legacy_code(problem: Any) -> int | None:
    code = problem.get("error_code") if isinstance(problem, dict) else None
    return int(str(code)[:9]) if isinstance(code, int) or (isinstance(code, str) and code[:9].isdecimal()) else None


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """The header is undocumented, honoured when present (reference 2); only its form in seconds was ever seen."""
    value = headers.get("retry-after", "").strip()
    return timedelta(seconds=int(value[:9])) if value.isdecimal() else None


def _problems(problem: Any, sent: Sent) -> dict[str, list[Problem]]:
    if not isinstance(problem, dict):
        return {}
    found: dict[str, list[Problem]] = {}
    items = problem.get("validation-errors")
    for item in items if isinstance(items, list) else ():
        if not isinstance(item, dict):
            continue
        key = sent.keys.get(str(item.get("request_id", "")), "")
        errors = item.get("errors")
        for error in errors if isinstance(errors, list) else ():
            if isinstance(error, dict):
                found.setdefault(key, []).append(_problem(error))
    if found:
        return found
    # `POST /calls` answers so; kept, since other methods may come to do the same
    items = problem.get("errors")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict):
            key = sent.keys.get(str(item.get("request_id", "")), "")
            found.setdefault(key, []).append(Problem(text=_text_of(item)))
    return found or _strangers(problem, sent)


def _problem(error: Mapping[str, Any]) -> Problem:
    path, code = str(error.get("path", "")), str(error.get("code", ""))
    leaf = path.rsplit(".", 1)[-1]
    if code == "NotSupportedChoice" and leaf in _USER_PATHS:
        code = STALE_USER
    elif code == "NotSupportedChoice" and leaf in ("id", "entity_id", "to_entity_id"):
        code = STALE_RECORD
    return Problem(field=path, code=code, text=str(error.get("detail", "")))


def _strangers(problem: Mapping[str, Any], sent: Sent) -> dict[str, list[Problem]]:
    """ "User(s) 8800999 are not associated with provided account." names users, not items."""
    said = _text_of(problem)
    match = _NOT_ASSOCIATED.search(said)
    if match is None:
        return {}
    users = re.findall(r"\d+", match.group(1))
    keys = [key for user in users for key in sent.users.get(user, ())]
    stale = Problem(field="responsible_user_id", code=STALE_USER, text=said)
    return {key: [stale] for key in keys} if keys else {"": [stale]}
