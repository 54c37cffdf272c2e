"""The sandbox ordered from outside: control API, own process, state file, bulk seeding (DESIGN 7)."""

from __future__ import annotations

import re
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from hub_amocrm.sandbox import Sandbox, SandboxConfig, Switches, collection, serve

#: Loopback is plain HTTP: a context without certificates spares each client their loading.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Sandbox, str]]:
    with serve(Sandbox()) as (sandbox, url):
        yield sandbox, url


@pytest.fixture
def control(served: tuple[Sandbox, str]) -> Iterator[httpx.Client]:
    served[0].reset()
    with httpx.Client(base_url=f"{served[1]}/_sandbox", trust_env=False, verify=PLAIN) as client:
        yield client


@pytest.fixture
def api(served: tuple[Sandbox, str], control: httpx.Client) -> Iterator[httpx.Client]:
    token = control.post("/tokens", json={"kind": "long_lived"}).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"{served[1]}/api/v4", headers=headers, trust_env=False, verify=PLAIN) as client:
        yield client


@contextmanager
def process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-W", "error", "-m", "hub_amocrm.sandbox", *arguments]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert started.stdout is not None
        yield started, started.stdout.readline().strip()
    finally:
        started.kill()
        started.communicate()


def test_switches_are_read_and_turned_by_name(control: httpx.Client) -> None:
    assert control.get("/switches").json()["limit_per_second"] == 7
    turned = control.post("/switches", json={"latency_ms": [1, 2], "search_lag_seconds": 2}).json()
    assert (turned["latency_ms"], turned["search_lag_seconds"]) == ([1, 2], 2)
    for wrong in ({"no_such": 1}, {"latency_ms": 5}, {"latency_ms": [2, 1]}):
        answer = control.post("/switches", json=wrong)
        assert answer.status_code == 400
        assert answer.json()["error"]


def test_faults_are_ordered_listed_and_withdrawn(control: httpx.Client, api: httpx.Client) -> None:
    fault = {"method": "GET", "path": "/api/v4/account", "kind": "status", "status": 502, "count": 2}
    assert control.post("/faults", json=fault).json()[0]["count"] == 2
    assert api.get("/account").status_code == 502
    assert control.get("/faults").json()[0]["count"] == 1
    assert control.delete("/faults").json() == []
    assert api.get("/account").status_code == 200
    for wrong in ({"kind": "earthquake"}, {"nonsense": 1}, {"count": 0}):
        assert control.post("/faults", json=wrong).status_code == 400


def test_control_is_not_rate_limited_and_counts_what_came(control: httpx.Client, api: httpx.Client) -> None:
    for _ in range(20):
        assert control.get("/health").json()["ok"] is True
    api.post("/leads", json=[{"name": "l"}])
    api.get("/leads/5/notes")
    stats = control.get("/stats").json()
    assert stats["requests"] == {"POST /api/v4/leads": 1, "GET /api/v4/leads/{id}/notes": 1}
    assert (stats["violations"], stats["most_in_a_second"]) == (0, 2)
    assert [entry["path"] for entry in control.get("/requests").json()] == ["/api/v4/leads", "/api/v4/leads/5/notes"]
    assert control.delete("/stats").json()["requests_total"] == 0


def test_records_tell_everything_the_crm_holds(control: httpx.Client, api: httpx.Client) -> None:
    contact = control.post("/person", json={"action": "create_contact", "name": "p", "phone": "+7495"}).json()["id"]
    lead = control.post("/person", json={"action": "create_lead", "name": "l", "contact_id": contact}).json()["id"]
    call = {
        "entity_id": lead,
        "note_type": "call_in",
        "params": {"uniq": "u", "duration": 1, "source": "s", "phone": "p"},
    }
    api.post("/leads/notes", json=[call])
    records = control.get("/records").json()
    assert records["leads"][0]["_embedded"]["contacts"][0]["id"] == contact
    assert [note["params"]["uniq"] for note in records["calls"]] == ["u"]
    assert {"companies", "tasks", "notes", "events", "popups", "unsorted", "webhooks", "seeded"} <= set(records)


PERSON = [
    # order                                                     what the lead or contact shows after
    ({"action": "change_responsible", "entity": "leads", "user_id": 8800102}, "responsible_user_id", 8800102),
    ({"action": "move_lead", "status_id": 9100021}, "pipeline_id", 9100002),
    ({"action": "close_lead"}, "status_id", 142),
    ({"action": "close_lead", "won": False, "loss_reason_id": 4101}, "status_id", 143),
    ({"action": "update", "entity": "leads", "price": 7}, "price", 7),
    ({"action": "delete", "entity": "leads"}, None, None),
]


