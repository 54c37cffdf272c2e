"""Every status and body that RetailCRM is known to answer, and what follows from it (reference 1)."""

from __future__ import annotations

import json

import pytest
from hub_retailcrm.problem import LacksRight, Sent, raise_for

from hub.core.plan import StepKey
from hub.errors import NeedsCredentials, Rejected, Stale, Throttled, Unavailable, VendorError

ONE = Sent(operation="POST orders/create", keys=[StepKey("i1/create_deal")], names_user=True)
HTML = "<html><head><title>405 Not Allowed</title></head></html>"


def refusal(text: str, errors: object = None, **more: object) -> dict[str, object]:
    return {"success": False, "errorMsg": text, **({} if errors is None else {"errors": errors}), **more}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, refusal("Errors in the entity format", {"status": "not valid"}), Rejected),
        (400, refusal("Errors in the input parameters", ["limit: one of 20, 50, 100"]), Rejected),
        (400, refusal("Parameter 'customer' is missing"), Rejected),
        (400, refusal("Account does not exist."), NeedsCredentials),
        (400, refusal("Customer is merged", combinedTo={"id": 7}), Stale),
        (400, "Bad Request", Rejected),
        (401, refusal("Unauthorized"), NeedsCredentials),
        (403, refusal('"apiKey" is missing.'), NeedsCredentials),
        (403, refusal('Wrong "apiKey" value.'), NeedsCredentials),
        (403, refusal("Access denied."), LacksRight),
        (403, refusal("Доступ запрещен."), LacksRight),
        (403, HTML, NeedsCredentials),
        (404, refusal("Not found"), Stale),
        (404, refusal("Not found map"), Stale),
        (404, refusal("Method not found"), Rejected),
        (404, HTML, NeedsCredentials),
        (405, HTML, NeedsCredentials),
        (405, refusal("Method Not Allowed"), Rejected),
        (413, HTML, Unavailable),
        (429, "", Throttled),
        (503, refusal("Rate limit exceeded"), Throttled),
        (503, HTML, Unavailable),
        (500, HTML, Unavailable),
        (500, refusal("Internal Server Error"), Unavailable),
        (504, "", Unavailable),
        (301, "", NeedsCredentials),
        (200, HTML, Unavailable),
        (200, {"success": False, "errorMsg": "Strange"}, Rejected),
    ],
)
def test_status_and_body_become_the_error_that_says_what_follows(
    status: int, body: object, expected: type[VendorError]
) -> None:
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    with pytest.raises(VendorError) as caught:
        raise_for(status, content, ONE)
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    ("status", "is_read", "maybe"),
    [(500, False, True), (500, True, False), (504, False, True), (413, False, False), (200, False, True)],
)
def test_only_what_may_have_been_applied_is_in_doubt(status: int, is_read: bool, maybe: bool) -> None:
    with pytest.raises(Unavailable) as caught:
        raise_for(status, b"", Sent(operation="x", is_read=is_read))
    assert caught.value.maybe_applied is maybe


@pytest.mark.parametrize(
    ("errors", "sent", "codes"),
    [
        ({"managerId": "not valid"}, ONE, ["stale_user"]),
        ({"performerId": "not valid"}, ONE, ["stale_user"]),
        ({"performerId": "should not be blank"}, Sent(operation="x", keys=ONE.keys), [""]),
        ({"customer": "not valid", "status": "not valid"}, ONE, ["stale_record", ""]),
        (["something"], ONE, [""]),
    ],
)
def test_refused_employees_and_records_are_decided_again(errors: object, sent: Sent, codes: list[str]) -> None:
    """A deactivated employee is no fault of the step."""
    with pytest.raises(Rejected) as caught:
        raise_for(400, json.dumps(refusal("Errors in the entity format", errors)).encode(), sent)
    assert [problem.code for problem in caught.value.problems["i1/create_deal"]] == codes
