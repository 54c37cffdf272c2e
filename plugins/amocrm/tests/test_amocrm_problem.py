"""What each refusal means (reference 2): status and body in, error out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import pytest
from hub_amocrm.problem import Sent, is_stale, raise_for

from hub.core.plan import StepKey
from hub.errors import Banned, NeedsCredentials, Rejected, Stale, Throttled, Unavailable, VendorError

ONE, TWO = StepKey("i1/create_contact"), StepKey("i2/create_contact")
SENT = Sent(operation="POST contacts", keys={"0": ONE, "1": TWO}, users={"8800999": [TWO]})
BAN = b"<html><head><title>403 Forbidden</title></head><body><center>nginx</center></body></html>"


def problem(status: int, detail: str = "", **more: Any) -> bytes:
    return json.dumps({"title": "Problem", "status": status, "detail": detail, **more}).encode()


def invalid(request_id: str, code: str, path: str) -> bytes:
    errors = [{"code": code, "path": path, "detail": "The value you selected is not a valid choice."}]
    found = [{"request_id": request_id, "errors": errors}]
    return problem(400, "Request validation failed", **{"validation-errors": found})


def raised(
    status: int, body: bytes = b"", sent: Sent = SENT, headers: Mapping[str, str] = MappingProxyType({})
) -> VendorError:
    with pytest.raises(VendorError) as err:
        raise_for(status, headers, body, sent)
    return err.value


MEANINGS = [
    # status, body, what it means
    (401, problem(401, "Invalid user name or password"), NeedsCredentials),
    (402, problem(402, "Payment required"), NeedsCredentials),
    (403, problem(403, "Client doesn't have the required scope"), NeedsCredentials),
    (403, problem(403, "Forbidden"), Rejected),
    (403, BAN, Banned),
    (403, b"", Banned),
    (403, problem(403, error_code=113), Banned),
    (400, problem(400, error_code="110"), NeedsCredentials),
    (301, b"", NeedsCredentials),
    (400, problem(400, "Request validation failed"), Rejected),
    (400, b"not json", Rejected),
    (405, problem(405), Rejected),
    (422, problem(422, "wrong destination"), Rejected),
    (429, b"Too many requests", Throttled),
    (500, b"", Unavailable),
    (502, BAN, Unavailable),
    (504, b"", Unavailable),
    (413, b"", Unavailable),
    (408, b"", Unavailable),
]


@pytest.mark.parametrize(("status", "body", "meaning"), MEANINGS)
def test_a_status_means(status: int, body: bytes, meaning: type[VendorError]) -> None:
    assert type(raised(status, body)) is meaning


DOUBTS = [
    # status, read or write, may be applied, too large
    (500, False, True, False),
    (504, False, True, True),
    (504, True, False, True),
    (413, False, False, True),
]


@pytest.mark.parametrize(("status", "is_read", "maybe_applied", "too_large"), DOUBTS)
def test_only_a_write_can_be_in_doubt(status: int, is_read: bool, maybe_applied: bool, too_large: bool) -> None:
    err = raised(status, sent=Sent(is_read=is_read))
    assert isinstance(err, Unavailable)
    assert (err.maybe_applied, err.too_large) == (maybe_applied, too_large)


def test_retry_after_is_honoured_when_present() -> None:
    told = raised(429, b"slow", headers={"retry-after": "3"})
    assert isinstance(told, Throttled)
    assert told.retry_after == timedelta(seconds=3)
    untold = raised(429, b"slow")
    assert isinstance(untold, Throttled)
    assert untold.retry_after is None


REFUSALS = [
    # body, key, code, decide again
    (invalid("1", "NotSupportedChoice", "responsible_user_id"), TWO, "stale_user", True),
    (invalid("1", "NotSupportedChoice", "_embedded.contacts.0.created_by"), TWO, "stale_user", True),
    (invalid("0", "NotSupportedChoice", "entity_id"), ONE, "stale_record", True),
    (invalid("0", "NotSupportedChoice", "_embedded.contacts.0.id"), ONE, "stale_record", True),
    (invalid("0", "NotSupportedChoice", "custom_fields_values.0.field_id"), ONE, "NotSupportedChoice", False),
    (invalid("0", "NotSupportedChoice", "status_id"), ONE, "NotSupportedChoice", False),
    (invalid("7", "FieldMissing", "source_name"), "", "FieldMissing", False),
    (problem(400, "User(s) 8800999 are not associated with provided account."), TWO, "stale_user", True),
    (problem(400, "User(s) 1 are not associated with provided account."), "", "stale_user", True),
    (problem(400, "Malformed JSON"), "", "400", False),
    (json.dumps({"errors": [{"title": "Entity not found", "request_id": "1"}]}).encode(), TWO, "", False),
]


@pytest.mark.parametrize(("body", "key", "code", "again"), REFUSALS)
def test_a_refusal_names_its_step(body: bytes, key: str, code: str, again: bool) -> None:
    err = raised(400, body)
    assert isinstance(err, Rejected)
    assert set(err.problems) == {key}
    (found,) = err.problems[key]
    assert found.code == code
    assert is_stale(err.problems[key]) is again


def test_a_missing_record_is_stale_alone_and_halved_in_a_batch() -> None:
    assert isinstance(raised(404, problem(404), Sent(keys={"0": ONE})), Stale)
    batch = raised(404, problem(404))
    assert isinstance(batch, Rejected)
    assert is_stale(batch.problems[""])


def test_the_vendors_request_id_is_kept_for_its_support() -> None:
    assert raised(500, headers={"x-request-id": "abc-1"}).request_id == "abc-1"