@pytest.mark.parametrize(("order", "field", "value"), PERSON)
def test_person_acts_on_a_lead(
    control: httpx.Client, api: httpx.Client, order: dict[str, object], field: str | None, value: object
) -> None:
    lead = control.post("/person", json={"action": "create_lead", "name": "l"}).json()["id"]
    answer = control.post("/person", json=order | {"id": lead, "by": 8800103})
    assert answer.status_code == 200, answer.text
    shown = api.get(f"/leads/{lead}")
    if field is None:
        assert shown.status_code == 204
    else:
        assert (shown.json()[field], shown.json()["updated_by"]) == (value, 8800103)
    events = api.get("/events?limit=1").json()["_embedded"]["events"]
    assert events[0]["created_by"] == 8800103


def test_person_cannot_do_what_is_not_possible(control: httpx.Client) -> None:
    orders = [
        {"action": "fly"},
        {"action": "close_lead", "id": 5},
        {"action": "create_task", "responsible_user_id": 8800107},
        {"action": "merge_contacts", "survivor": 1, "losers": [2]},
        {"action": "close_lead"},
    ]
    for order in orders:
        answer = control.post("/person", json=order)
        assert answer.status_code == 400, order
        assert answer.json()["error"]


def test_account_is_widened_and_renamed_from_outside(control: httpx.Client, api: httpx.Client) -> None:
    body = {
        "users": [{"id": 9, "name": "New", "email": "n@nordtea.example"}],
        "pipelines": [{"id": 9100003, "name": "Третья", "stages": ["Первая"]}],
        "fields": [{"entity": "leads", "name": "Hub ID", "type": "text", "code": "HUB_ID"}],
    }
    assert control.post("/account", json=body).status_code == 200
    lead = [{"pipeline_id": 9100003, "status_id": 9100031, "responsible_user_id": 9}]
    assert api.post("/leads", json=lead).status_code == 200
    control.post("/person", json={"action": "rename", "pipeline_id": 9100003, "status_id": 9100031, "name": "Иначе"})
    assert api.get("/leads/pipelines/9100003/statuses/9100031").json()["name"] == "Иначе"


def test_clock_integration_and_tokens_are_set_from_outside(control: httpx.Client) -> None:
    before = control.get("/clock").json()["now"]
    assert control.post("/clock", json={"advance": 3600}).json()["now"] >= before + 3600
    changed = control.post("/integration", json={"redirect_uri": "http://127.0.0.1:1/cb"}).json()
    assert changed["redirect_uri"] == "http://127.0.0.1:1/cb"
    assert control.get("/integration").json() == changed
    for kind, key in (("long_lived", "token"), ("code", "code"), ("pair", "refresh_token")):
        assert control.post("/tokens", json={"kind": kind}).json()[key]
    assert control.post("/tokens", json={"kind": "stolen"}).status_code == 400
    assert control.post("/disconnect", json={}).json() == {"called": None}


def test_reset_opens_the_account_anew(control: httpx.Client, api: httpx.Client) -> None:
    api.post("/leads", json=[{"name": "l"}])
    control.post("/switches", json={"unpaid": True})
    control.post("/faults", json={"path": "/api"})
    assert control.post("/reset").status_code == 200
    assert control.get("/records").json()["leads"] == []
    assert control.get("/switches").json()["unpaid"] is False
    assert control.get("/stats").json()["faults_waiting"] == []
    assert api.get("/account").status_code == 401
    assert control.post("/settle", json={"at_once": True}).json()["late_waiting"] == 0


def test_seeded_records_are_the_same_each_time_and_left_out_of_the_dump(
    control: httpx.Client, api: httpx.Client
) -> None:
    seeded = control.post("/seed", json={"contacts": 300, "leads": 700}).json()
    first = seeded["contacts"]["first_id"]
    records = control.get("/records").json()
    assert (records["contacts"], records["leads"], records["seeded"]) == ([], [], {"contacts": 300, "leads": 700})
    found = api.get("/contacts?query=9000000123&with=leads").json()["_embedded"]["contacts"][0]
    assert (found["id"], len(found["_embedded"]["leads"])) == (first + 123, 2)
    control.post("/person", json={"action": "update", "entity": "contacts", "id": first, "name": "touched"})
    control.post("/person", json={"action": "create_contact", "name": "made"})
    assert {card["name"] for card in control.get("/records").json()["contacts"]} == {"touched", "made"}
    assert len(control.get("/records?seeded=1").json()["contacts"]) == 301
    assert control.post("/seed", json={"contacts": 1}).status_code == 400


