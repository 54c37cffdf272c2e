"""The sandbox keeps to the reference: envelopes, limits, quirks of search and COQL, faults by order (H10)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hub_zoho.sandbox import Sandbox, serve
from hub_zoho.sandbox.__main__ import _parser, _switches

LEAD = {"Last_Name": "Белая", "Company": "-", "Phone": "+380671230001"}


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Sandbox, str]]:
    with serve(Sandbox()) as found:
        yield found


class Api:
    """A client that knows nothing but the reference."""

    def __init__(self, sandbox: Sandbox, url: str) -> None:
        self.sandbox, self.url = sandbox, url
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=10)
        self.refresh_token = sandbox.refresh_token()
        self.http.headers["Authorization"] = f"Zoho-oauthtoken {self.token()['access_token']}"

    def token(self, **changed: str) -> dict[str, Any]:
        credentials = self.sandbox.oauth.credentials
        form = {
            "grant_type": "refresh_token",
            "refresh_token": self.refresh_token,
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret,
        }
        answer = self.http.post("/oauth/v2/token", data=form | changed)
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        return found

    def get(self, path: str, **params: str) -> httpx.Response:
        headers = {"If-Modified-Since": params.pop("since")} if "since" in params else {}
        return self.http.get(f"/crm/v8{path}", params=params, headers=headers)

    def insert(self, module: str, *items: dict[str, Any]) -> httpx.Response:
        return self.http.post(f"/crm/v8/{module}", json={"data": list(items)})

    def coql(self, query: str) -> httpx.Response:
        return self.http.post("/crm/v8/coql", json={"select_query": query})


@pytest.fixture
def api(served: tuple[Sandbox, str]) -> Iterator[Api]:
    served[0].reset()
    found = Api(*served)
    yield found
    found.http.close()


# --- envelopes --------------------------------------------------------------------------------------------------


def test_nothing_found_is_204_and_a_missing_fields_parameter_400(api: Api) -> None:
    assert (api.get("/Leads", fields="id").status_code, api.get("/Leads", fields="id").content) == (204, b"")
    answer = api.get("/Leads")
    assert (answer.status_code, answer.json()["code"]) == (400, "REQUIRED_PARAM_MISSING")
    assert answer.json()["details"] == {"param_name": "fields"}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/crm/v8/Nothing?fields=id", 400, "INVALID_MODULE"),
        ("GET", "/crm/v8/Leads/nothing/here/now", 404, "INVALID_URL_PATTERN"),
        ("PATCH", "/crm/v8/Leads", 400, "INVALID_REQUEST_METHOD"),
        ("GET", "/crm/v8/Leads/search?fields=id", 400, "EXPECTED_PARAM_MISSING"),
        ("GET", "/crm/v8/Leads?fields=id&per_page=201", 400, "INVALID_DATA"),
        ("GET", "/crm/v8/Leads?fields=id&page=11", 400, "DISCRETE_PAGINATION_LIMIT_EXCEEDED"),
        ("GET", "/crm/v8/settings/fields", 400, "REQUIRED_PARAM_MISSING"),
        ("POST", "/crm/v8/Leads", 400, "MANDATORY_NOT_FOUND"),
    ],
)
def test_refusals_bear_the_vendors_codes(api: Api, method: str, path: str, status: int, code: str) -> None:
    answer = api.http.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("items", "status"), [((LEAD,), 201), ((LEAD, {"Company": "-"}), 207), (({"Company": "-"},), 400)]
)
def test_the_status_of_a_write_tells_how_many_succeeded(
    api: Api, items: tuple[dict[str, Any], ...], status: int
) -> None:
    answer = api.insert("Leads", *items)
    assert answer.status_code == status
    assert len(answer.json()["data"]) == len(items)


@pytest.mark.parametrize(
    ("module", "item", "field"),
    [
        ("Leads", {**LEAD, "Owner": {"id": "5725767000000411009"}}, "Owner"),
        ("Leads", {**LEAD, "Email": "nonsense"}, "Email"),
        ("Leads", {**LEAD, "Lead_Status": "Nonsense"}, "Lead_Status"),
        ("Leads", {**LEAD, "Last_Name": "x" * 81}, "Last_Name"),
        ("Leads", {**LEAD, "Tag": [{"name": "x" * 26}]}, "Tag"),
        ("Tasks", {"Subject": "x", "Due_Date": "29.07.2026"}, "Due_Date"),
        ("Tasks", {"Subject": "x", "What_Id": {"id": "1"}}, "What_Id"),
        ("Calls", {"Call_Type": "Inbound", "Call_Start_Time": "2026-07-29T11:05:45.5+03:00"}, "Call_Start_Time"),
        ("Calls", {"Call_Type": "Inbound", "Call_Start_Time": "2026-07-29T11:05:45+03:00"}, "Call_Duration"),
        (
            "Calls",
            {"Call_Type": "Missed", "Call_Start_Time": "2026-07-29T11:05:45+03:00", "Call_Duration": "01:00"},
            "Call_Duration",
        ),
    ],
)
def test_each_violated_rule_names_its_field(api: Api, module: str, item: dict[str, Any], field: str) -> None:
    """3, 5: fractions of a second, durations, lookups without their module, deactivated owners."""
    (told,) = api.insert(module, item).json()["data"]
    assert (told["code"], told["details"]["api_name"]) == ("INVALID_DATA", field)
    assert told["details"]["json_path"] == f"$.data[0].{field}"


# --- reading ----------------------------------------------------------------------------------------------------


def test_search_lags_and_coql_does_not(api: Api) -> None:
    """4: the index knows a record as it was."""
    api.sandbox.switch(search_lag_seconds=30)
    (told,) = api.insert("Leads", LEAD).json()["data"]
    assert api.get("/Leads/search", fields="Phone", phone="0671230001").status_code == 204
    found = api.coql("select id from Leads where Phone like '%671230001'").json()["data"]
    assert [one["id"] for one in found] == [told["details"]["id"]]
    api.sandbox.advance(31)
    assert len(api.get("/Leads/search", fields="Phone", phone="0671230001").json()["data"]) == 1


def test_the_first_kind_of_search_acts_and_the_others_are_ignored(api: Api) -> None:
    api.insert("Leads", LEAD, {**LEAD, "Last_Name": "O(Neil)", "Phone": "+380500000000"})
    found = api.get("/Leads/search", fields="Last_Name", phone="0671230001", criteria=r"(Last_Name:equals:O\(Nei)")
    assert [one["Last_Name"] for one in found.json()["data"]] == ["O(Neil)"]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("select id from Leads where id is not null", 3),
        ("select id from Leads where (Phone = '+380671230001' or Last_Name = 'O''Neil')", 2),
        ("select id from Leads where ((id is not null and Phone like '%1') or Phone is null) limit 0, 200", 2),
        ("select id from Leads where Last_Name in ('Белая', 'O''Neil') order by Modified_Time desc", 2),
        ("select id, Owner from Leads where Last_Name not like '%Neil%' limit 1, 1", 1),
        ("select id from Leads where Modified_Time > '2030-01-01T00:00:00+00:00'", 0),
    ],
)
def test_coql_selects(api: Api, query: str, count: int) -> None:
    api.insert(
        "Leads", LEAD, {"Last_Name": "O'Neil", "Company": "-", "Phone": "+38"}, {"Last_Name": "x", "Company": "-"}
    )
    answer = api.coql(query)
    assert answer.status_code == (200 if count else 204), answer.text
    assert len(answer.json()["data"] if count else []) == count


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("select id from Leads", "SYNTAX_ERROR"),
        ("select id from Leads where A = 1 and B = 2 and C = 3", "INVALID_QUERY"),
        ("select id from Leads where Phone = '1' and Phone = '2' and Phone = '3'", "SYNTAX_ERROR"),
        ("select Nonsense from Leads where id is not null", "INVALID_QUERY"),
        ("select id from Nonsense where id is not null", "INVALID_QUERY"),
        ("select id from Leads where id is not null limit 0, 201", "LIMIT_EXCEEDED"),
        ("drop table", "SYNTAX_ERROR"),
    ],
)
def test_coql_refuses_what_it_does_not_know(api: Api, query: str, code: str) -> None:
    answer = api.coql(query)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_pages_go_on_by_number_then_by_token_for_the_same_question_only(api: Api) -> None:
    api.sandbox.seed(contacts=5)
    first = api.get("/Contacts", fields="Last_Name", per_page="2").json()
    token = first["info"]["next_page_token"]
    second = api.get("/Contacts", fields="Last_Name", per_page="2", page_token=token).json()
    assert {one["id"] for one in first["data"]}.isdisjoint(one["id"] for one in second["data"])
    other = api.get("/Contacts", fields="id", per_page="2", page_token=token)
    assert other.json()["code"] == "TOKEN_BOUND_DATA_MISMATCH"


def test_unchanged_is_304_and_deleted_records_are_listed(api: Api) -> None:
    (told,) = api.insert("Leads", LEAD).json()["data"]
    assert api.get("/Leads", fields="id", since="2030-01-01T00:00:00+00:00").status_code == 304
    assert api.http.delete(f"/crm/v8/Leads/{told['details']['id']}").status_code == 200
    listed = api.get("/Leads/deleted", type="all", since="2020-01-01T00:00:00+00:00").json()["data"]
    assert [one["id"] for one in listed] == [told["details"]["id"]]


# --- tokens -----------------------------------------------------------------------------------------------------


def test_token_errors_come_with_200_and_the_eleventh_is_denied(api: Api) -> None:
    assert api.token(client_secret="wrong") == {"error": "invalid_client_secret"}
    assert api.token(refresh_token="wrong") == {"error": "invalid_code"}
    for _ in range(9):
        assert "access_token" in api.token()
    denied = api.token()
    assert (denied["error"], denied["status"]) == ("Access Denied", "failure")
    api.sandbox.advance(601)
    assert "access_token" in api.token()


def test_tokens_die_after_an_hour_and_bearer_is_not_taken(api: Api) -> None:
    assert api.get("/org").status_code == 200
    bearer = api.http.get("/crm/v8/org", headers={"Authorization": "Bearer x"})
    assert (bearer.status_code, bearer.json()["code"]) == (401, "INVALID_TOKEN")
    api.sandbox.advance(3601)
    assert api.get("/org").json()["code"] == "INVALID_TOKEN"


def test_the_sixteenth_token_kills_the_oldest(api: Api) -> None:
    grant = api.sandbox.oauth.grants[api.refresh_token]
    for _ in range(15):
        api.sandbox.oauth.issue(grant)
    assert api.get("/org").status_code == 401


# --- limits and faults ------------------------------------------------------------------------------------------


def test_more_calls_at_once_than_allowed_are_refused(api: Api) -> None:
    """2: counted from arrival to answer."""
    api.sandbox.switch(concurrency=3, latency_ms=(600, 600))
    ready = threading.Barrier(6)

    def ask(_: int) -> int:
        ready.wait()
        return httpx.get(f"{api.url}/crm/v8/org", headers=dict(api.http.headers), trust_env=False).status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(ask, range(6)))
    assert statuses.count(200) >= 3
    assert 429 in statuses
    api.sandbox.switch(latency_ms=None)
    assert api.get("/org").status_code == 200


def test_the_days_credits_are_counted_and_run_out(api: Api) -> None:
    """2: one for a call, one for ten records, five for a conversion; the rest is told after half of them."""
    api.sandbox.switch(credits=20)
    assert "x-api-credits-remaining" not in api.get("/org").headers
    left = api.insert("Leads", *({**LEAD, "Last_Name": f"n{n}"} for n in range(100))).headers["x-api-credits-remaining"]
    assert left == "9"
    lead = api.get("/Leads", fields="id", per_page="1").json()["data"][0]["id"]
    api.http.post(f"/crm/v8/Leads/{lead}/actions/convert", json={"data": [{}]})
    for _ in range(3):
        assert api.get("/org").status_code == 200
    assert api.get("/org").json()["code"] == "TOO_MANY_REQUESTS"
    api.sandbox.advance(86401)
    api.http.headers["Authorization"] = f"Zoho-oauthtoken {api.token()['access_token']}"
    assert api.get("/org").status_code == 200


@pytest.mark.parametrize(
    ("fault", "leads"),
    [
        ({"kind": "throttle"}, 0),
        ({"status": 500}, 0),
        ({"status": 500, "applied": True}, 1),
        ({"kind": "disconnect"}, 0),
        ({"kind": "disconnect", "applied": True}, 1),
        ({"kind": "slow", "delay": 0.05}, 1),
        ({"kind": "late", "late": (0.01, 0.02)}, 1),
        ({"kind": "down"}, 0),
    ],
    ids=str,
)
def test_faults_strike_once_and_apply_as_ordered(api: Api, fault: dict[str, Any], leads: int) -> None:
    api.sandbox.fail_next("POST", "/crm/v8/Leads", **fault)
    try:
        status = api.insert("Leads", LEAD).status_code
    except httpx.TransportError:
        status = 0
    assert (status == 201) is (fault.get("kind") == "slow")
    api.sandbox.settle()
    assert len(api.sandbox.records()["Leads"]) == leads
    assert api.insert("Leads", {**LEAD, "Last_Name": "Другая"}).status_code == 201


def test_a_hanging_connection_is_held_until_it_is_released(api: Api) -> None:
    api.sandbox.fail_next("GET", "/crm/v8/org", kind="hang")
    threading.Timer(0.2, api.sandbox.clear_faults).start()
    began = time.monotonic()
    with pytest.raises(httpx.TransportError):
        api.get("/org")
    assert time.monotonic() - began >= 0.15


def test_orders_come_over_http_too_and_a_wrong_one_names_what_is_wrong(api: Api) -> None:
    refused = api.http.post("/_sandbox/switches", json={"nonsense": 1})
    assert (refused.status_code, "nonsense" in refused.json()["error"]) == (400, True)
    assert api.http.post("/_sandbox/faults", json={"kind": "nonsense"}).status_code == 400
    assert api.http.post("/_sandbox/switches", json={"concurrency": 4}).json()["concurrency"] == 4
    made = api.http.post("/_sandbox/person", json={"action": "create", "module": "Leads", **LEAD}).json()
    assert [one["id"] for one in api.http.get("/_sandbox/records").json()["Leads"]] == [made["id"]]
    assert api.http.post("/_sandbox/person", json={"action": "dance"}).status_code == 400
    assert api.http.get("/_sandbox/stats").json()["violations"] == 0
    assert api.http.post("/_sandbox/tokens", json={"kind": "code"}).json()["code"]


def test_the_command_line_turns_switches() -> None:
    options = _parser().parse_args(
        ["--concurrency", "0", "--latency", "50-400", "--late-apply", "20", "--search-lag", "2"]
    )
    assert _switches(options) == {
        "search_lag_seconds": 2.0,
        "concurrency": None,
        "latency_ms": (50, 400),
        "late_apply_seconds": (0.0, 20.0),
        "late_apply_probability": 0.05,
    }
