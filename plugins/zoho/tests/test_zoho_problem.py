"""Zoho's refusals become error types in one place (reference 2)."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hub_zoho.problem import Sent, judge, raise_for, to_unavailable
from hub_zoho.wire import Outcome

from hub.errors import NeedsCredentials, Rejected, Stale, Throttled, Unavailable, VendorError

WRITE, READ = Sent(operation="POST /Leads"), Sent(operation="GET /Leads", is_read=True)


def refusal(code: str, **details: Any) -> bytes:
    return json.dumps({"code": code, "details": details, "message": "text", "status": "error"}).encode()


REQUESTS: list[tuple[int, bytes, type[VendorError]]] = [
    (401, refusal("INVALID_TOKEN"), NeedsCredentials),
    (401, refusal("AUTHENTICATION_FAILURE"), NeedsCredentials),
    (401, refusal("OAUTH_SCOPE_MISMATCH"), NeedsCredentials),
    (401, b"", NeedsCredentials),
    (403, refusal("NO_PERMISSION", permissions=["Crm_Implied_Edit"]), Rejected),
    (400, refusal("AUTHORIZATION_FAILED"), Rejected),
    (400, refusal("INVALID_MODULE", resource_path_index=0), Rejected),
    (404, refusal("INVALID_URL_PATTERN"), Rejected),
    (400, refusal("INVALID_REQUEST_METHOD"), Rejected),
    (400, refusal("REQUIRED_PARAM_MISSING", param_name="fields"), Rejected),
    (400, refusal("SYNTAX_ERROR", near="form"), Rejected),
    (400, refusal("LIMIT_EXCEEDED"), Rejected),
    (400, refusal("API_NOT_SUPPORTED", supported_version="9"), Rejected),
    (412, refusal("ALREADY_MODIFIED"), Stale),
    (400, refusal("ID_ALREADY_CONVERTED"), Stale),
    (429, refusal("TOO_MANY_REQUESTS"), Throttled),
    (429, b"<html>", Throttled),
    (413, b"", Unavailable),
    (500, refusal("INTERNAL_ERROR"), Unavailable),
    (500, refusal("INTERNAL_SERVER_ERROR"), Unavailable),
    (502, b"<html></html>", Unavailable),
    (504, b"", Unavailable),
    (302, b"", NeedsCredentials),
    (418, b"not json", Rejected),
    (400, b"[1]", Rejected),
]


@pytest.mark.parametrize(("status", "body", "kind"), REQUESTS)
def test_a_refused_request_becomes_the_error_that_says_what_follows(
    status: int, body: bytes, kind: type[VendorError]
) -> None:
    with pytest.raises(kind) as caught:
        raise_for(status, {"x-request-id": "r1"}, body, WRITE)
    assert type(caught.value) is kind
    assert caught.value.operation == "POST /Leads"
    assert caught.value.request_id == "r1"


@pytest.mark.parametrize(
    ("status", "sent", "maybe", "too_large"),
    [(500, WRITE, True, False), (500, READ, False, False), (504, WRITE, True, True), (413, WRITE, False, True)],
)
def test_only_a_write_that_may_be_applied_is_in_doubt(status: int, sent: Sent, maybe: bool, too_large: bool) -> None:
    """X5."""
    with pytest.raises(Unavailable) as caught:
        raise_for(status, {}, b"", sent)
    assert (caught.value.maybe_applied, caught.value.too_large) == (maybe, too_large)


def test_a_pause_that_the_vendor_names_is_kept() -> None:
    with pytest.raises(Throttled) as caught:
        raise_for(429, {"retry-after": "7"}, b"", WRITE)
    assert caught.value.retry_after is not None
    assert caught.value.retry_after.total_seconds() == 7


@pytest.mark.parametrize(
    ("error", "sent", "maybe"),
    [
        (httpx.ConnectError("down"), WRITE, False),
        (httpx.ConnectTimeout("slow"), WRITE, False),
        (httpx.ReadTimeout("slow"), WRITE, True),
        (httpx.RemoteProtocolError("cut"), WRITE, True),
        (httpx.ReadTimeout("slow"), READ, False),
    ],
)
def test_no_answer_is_in_doubt_unless_it_never_left(error: httpx.TransportError, sent: Sent, maybe: bool) -> None:
    assert to_unavailable(error, sent).maybe_applied is maybe


ITEMS: list[tuple[str, dict[str, Any], bool, bool]] = [
    # code, details, is_stale, is_user_stale
    ("INVALID_DATA", {"api_name": "Owner", "id": "1"}, True, True),
    ("INVALID_DATA", {"api_name": "assign_to"}, True, True),
    ("INVALID_DATA", {"api_name": "What_Id"}, True, False),
    ("INVALID_DATA", {"api_name": "Who_Id"}, True, False),
    ("INVALID_DATA", {"api_name": "id"}, True, False),
    ("INVALID_DATA", {"api_name": "Contact_Name"}, True, False),
    ("CONVERTED_RECORD", {}, True, False),
    ("ID_ALREADY_CONVERTED", {}, True, False),
    ("INVALID_DATA", {"api_name": "Email", "expected_data_type": "email"}, False, False),
    ("MANDATORY_NOT_FOUND", {"api_name": "Last_Name"}, False, False),
    ("DUPLICATE_DATA", {"api_name": "Deal_Name"}, False, False),
    ("MAPPING_MISMATCH", {"mapped_field": {"api_name": "Pipeline"}}, False, False),
    ("RECORD_LOCKED", {}, False, False),
    ("RECORD_IN_BLUEPRINT", {}, False, False),
    ("NOT_APPROVED", {}, False, False),
    ("SOMETHING_NEW", {}, False, False),
]


@pytest.mark.parametrize(("code", "details", "is_stale", "is_user"), ITEMS)
def test_a_refused_record_says_whether_to_decide_again(
    code: str, details: dict[str, Any], is_stale: bool, is_user: bool
) -> None:
    """DESIGN 4: deactivated users and records that are gone are decided again, the rest needs attention."""
    found = judge(Outcome.of({"code": code, "details": details, "message": "text", "status": "error"}))
    assert (found.is_stale, found.is_user_stale) == (is_stale, is_user)
    assert code in found.text
    assert details.get("api_name", "") in found.text


@pytest.mark.parametrize("item", [None, [], "x", {}, {"details": []}, {"code": 7, "details": {"duplicate_record": 1}}])
def test_an_outcome_of_any_shape_is_read(item: Any) -> None:
    """An answer that says nothing of a record leaves it in doubt (no code, not done)."""
    found = Outcome.of(item)
    assert not found.is_done
    assert found.record_id == ""