def test_paging_through_many_costs_the_page_and_not_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is walked through for the first page at most; what is filtered and sorted is kept for the others."""
    walks: list[object] = []
    made, iterated = collection._View.__init__, collection.Collection.__iter__

    def make(self: Any, *given: Any) -> None:
        walks.append(given)
        made(self, *given)

    def iterate(self: Any) -> Any:
        walks.append(self)
        return iterated(self)

    monkeypatch.setattr(collection._View, "__init__", make)
    monkeypatch.setattr(collection.Collection, "__iter__", iterate)
    sandbox = Sandbox(SandboxConfig(switches=Switches(limit_per_second=None)))
    sandbox.seed(contacts=20_000, leads=30_000)
    headers = {"Authorization": f"Bearer {sandbox.long_lived_token()}"}
    with (
        serve(sandbox) as (_, url),
        httpx.Client(base_url=f"{url}/api/v4", headers=headers, trust_env=False, verify=PLAIN) as api,
    ):
        query = "filter[statuses][0][pipeline_id]=9100001&filter[statuses][0][status_id]=9100011&limit=250"
        api.get(f"/leads?{query}")
        assert walks
        walks.clear()
        seen: set[int] = set()
        page = 1
        while True:
            answer = api.get(f"/leads?{query}&page={page}")
            if not answer.content:
                break
            seen |= {lead["id"] for lead in answer.json()["_embedded"]["leads"]}
            # A write between two pages must not make the next one walk through the table.
            api.post("/leads", json=[{"name": "between", "pipeline_id": 9100002}])
            page += 1
    assert len(seen) == 1875
    assert walks == []


def test_state_is_taken_up_again(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    first = Sandbox()
    first.seed(contacts=10, leads=10)
    contact = first.person("create_contact", name="p", phone="+74950000222", tags_to_add=[{"name": "t"}])["id"]
    lead = first.person("create_lead", name="l", contact_id=contact)["id"]
    first.person("create_task", entity_id=lead, entity_type="leads")
    first.person("create_note", entity="leads", id=lead, text="n")
    first.person("deactivate_user", user_id=8800102)
    token = first.long_lived_token()
    first.save(file)

    second = Sandbox()
    second.load(file)
    assert second.records() | {"now": 0} == first.records() | {"now": 0}
    assert second.person("create_lead", name="m")["id"] == lead + 1
    with serve(second) as (_, url):
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=url, headers=headers, trust_env=False, verify=PLAIN) as api:
            assert api.get("/api/v4/contacts?query=4950000222").json()["_embedded"]["contacts"][0]["id"] == contact
            assert api.post("/api/v4/leads", json=[{"responsible_user_id": 8800102}]).status_code == 400


def test_process_prints_its_address_obeys_flags_and_keeps_its_state(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    flags = ["--limit", "3", "--latency", "1-2", "--late-apply", "20", "--search-lag", "2", "--state", str(state)]
    with process(*flags, "--seed-contacts", "5", "--seed-leads", "5") as (started, url):
        with httpx.Client(base_url=f"{url}/_sandbox", trust_env=False, verify=PLAIN) as control:
            switches = control.get("/switches").json()
            control.post("/person", json={"action": "create_lead", "name": "kept"})
        assert (switches["limit_per_second"], switches["latency_ms"]) == (3, [1, 2])
        assert (switches["late_apply_seconds"], switches["search_lag_seconds"]) == ([0.0, 20.0], 2.0)
        started.send_signal(signal.SIGTERM)
        _, errors = started.communicate(timeout=10)
        assert (started.returncode, errors) == (0, "")
    again = Sandbox()
    again.load(state)
    records = again.records()
    assert [lead["name"] for lead in records["leads"]] == ["kept"]
    assert records["seeded"] == {"contacts": 5, "leads": 5}


def test_sandbox_shares_no_line_with_hub_or_client() -> None:
    """The stand-in must not repeat the client's mistakes: it is written from the reference (STYLE 3.3)."""
    folder = Path(sys.modules["hub_amocrm.sandbox"].__file__ or "").parent
    for file in folder.glob("*.py"):
        text = file.read_text(encoding="utf-8")
        # `hub_sandbox` is what all vendors' stand-ins share; it knows neither the hub nor a client
        assert not re.search(r"(import|from) hub(\.|_(?!sandbox)| import|$)", text, re.MULTILINE), file
        assert "from .." not in text, file
