"""Tasks, notes, calls, incoming leads, events and popups of the sandbox (reference 10, 13 to 18, 23)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hub_amocrm.sandbox import Sandbox

CLIENT = "+74950000222"
Json = dict[str, Any]


def made(answer: httpx.Response, kind: str) -> int:
    assert answer.status_code == 200, answer.text
    return int(answer.json()["_embedded"][kind][0]["id"])


def call(**more: Any) -> Json:
    return {"direction": "inbound", "duration": 30, "source": "Ringostat", "phone": CLIENT, **more}


def sip(uid: str = "u", **more: Any) -> Json:
    metadata = {
        "phone": "74950000333",
        "from": "74950000333",
        "called_at": 1767200290,
        "duration": 0,
        "link": "",
        "service_code": "hub",
        "uniq": "r1",
        "is_call_event_needed": True,
    }
    phone = {"field_code": "PHONE", "values": [{"value": "+74950000333", "enum_code": "WORK"}]}
    embedded = {"leads": [{"name": "Missed"}], "contacts": [{"name": "p", "custom_fields_values": [phone]}]}
    return {
        "source_uid": uid,
        "source_name": "Ringostat",
        "metadata": metadata,
        "_embedded": embedded,
        "request_id": "ev-80",
        **more,
    }


def test_task_is_made_filtered_and_completed(sandbox: Sandbox, api: httpx.Client) -> None:
    lead = sandbox.person("create_lead", name="l")["id"]
    item = {"text": "Call back", "complete_till": 1767200000, "entity_id": lead, "entity_type": "leads"}
    items = [item | {"responsible_user_id": 8800102, "task_type_id": 2300001}, item | {"complete_till": 5}]
    first, second = (t["id"] for t in api.post("/api/v4/tasks", json=items).json()["_embedded"]["tasks"])
    shown = api.get(f"/api/v4/tasks/{first}").json()
    assert (shown["result"], shown["is_completed"], shown["task_type_id"]) == ([], False, 2300001)
    assert api.get(f"/api/v4/leads/{lead}").json()["closest_task_at"] == 5

    done = {"is_completed": True, "result": {"text": "Called back"}}
    assert api.patch(f"/api/v4/tasks/{second}", json=done).json()["id"] == second
    assert api.get(f"/api/v4/tasks/{second}").json()["result"] == {"text": "Called back"}
    assert api.get(f"/api/v4/leads/{lead}").json()["closest_task_at"] == 1767200000
    cases: list[tuple[str, list[int]]] = [
        ("filter[is_completed]=0", [first]),
        ("filter[is_completed]=1", [second]),
        ("filter[responsible_user_id][]=8800102", [first]),
        ("filter[task_type][]=2300001", [first]),
        (f"filter[entity_type]=leads&filter[entity_id][]={lead}&filter[is_completed]=0", [first]),
        ("filter[entity_type]=leads&filter[entity_id][]=1", []),
        ("order[complete_till]=asc", [second, first]),
        ("order[created_at]=desc", [second, first]),
    ]
    for query, expected in cases:
        answer = api.get(f"/api/v4/tasks?{query}")
        found = [t["id"] for t in answer.json()["_embedded"]["tasks"]] if answer.content else []
        assert found == expected, query


@pytest.mark.parametrize("kind", ["leads", "contacts", "companies"])
def test_call_notes_are_written_read_and_corrected_on_every_card(
    sandbox: Sandbox, api: httpx.Client, kind: str
) -> None:
    action = {"leads": "create_lead", "contacts": "create_contact", "companies": "create_company"}[kind]
    card = sandbox.person(action, name="x")["id"]
    params = {"uniq": "r1", "duration": 30, "source": "Ringostat", "link": "https://r/1.mp3", "phone": CLIENT}
    item = {"entity_id": card, "note_type": "call_in", "params": params | {"call_responsible": 8800102}}
    answer = api.post(f"/api/v4/{kind}/notes", json=[item | {"request_id": "n"}])
    note = made(answer, "notes")
    assert answer.json()["_embedded"]["notes"][0] | {"_links": 0} == {
        "id": note,
        "entity_id": card,
        "request_id": "n",
        "_links": 0,
    }
    common = {"note_type": "common", "params": {"text": "hello"}}
    other = made(api.post(f"/api/v4/{kind}/{card}/notes", json=[common]), "notes")
    for path in (f"{kind}/notes/{note}", f"{kind}/{card}/notes/{note}"):
        assert api.get(f"/api/v4/{path}").json()["params"]["uniq"] == "r1"
    calls = api.get(f"/api/v4/{kind}/{card}/notes?filter[note_type][]=call_in").json()["_embedded"]["notes"]
    assert [n["id"] for n in calls] == [note]
    newest = api.get(f"/api/v4/{kind}/notes?order[id]=desc&limit=1").json()["_embedded"]["notes"]
    assert [n["id"] for n in newest] == [other]

    change = {"note_type": "call_in", "params": {"link": "https://r/2.mp3"}}
    changed = api.patch(f"/api/v4/{kind}/{card}/notes/{note}", json=change)
    assert changed.json()["_embedded"]["notes"][0]["id"] == note
    assert api.get(f"/api/v4/{kind}/notes/{note}").json()["params"] == params | {
        "call_responsible": 8800102,
        "link": "https://r/2.mp3",
    }
    assert api.post(f"/api/v4/{kind}/notes/{other}/pin").status_code == 204
    pinned = api.get(f"/api/v4/{kind}/notes/{other}?with=is_pinned").json()
    assert pinned["is_pinned"] is True


CALL_PLACES = [
    # what the CRM knows                      entity of the note
    ("contact without leads", "contact"),
    ("contact with one active lead", "lead"),
    ("contact with two active leads", "contact"),
    ("contact with a closed lead", "contact"),
    ("company", "company"),
]


@pytest.mark.parametrize(("known", "place"), CALL_PLACES, ids=[row[0] for row in CALL_PLACES])
def test_calls_find_their_card_by_phone(sandbox: Sandbox, api: httpx.Client, known: str, place: str) -> None:
    kind = "create_company" if known == "company" else "create_contact"
    card = sandbox.person(kind, name="x", phone="8 (495) 000-02-22")["id"]
    leads = {"contact with one active lead": 1, "contact with two active leads": 2, "contact with a closed lead": 1}
    found = [sandbox.person("create_lead", contact_id=card)["id"] for _ in range(leads.get(known, 0))]
    if "closed" in known:
        sandbox.person("close_lead", id=found[0])
    body = api.post("/api/v4/calls", json=[call(uniq="r1", call_status=4, request_id="c1")]).json()
    saved = body["_embedded"]["calls"][0]
    assert (saved["entity_type"], saved["request_id"]) == (place, "c1")
    assert saved["entity_id"] == (found[0] if place == "lead" else card)
    assert (body["_total_items"], body["errors"]) == (1, [])


def test_call_of_an_unknown_number_is_dropped_into_errors(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.person("create_contact", name="look-alike", phone="+38091 0000222")
    answer = api.post("/api/v4/calls", json=[call(request_id="c1")])
    assert answer.status_code == 400
    assert answer.json() == {
        "_total_items": 0,
        "errors": [{"title": "Entity not found", "request_id": "c1"}],
        "_embedded": {"calls": []},
    }
    sandbox.person("create_contact", name="right", phone=CLIENT)
    both = api.post("/api/v4/calls", json=[call(), call(phone="+79990001122")])
    assert (both.status_code, len(both.json()["errors"])) == (200, 1)
    assert len(sandbox.records()["calls"]) == 1


@pytest.mark.parametrize("empty", ["call_result", "call_status"])
def test_call_with_null_fields_is_refused(sandbox: Sandbox, api: httpx.Client, empty: str) -> None:
    sandbox.person("create_contact", name="x", phone=CLIENT)
    answer = api.post("/api/v4/calls", json=[call(**{empty: None})])
    assert answer.json()["validation-errors"][0]["errors"][0]["path"] == empty
    assert api.post("/api/v4/calls", json=[call()]).status_code == 200


def test_incoming_lead_hides_its_contact_until_it_is_accepted(sandbox: Sandbox, api: httpx.Client) -> None:
    body = api.post("/api/v4/leads/unsorted/sip", json=[sip()]).json()
    assert (body["_total_items"], body["_embedded"]["unsorted"][0]["request_id"]) == (1, "ev-80")
    item = body["_embedded"]["unsorted"][0]
    uid, lead = item["uid"], item["_embedded"]["leads"][0]["id"]
    person = item["_embedded"]["contacts"][0]["id"]
    assert api.get(f"/api/v4/leads/{lead}").json()["status_id"] == 9100010
    assert api.get("/api/v4/contacts").status_code == 204
    assert api.get("/api/v4/contacts?query=4950000333").status_code == 204
    assert api.get(f"/api/v4/contacts/{person}").json()["is_unsorted"] is True
    task = {"text": "t", "complete_till": 1, "entity_id": person, "entity_type": "contacts"}
    assert api.post("/api/v4/tasks", json=[task]).status_code == 400
    assert [note["note_type"] for note in sandbox.records()["notes"]] == ["call_in"]
    listed = api.get("/api/v4/leads/unsorted?filter[category][]=sip").json()["_embedded"]["unsorted"]
    assert (listed[0]["uid"], listed[0]["metadata"]["phone"]) == (uid, "74950000333")

    answer = api.post(f"/api/v4/leads/unsorted/{uid}/accept", json={"user_id": 8800103, "status_id": 9100012})
    assert answer.json()["_embedded"]["leads"][0]["id"] == lead
    shown = api.get(f"/api/v4/leads/{lead}").json()
    assert (shown["status_id"], shown["responsible_user_id"]) == (9100012, 8800103)
    assert len(api.get("/api/v4/contacts?query=4950000333").json()["_embedded"]["contacts"]) == 1
    assert api.get(f"/api/v4/leads/unsorted/{uid}").status_code == 404
    assert api.get("/api/v4/leads/unsorted").status_code == 204


def test_declined_incoming_lead_is_gone_and_counted(sandbox: Sandbox, api: httpx.Client) -> None:
    forms = {"form_id": "f", "form_name": "n", "form_page": "p", "form_sent_at": 1767200290, "ip": "1.1.1.1"}
    answers = [api.post("/api/v4/leads/unsorted/forms", json=[sip(uid, metadata=forms)]).json() for uid in ("a", "b")]
    uid = answers[0]["_embedded"]["unsorted"][0]["uid"]
    assert api.delete(f"/api/v4/leads/unsorted/{uid}/decline").json()["uid"] == uid
    summary = api.get("/api/v4/leads/unsorted/summary").json()
    assert (summary["total"], summary["accepted"], summary["declined"]) == (2, 0, 1)
    assert summary["categories"]["forms"] == {"total": 2}
    assert [lead["is_deleted"] for lead in sandbox.records()["leads"]] == [True, False]


def test_complex_with_metadata_is_an_incoming_lead(api: httpx.Client) -> None:
    metadata = {"category": "sip", "phone": "7495", "service_code": "hub", "called_at": 1, "duration": 0, "link": ""}
    item = {"name": "l", "_embedded": {"contacts": [{"name": "p"}], "metadata": metadata}}
    done = api.post("/api/v4/leads/complex", json=[item]).json()[0]
    listed = api.get("/api/v4/leads/unsorted").json()["_embedded"]["unsorted"]
    assert listed[0]["_embedded"]["leads"][0]["id"] == done["id"]
    assert api.get(f"/api/v4/contacts/{done['contact_id']}").json()["is_unsorted"] is True


def test_changes_are_told_in_the_event_log_newest_first(sandbox: Sandbox, api: httpx.Client) -> None:
    person = sandbox.person("create_contact", name="p", phone=CLIENT)["id"]
    lead = sandbox.person("create_lead", name="l", contact_id=person)["id"]
    sandbox.advance(60)
    since = sandbox.world.now()
    api.patch(f"/api/v4/leads/{lead}", json={"responsible_user_id": 8800102, "tags_to_add": [{"name": "t"}]})
    api.patch(f"/api/v4/leads/{lead}", json={"status_id": 142})
    note = {
        "entity_id": lead,
        "note_type": "call_in",
        "params": {"uniq": "u", "duration": 1, "source": "s", "phone": "p"},
    }
    api.post("/api/v4/leads/notes", json=[note])
    task = sandbox.person("create_task", entity_id=lead, entity_type="leads")["id"]
    sandbox.person("complete_task", id=task, result="ok")

    events = api.get(f"/api/v4/events?filter[created_at][from]={since}&with=lead_name").json()["_embedded"]["events"]
    assert [event["type"] for event in events] == [
        "task_result_added",
        "task_completed",
        "task_added",
        "incoming_call",
        "lead_status_changed",
        "entity_tag_added",
        "entity_responsible_changed",
    ]
    status = events[4]
    assert status["value_before"] == [{"lead_status": {"id": 9100011, "pipeline_id": 9100001}}]
    assert status["value_after"] == [{"lead_status": {"id": 142, "pipeline_id": 9100001}}]
    assert status["_embedded"]["entity"]["name"] == "l"
    assert events[6]["value_before"] == [{"responsible_user": {"id": 8800101}}]
    assert events[6]["value_after"] == [{"responsible_user": {"id": 8800102}}]
    cases: list[tuple[str, int]] = [
        ("filter[type]=lead_added,contact_added", 2),
        ("filter[type][]=entity_linked", 2),
        (f"filter[entity][]=lead&filter[entity_id][]={lead}", 6),
        ("filter[entity]=task&filter[type]=task_added", 1),
        (f"filter[created_at]=0,{since - 1}", 4),
        ("filter[created_by][]=5", 0),
    ]
    for query, expected in cases:
        answer = api.get(f"/api/v4/events?{query}")
        found = answer.json()["_embedded"]["events"] if answer.content else []
        assert len(found) == expected, (query, [event["type"] for event in found])
    assert api.get(f"/api/v4/events/{status['id']}").json()["type"] == "lead_status_changed"
    assert api.get("/api/v4/events/types?language_code=ru").json()["_total_items"] > 30


def test_merge_by_a_person_keeps_the_survivor_and_moves_everything(sandbox: Sandbox, api: httpx.Client) -> None:
    kept = sandbox.person("create_contact", name="kept", phone="+74950000001")["id"]
    lost = sandbox.person("create_contact", name="lost", phone="+74950000002")["id"]
    lead = sandbox.person("create_lead", contact_id=lost)["id"]
    task = sandbox.person("create_task", entity_id=lost, entity_type="contacts")["id"]
    sandbox.person("create_note", entity="contacts", id=lost, text="n")
    sandbox.person("merge_contacts", survivor=kept, losers=[lost])

    assert api.get(f"/api/v4/contacts/{lost}").status_code == 204
    shown = api.get(f"/api/v4/contacts/{kept}?with=leads").json()
    phones = [value["value"] for value in shown["custom_fields_values"][0]["values"]]
    assert phones == ["+74950000001", "+74950000002"]
    assert [entry["id"] for entry in shown["_embedded"]["leads"]] == [lead]
    assert api.get(f"/api/v4/leads/{lead}?with=contacts").json()["_embedded"]["contacts"][0]["id"] == kept
    assert api.get(f"/api/v4/tasks/{task}").json()["entity_id"] == kept
    assert len(api.get(f"/api/v4/contacts/{kept}/notes").json()["_embedded"]["notes"]) == 1
    merged = api.get("/api/v4/events?filter[type]=entity_merged,contact_deleted").json()["_embedded"]["events"]
    assert {(event["type"], event["entity_id"]) for event in merged} == {
        ("entity_merged", kept),
        ("contact_deleted", lost),
    }
    assert [card["id"] for card in api.get("/api/v4/contacts?with=only_deleted").json()["_embedded"]["contacts"]] == [
        lost
    ]


def test_deactivated_user_is_refused_until_taken_back(sandbox: Sandbox, api: httpx.Client) -> None:
    item = [{"name": "x", "responsible_user_id": 8800102}]
    sandbox.person("deactivate_user", user_id=8800102)
    assert api.post("/api/v4/contacts", json=item).status_code == 400
    sandbox.person("activate_user", user_id=8800102)
    assert api.post("/api/v4/contacts", json=item).status_code == 200


def test_popups_are_kept_for_assertions(sandbox: Sandbox, api: httpx.Client) -> None:
    card = sandbox.person("create_contact", name="x", phone=CLIENT)["id"]
    add = {"type": "phone_call", "phone_number": "74950000222", "users": [8800101, 8800102]}
    answer = api.post("/api/v2/events", json={"add": [add]})
    assert answer.status_code == 200
    assert answer.json()["_embedded"]["items"][0]["element_id"] == card
    assert api.post("/api/v2/events", json={"add": []}).status_code == 400
    popups = sandbox.records()["popups"]
    assert [(p["phone_number"], p["users"]) for p in popups] == [("74950000222", [8800101, 8800102])]


def test_sources_are_unique_by_external_id_and_tie_leads(api: httpx.Client) -> None:
    item = [{"name": "Ringostat", "external_id": "hub-1", "pipeline_id": 9100001}]
    source = made(api.post("/api/v4/sources", json=item), "sources")
    assert api.post("/api/v4/sources", json=item).status_code == 400
    assert api.get("/api/v4/sources?filter[external_id][]=hub-1").json()["_total_items"] == 1
    lead = [{"name": "l", "_embedded": {"source": {"external_id": "hub-1", "type": "widget"}}}]
    done = made(api.post("/api/v4/leads", json=lead), "leads")
    shown = api.get(f"/api/v4/leads/{done}?with=source,source_id").json()
    assert (shown["source_id"], shown["_embedded"]["source"]["name"]) == (source, "Ringostat")
    assert api.patch(f"/api/v4/sources/{source}", json={"name": "R"}).json()["name"] == "R"
    assert api.delete(f"/api/v4/sources/{source}").status_code == 204
    assert api.get(f"/api/v4/sources/{source}").status_code == 404


def test_widgets_and_tags_are_minimal_but_there(api: httpx.Client) -> None:
    assert api.get("/api/v4/widgets").status_code == 204
    widget = api.post("/api/v4/widgets/nordhub", json={"key": "v"}).json()
    assert (widget["code"], widget["settings"]) == ("nordhub", {"key": "v"})
    assert api.delete("/api/v4/widgets/nordhub").status_code == 204
    tags = api.post("/api/v4/leads/tags", json=[{"name": "call", "color": "EBEBEB"}]).json()
    assert tags["_embedded"]["tags"][0]["color"] == "EBEBEB"
    assert api.get("/api/v4/leads/tags?query=ca").json()["_embedded"]["tags"][0]["name"] == "call"
