"""The sandbox's own promises: limits, faults, refusals, state (H10, reference 1)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hub_retailcrm.sandbox import Sandbox, serve

API = "/api/v5"


@pytest.fixture
def crm() -> Iterator[tuple[Sandbox, httpx.Client]]:
    sandbox = Sandbox()
    with serve(sandbox) as (_, url), httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
        http.headers["x-api-key"] = sandbox.api_key
        yield sandbox, http


Crm = tuple[Sandbox, httpx.Client]


def post(http: httpx.Client, path: str, **fields: Any) -> httpx.Response:
    """A form whose nested fields hold JSON."""
    data = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    return http.post(API + path, data=data)


def test_ordinary_methods_and_telephony_have_limits_of_their_own(crm: Crm) -> None:
    sandbox, http = crm
    sandbox.limiter.now = lambda: 0.0
    codes = [http.get(f"{API}/users").status_code for _ in range(12)]
    assert codes == [200] * 10 + [503] * 2
    told = http.get(f"{API}/users").json()
    assert told == {"success": False, "errorMsg": "Rate limit exceeded"}
    calls = [http.get(f"{API}/telephony/manager", params={"phone": "1"}).status_code for _ in range(42)]
    assert calls == [200] * 40 + [503] * 2
    assert sandbox.stats()["violations"] == 5
    sandbox.limiter.now = lambda: 1.0
    assert http.get(f"{API}/users").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "fields", "status", "told"),
    [
        ("GET", "/nothing", {}, 404, "Method not found"),
        ("POST", "/users", {}, 405, "Method Not Allowed"),
        ("GET", "/customers?limit=30", {}, 400, "Errors in the input parameters"),
        ("GET", "/customers?filter[phone]=1", {}, 400, "Errors in the input parameters"),
        ("GET", "/orders?filter[status]=new", {}, 400, "Errors in the input parameters"),
        ("POST", "/customers/create", {}, 400, "Parameter 'customer' is missing"),
        ("POST", "/customers/create", {"customer": "{broken"}, 400, "Errors in the input parameters"),
        ("POST", "/customers/upload", {"customers": [{}] * 51}, 400, "Errors in the input parameters"),
        ("POST", "/customers/notes/create", {"note": {"text": "x"}}, 400, "Errors in the entity format"),
        ("POST", "/orders/create", {"order": {"status": "none"}}, 400, "Errors in the entity format"),
        ("POST", "/tasks/create", {"task": {"text": "x"}}, 400, "Task is not loaded"),
        ("POST", "/telephony/call/event", {"event": {"phone": "1", "type": "in"}}, 400, "Errors in the entity format"),
        ("GET", "/tasks/5", {}, 404, "Not found"),
        ("POST", "/customers/notes/5/delete", {}, 404, "Note not found map"),
    ],
)
def test_refusals_have_the_vendors_words(
    crm: Crm, method: str, path: str, fields: dict[str, Any], status: int, told: str
) -> None:
    _, http = crm
    answer = http.get(API + path) if method == "GET" else post(http, path, **fields)
    assert (answer.status_code, answer.json()["errorMsg"]) == (status, told)


def test_identifiers_are_the_shops_own_unless_said_otherwise(crm: Crm) -> None:
    """1: `by` is externalId when it is omitted."""
    _, http = crm
    made = post(http, "/customers/create", customer={"externalId": "7", "firstName": "Ольга"}).json()["id"]
    assert http.get(f"{API}/customers/7").json()["customer"]["id"] == made
    assert http.get(f"{API}/customers/{made}").status_code == 404
    assert http.get(f"{API}/customers/{made}", params={"by": "id"}).json()["customer"]["externalId"] == "7"


def test_key_that_sees_several_shops_must_name_one(crm: Crm) -> None:
    sandbox, http = crm
    sandbox.world.account.sites.append({**sandbox.world.account.sites[0], "code": "second"})
    refused = post(http, "/customers/create", customer={"firstName": "Ольга"})
    assert refused.json()["errorMsg"] == "Parameter 'site' is missing"
    assert post(http, "/customers/create", customer={"firstName": "Ольга"}, site="second").status_code == 201
    sandbox.add_key("narrow", sites=("main",))
    http.headers["x-api-key"] = "narrow"
    assert post(http, "/customers/create", customer={"firstName": "Ольга"}).status_code == 201


def test_account_that_is_gone_answers_in_the_web_servers_html(crm: Crm) -> None:
    sandbox, http = crm
    sandbox.switch(account_is_gone=True)
    answer = post(http, "/customers/create", customer={})
    assert (answer.status_code, answer.headers["content-type"]) == (405, "text/html")
    assert http.get(f"{API}/users").json()["errorMsg"] == "Account does not exist."


@pytest.mark.parametrize(
    ("fault", "is_applied"),
    [
        ({"status": 502}, False),
        ({"status": 500, "applied": True}, True),
        ({"kind": "disconnect"}, False),
        ({"kind": "disconnect", "applied": True}, True),
        ({"kind": "throttle"}, False),
        ({"kind": "slow", "delay": 0.01}, True),
    ],
    ids=lambda value: str(value),
)
def test_faults_strike_once_and_apply_as_ordered(crm: Crm, fault: dict[str, Any], is_applied: bool) -> None:
    sandbox, http = crm
    sandbox.fail_next("POST", f"{API}/customers", **fault)
    try:
        post(http, "/customers/create", customer={"firstName": "Ольга"})
    except httpx.TransportError:
        assert fault.get("kind") == "disconnect"
    assert len(sandbox.records()["customers"]) == int(is_applied)
    assert post(http, "/customers/create", customer={"firstName": "Пётр"}).status_code == 201


def test_request_can_be_applied_after_the_connection_was_cut(crm: Crm) -> None:
    """DESIGN 2: what the hub waits for before it believes that nothing happened."""
    sandbox, http = crm
    sandbox.fail_next("POST", f"{API}/customers", kind="late", late=(20, 20))
    with pytest.raises(httpx.TransportError):
        post(http, "/customers/create", customer={"firstName": "Ольга"})
    assert sandbox.records()["customers"] == []
    sandbox.settle(at_once=True)
    assert len(sandbox.records()["customers"]) == 1


def test_held_connection_is_let_go(crm: Crm) -> None:
    sandbox, http = crm
    sandbox.fail_next("GET", f"{API}/users", kind="hang")
    with pytest.raises(httpx.ReadTimeout):
        http.get(f"{API}/users", timeout=httpx.Timeout(60, read=0.05))
    # one that it reads only now would be held again
    deadline = time.monotonic() + 30
    while not sandbox.stats()["faults"]:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    sandbox.release()
    assert http.get(f"{API}/users").status_code == 200


def test_everything_can_be_ordered_over_http(crm: Crm) -> None:
    """The demo and third parties have no Python object in their hands."""
    sandbox, http = crm
    assert http.get("/_sandbox/health").json()["ok"] is True
    assert http.post("/_sandbox/switches", json={"latency_ms": [1, 2]}).json()["latency_ms"] == [1, 2]
    assert http.post("/_sandbox/switches", json={"nonsense": 1}).status_code == 400
    assert len(http.post("/_sandbox/faults", json={"method": "GET", "path": API, "kind": "throttle"}).json()) == 1
    assert http.post("/_sandbox/faults", json={"kind": "nonsense"}).status_code == 400
    assert http.request("DELETE", "/_sandbox/faults").json() == []
    made = http.post("/_sandbox/person", json={"action": "create_customer", "firstName": "Ольга"}).json()
    assert http.get("/_sandbox/records").json()["customers"][0]["id"] == made["id"]
    assert http.post("/_sandbox/person", json={"action": "nonsense"}).status_code == 400
    http.post("/_sandbox/keys", json={"value": "second-key"})
    http.request("DELETE", "/_sandbox/keys", json={})
    assert http.get(f"{API}/users").status_code == 403
    assert http.get(f"{API}/users", headers={"x-api-key": "second-key"}).status_code == 200
    http.post("/_sandbox/reset")
    assert sandbox.records()["customers"] == []


def test_state_is_kept_in_a_file(crm: Crm, tmp_path: Path) -> None:
    """The demo goes on where it stopped: records, ids, history."""
    sandbox, _ = crm
    customer = sandbox.person("create_customer", firstName="Ольга", phone="0501112233")
    order = sandbox.person("create_order", customer_id=customer["id"])
    sandbox.save(tmp_path / "state.json")
    other = Sandbox()
    other.load(tmp_path / "state.json")
    assert other.records() == sandbox.records()
    assert other.person("create_order", customer_id=customer["id"])["id"] == order["id"] + 1
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(ValueError, match="is no state"):
        other.load(tmp_path / "other.json")
