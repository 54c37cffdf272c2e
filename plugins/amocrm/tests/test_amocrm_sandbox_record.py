"""Records of the amoCRM sandbox: envelopes, lists, cards, leads, search (reference 1, 2, 6 to 9, 19, 23)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hub_amocrm.sandbox import Sandbox

Json = dict[str, Any]


def phone(number: str, **more: Any) -> Json:
    return {"field_code": "PHONE", "values": [{"value": number, **more}]}


def contact(api: httpx.Client, name: str, number: str | None = None, **more: Any) -> int:
    item = {"name": name, **more} | ({"custom_fields_values": [phone(number)]} if number else {})
    return int(api.post("/api/v4/contacts", json=[item]).json()["_embedded"]["contacts"][0]["id"])


def lead(api: httpx.Client, **item: Any) -> int:
    return int(api.post("/api/v4/leads", json=[item]).json()["_embedded"]["leads"][0]["id"])


def ids(answer: httpx.Response, kind: str) -> list[int]:
    return [item["id"] for item in answer.json()["_embedded"][kind]] if answer.content else []


EMPTY = ["contacts", "companies", "leads", "tasks", "leads/notes", "events", "leads/unsorted", "sources", "leads/tags"]


@pytest.mark.parametrize("path", EMPTY)
def test_empty_list_is_204_without_a_body(api: httpx.Client, path: str) -> None:
    answer = api.get(f"/api/v4/{path}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-type" not in answer.headers


def test_list_envelope_has_absolute_next_links_and_no_totals(api: httpx.Client) -> None:
    made = [contact(api, f"C{i}") for i in range(5)]
    answer = api.get("/api/v4/contacts", params={"limit": 2, "order[id]": "asc"})
    assert answer.headers["content-type"] == "application/hal+json"
    assert answer.headers["x-request-id"]
    seen: list[int] = []
    url: str | None = f"{api.base_url}/api/v4/contacts?limit=2&order[id]=asc"
    for page in (1, 2, 3):
        assert url is not None
        body = api.get(url).json()
        assert set(body) == {"_page", "_links", "_embedded"}
        assert body["_page"] == page
        seen += [item["id"] for item in body["_embedded"]["contacts"]]
        url = body["_links"].get("next", {}).get("href")
    assert (seen, url) == (made, None)
    first = answer.json()["_links"]["next"]["href"]
    assert first.startswith(str(api.base_url))


def test_page_is_cut_to_what_the_vendor_gives(api: httpx.Client) -> None:
    items = [{"name": f"C{i}"} for i in range(150)]
    api.post("/api/v4/contacts", json=items)
    api.post("/api/v4/contacts", json=items)
    assert len(ids(api.get("/api/v4/contacts"), "contacts")) == 50
    assert len(ids(api.get("/api/v4/contacts?limit=500"), "contacts")) == 250
    assert len(ids(api.get("/api/v4/events?limit=250"), "events")) == 100
    assert len(ids(api.get("/api/v4/contacts?limit=250&page=2"), "contacts")) == 50
    assert api.get("/api/v4/contacts?limit=250&page=3").status_code == 204


REFUSED = [
    # method, path, body                                   status  in the body
    ("POST", "contacts", {"name": "one"}, 400, "array"),
    ("POST", "contacts", [], 400, "array"),
    ("POST", "contacts", [{}] * 251, 400, "Too many"),
    ("POST", "leads/complex", [{}] * 51, 400, "Too many"),
    ("POST", "contacts", "no json", 400, "array"),
    ("PATCH", "contacts/1", [{"name": "array"}], 400, "object"),
    ("PATCH", "contacts/1", {"name": "x"}, 404, "not found"),
    ("DELETE", "contacts/1", None, 405, "not allowed"),
    ("DELETE", "leads", None, 405, "not allowed"),
    ("DELETE", "tasks/1", None, 405, "not allowed"),
    ("GET", "calls", None, 405, "not allowed"),
    ("GET", "nothing/here", None, 404, "Cannot GET"),
    ("GET", "leads/pipelines/1", None, 404, "not found"),
    ("GET", "contacts?order[name]=asc", None, 400, "Sorting"),
    ("GET", "tasks?filter[entity_id]=1", None, 400, "entity_type"),
    ("GET", "events?filter[entity_id]=1", None, 400, "entity"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "text"), REFUSED)
def test_refusals_are_problem_bodies(
    api: httpx.Client, method: str, path: str, body: Any, status: int, text: str
) -> None:
    answer = api.request(method, f"/api/v4/{path}", json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == f"https://httpstatus.es/{status}"
    assert problem["status"] == status
    assert text in problem["detail"]


def test_missing_entity_is_204_for_cards_and_404_elsewhere(api: httpx.Client) -> None:
    for kind in ("leads", "contacts", "companies", "tasks"):
        assert api.get(f"/api/v4/{kind}/99").status_code == 204
    for path in ("users/99", "events/99", "leads/notes/99", "leads/unsorted/99", "contacts/custom_fields/99"):
        assert api.get(f"/api/v4/{path}").status_code == 404


def test_request_id_is_echoed_and_falls_back_to_the_index(api: httpx.Client) -> None:
    sent = [{"name": "a", "request_id": 7}, {"name": "b"}, {"name": "c", "request_id": "x"}]
    made = api.post("/api/v4/contacts", json=sent).json()["_embedded"]["contacts"]
    assert [item["request_id"] for item in made] == [7, "1", "x"]
    assert (made[0]["is_deleted"], made[0]["is_unsorted"]) == (False, False)
    done = api.post("/api/v4/leads/complex", json=[{"name": "l", "request_id": "q"}, {"name": "m"}]).json()
    assert [item["request_id"] for item in done] == [["q"], ["1"]]


INVALID = [
    # kind        item                                                        code                  path
    ("contacts", {"responsible_user_id": 1}, "NotSupportedChoice", "responsible_user_id"),
    ("contacts", {"responsible_user_id": 8800107}, "NotSupportedChoice", "responsible_user_id"),
    ("contacts", {"created_by": 8800107}, "NotSupportedChoice", "created_by"),
    ("leads", {"updated_by": 8800107}, "NotSupportedChoice", "updated_by"),
    ("leads", {"status_id": 5}, "NotSupportedChoice", "status_id"),
    ("leads", {"pipeline_id": 5}, "NotSupportedChoice", "pipeline_id"),
    ("leads", {"pipeline_id": 9100002, "status_id": 9100011}, "NotSupportedChoice", "status_id"),
    ("leads", {"status_id": 9100010}, "NotSupportedChoice", "status_id"),
    ("leads", {"_embedded": {"contacts": [{"id": 5}]}}, "NotSupportedChoice", "_embedded.contacts.0.id"),
    ("leads", {"name": 5}, "InvalidType", "name"),
    ("leads", {"price": "12"}, "InvalidType", "price"),
    (
        "contacts",
        {"custom_fields_values": [{"field_id": 5, "values": [{"value": 1}]}]},
        "NotSupportedChoice",
        "custom_fields_values.0.field_id",
    ),
    (
        "contacts",
        {"custom_fields_values": [{"field_code": "UTM_SOURCE", "values": [{"value": "g"}]}]},
        "NotSupportedChoice",
        "custom_fields_values.0.field_code",
    ),
    (
        "contacts",
        {"custom_fields_values": [phone("1"), {"field_code": "EMAIL", "values": []}]},
        "TooFew",
        "custom_fields_values.1.values",
    ),
    (
        "contacts",
        {"custom_fields_values": [phone("+7", enum_code="MOON")]},
        "NotSupportedChoice",
        "custom_fields_values.0.values.0.enum_code",
    ),
    (
        "contacts",
        {"custom_fields_values": [{"field_id": 770201, "values": [{"value": "Луна"}]}]},
        "NotSupportedChoice",
        "custom_fields_values.0.values.0.value",
    ),
    ("tasks", {"complete_till": 1}, "FieldMissing", "text"),
    ("tasks", {"text": "t"}, "FieldMissing", "complete_till"),
    ("tasks", {"text": "t", "complete_till": 1, "task_type_id": 9}, "NotSupportedChoice", "task_type_id"),
    ("tasks", {"text": "t", "complete_till": 1, "entity_id": 9}, "FieldMissing", "entity_type"),
    (
        "tasks",
        {"text": "t", "complete_till": 1, "entity_id": 9, "entity_type": "leads"},
        "NotSupportedChoice",
        "entity_id",
    ),
    (
        "leads/notes",
        {"entity_id": 5, "note_type": "common", "params": {"text": "t"}},
        "NotSupportedChoice",
        "entity_id",
    ),
    ("leads/notes", {"entity_id": 5, "note_type": "common", "params": {}}, "FieldMissing", "params.text"),
    ("leads/complex", {"_embedded": {"contacts": [{}, {}]}}, "TooMany", "_embedded.contacts"),
    (
        "leads/complex",
        {"_embedded": {"contacts": [{"custom_fields_values": [{"field_code": "NO", "values": []}]}]}},
        "NotSupportedChoice",
        "_embedded.contacts.0.custom_fields_values.0.field_code",
    ),
    ("leads/unsorted/sip", {"source_uid": "u", "metadata": {}}, "FieldMissing", "data.source_name"),
]


@pytest.mark.parametrize(("kind", "item", "code", "path"), INVALID)
def test_bad_item_is_named_by_request_id_and_path(
    sandbox: Sandbox, api: httpx.Client, kind: str, item: Json, code: str, path: str
) -> None:
    good = {"text": "t", "complete_till": 1} if kind == "tasks" else {"name": "good"}
    good |= {"source_uid": "u", "source_name": "s"} if "unsorted" in kind else {}
    answer = api.post(f"/api/v4/{kind}", json=[good, item | {"request_id": "bad"}])
    assert answer.status_code == 400
    bad = [entry for entry in answer.json()["validation-errors"] if entry["request_id"] == "bad"]
    assert {"code": code, "path": path} in [
        {"code": error["code"], "path": error["path"]} for error in bad[0]["errors"]
    ]
    # All or nothing: the good item was not saved either.
    records = sandbox.records()
    assert [records[kind] for kind in ("contacts", "leads", "tasks")] == [[], [], []]


def test_with_partial_batches_the_good_items_are_saved(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.switch(partial_batches=True)
    items = [{"name": "good"}, {"name": "bad", "responsible_user_id": 1}]
    answer = api.post("/api/v4/contacts", json=items)
    assert [entry["request_id"] for entry in answer.json()["validation-errors"]] == ["1"]
    assert [card["name"] for card in sandbox.records()["contacts"]] == ["good"]


def test_contact_is_read_as_the_reference_shows_it(api: httpx.Client) -> None:
    item = {
        "first_name": "Oleg",
        "last_name": "Sorokin",
        "responsible_user_id": 8800102,
        "custom_fields_values": [phone("+74950000222", enum_code="MOB")],
        "tags_to_add": [{"name": "jivo"}],
    }
    made = ids(api.post("/api/v4/contacts", json=[item]), "contacts")[0]
    shown = api.get(f"/api/v4/contacts/{made}?with=leads,tags,nonsense").json()
    assert (shown["name"], shown["first_name"], shown["closest_task_at"]) == ("Oleg Sorokin", "Oleg", None)
    field = shown["custom_fields_values"][0]
    assert (field["field_code"], field["field_type"]) == ("PHONE", "multitext")
    assert (field["values"][0]["value"], field["values"][0]["enum_code"]) == ("+74950000222", "MOB")
    assert [tag["name"] for tag in shown["_embedded"]["tags"]] == ["jivo"]
    assert (shown["_embedded"]["companies"], shown["_embedded"]["leads"]) == ([], [])
    assert "leads" not in api.get(f"/api/v4/contacts/{made}").json()["_embedded"]
    assert api.get(f"/api/v4/contacts/{contact(api, 'bare')}").json()["custom_fields_values"] is None


FIELD_VALUES = [
    # kind       written                                                     read
    ("contacts", {"field_code": "PHONE", "values": [{"value": "1"}, {"value": "2", "enum_code": "HOME"}]}, ["1", "2"]),
    ("contacts", {"field_id": 770201, "values": [{"enum_id": 990003}]}, ["Рекомендация"]),
    ("contacts", {"field_id": 770201, "values": [{"value": "Сайт"}]}, ["Сайт"]),
    ("contacts", {"field_id": 770202, "values": [{"value": "2026-03-04T00:00:00+03:00"}]}, [1772571600]),
    ("contacts", {"field_id": 770203, "values": [{"value": True}]}, [True]),
    ("leads", {"field_id": 772103, "values": [{"value": 12.5}]}, ["12.5"]),
    ("leads", {"field_code": "UTM_SOURCE", "values": [{"value": "google"}]}, ["google"]),
    ("leads", {"field_code": "GCLIENTID", "values": [{"value": "1.2"}]}, ["1.2"]),
    ("leads", {"field_id": 772105, "values": [{"value": "Чай"}, {"value": "Кофе"}]}, ["Чай", "Кофе"]),
    ("companies", {"field_code": "WEB", "values": [{"value": "https://x.example"}]}, ["https://x.example"]),
]


@pytest.mark.parametrize(("kind", "written", "read"), FIELD_VALUES)
def test_field_values_are_read_back_in_the_vendors_form(
    api: httpx.Client, kind: str, written: Json, read: list[Any]
) -> None:
    made = ids(api.post(f"/api/v4/{kind}", json=[{"name": "x", "custom_fields_values": [written]}]), kind)[0]
    shown = api.get(f"/api/v4/{kind}/{made}").json()["custom_fields_values"]
    assert [value["value"] for value in shown[0]["values"]] == read


def test_sent_field_replaces_all_its_values_and_null_clears_it(api: httpx.Client) -> None:
    made = contact(api, "x", "+74950000001", tags_to_add=[{"name": "a"}, {"name": "b"}])
    mail = {"field_code": "EMAIL", "values": [{"value": "a@b.example"}]}
    api.patch(f"/api/v4/contacts/{made}", json={"custom_fields_values": [mail]})
    api.patch(f"/api/v4/contacts/{made}", json={"custom_fields_values": [phone("+74950000002")]})
    fields = api.get(f"/api/v4/contacts/{made}").json()["custom_fields_values"]
    values = {field["field_code"]: [value["value"] for value in field["values"]] for field in fields}
    assert values == {"PHONE": ["+74950000002"], "EMAIL": ["a@b.example"]}

    cleared = {"custom_fields_values": [{"field_code": "PHONE", "values": None}], "tags_to_delete": [{"name": "a"}]}
    answer = api.patch("/api/v4/contacts", json=[{"id": made, **cleared}])
    assert answer.json()["_embedded"]["contacts"][0]["name"] == "x"
    shown = api.get(f"/api/v4/contacts/{made}").json()
    assert [field["field_code"] for field in shown["custom_fields_values"]] == ["EMAIL"]
    assert [tag["name"] for tag in shown["_embedded"]["tags"]] == ["b"]
    api.patch(f"/api/v4/contacts/{made}", json={"_embedded": {"tags": [{"name": "c"}]}})
    assert [tag["name"] for tag in api.get(f"/api/v4/contacts/{made}").json()["_embedded"]["tags"]] == ["c"]


def test_patch_of_one_answers_with_the_root_id(api: httpx.Client) -> None:
    made = lead(api, name="l")
    answer = api.patch(f"/api/v4/leads/{made}", json={"price": 10}).json()
    assert set(answer) == {"id", "updated_at", "_links"}
    assert answer["id"] == made


def test_lists_filter_by_ranges_pairs_and_values(sandbox: Sandbox, api: httpx.Client) -> None:
    early = lead(api, name="early", price=100, responsible_user_id=8800102)
    sandbox.advance(100)
    now = sandbox.world.now()
    late = lead(api, name="late", pipeline_id=9100002, status_id=9100021, price=900)
    closed = lead(api, name="closed", status_id=142)
    cases: list[tuple[str, list[int]]] = [
        (f"filter[updated_at][from]={now}", [late, closed]),
        (f"filter[updated_at][to]={now - 1}", [early]),
        (f"filter[updated_at]={now + 5000}", []),
        (f"filter[id][]={early}&filter[id][]={closed}", [early, closed]),
        (f"filter[id]={late}", [late]),
        ("filter[pipeline_id]=9100002", [late]),
        ("filter[statuses][0][pipeline_id]=9100001&filter[statuses][0][status_id]=142", [closed]),
        ("filter[responsible_user_id][]=8800102", [early]),
        ("filter[price][from]=50&filter[price][to]=500", [early]),
        ("filter[name]=late", [late]),
        (f"filter[updated_at][from]={now}&filter[pipeline_id]=9100001&order[id]=desc", [closed]),
        ("order[created_at]=desc", [closed, late, early]),
        ("order[updated_at]=asc&limit=2&page=2", [closed]),
        ("query=clos", [closed]),
    ]
    for query, expected in cases:
        assert ids(api.get(f"/api/v4/leads?{query}"), "leads") == expected, query


def test_filters_are_ignored_where_the_account_lacks_the_feature(sandbox: Sandbox, api: httpx.Client) -> None:
    both = [contact(api, "a"), contact(api, "b")]
    assert ids(api.get(f"/api/v4/contacts?filter[id]={both[0]}"), "contacts") == both[:1]
    sandbox.switch(is_api_filter_enabled=False)
    assert ids(api.get(f"/api/v4/contacts?filter[id]={both[0]}"), "contacts") == both
    assert api.get("/api/v4/account?with=is_api_filter_enabled").json()["is_api_filter_enabled"] is False


def test_change_moves_a_record_in_every_order(sandbox: Sandbox, api: httpx.Client) -> None:
    first, second = contact(api, "a"), contact(api, "b")
    sandbox.advance(10)
    api.patch(f"/api/v4/contacts/{first}", json={"responsible_user_id": 8800103})
    newest = api.get("/api/v4/contacts?order[updated_at]=desc")
    assert ids(newest, "contacts") == [first, second]
    assert ids(api.get("/api/v4/contacts?filter[responsible_user_id]=8800103"), "contacts") == [first]
    api.patch(f"/api/v4/contacts/{first}", json={"responsible_user_id": 8800102})
    assert ids(api.get("/api/v4/contacts?filter[responsible_user_id]=8800103"), "contacts") == []


@pytest.mark.parametrize("spelling", ["4950000222", "84950000222", "+7 (495) 000-02-22", "0000222"])
def test_search_compares_the_last_seven_digits(api: httpx.Client, spelling: str) -> None:
    right = contact(api, "right", "+74950000222")
    look_alike = contact(api, "look-alike", "+3809 10000222")
    contact(api, "other", "+74950000223")
    assert ids(api.get("/api/v4/contacts", params={"query": spelling}), "contacts") == [right, look_alike]


def test_search_looks_at_names_and_other_fields_too(api: httpx.Client) -> None:
    by_name = contact(api, "+7 495 000-05-55")
    contact(api, "Пётр", "+74950000556")
    assert ids(api.get("/api/v4/contacts", params={"query": "4950000555"}), "contacts") == [by_name]
    assert len(ids(api.get("/api/v4/contacts", params={"query": "пётр"}), "contacts")) == 1


def test_search_lags_behind_and_lists_do_not(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.switch(search_lag_seconds=2)
    made = contact(api, "fresh", "+74950000777")
    assert api.get("/api/v4/contacts?query=4950000777").status_code == 204
    assert ids(api.get("/api/v4/contacts"), "contacts") == [made]
    sandbox.advance(2)
    assert ids(api.get("/api/v4/contacts?query=4950000777"), "contacts") == [made]


def test_lead_closes_with_the_stage_alone_and_reopens_with_its_pipeline(api: httpx.Client) -> None:
    made = lead(api, name="l", pipeline_id=9100002)
    api.patch(f"/api/v4/leads/{made}", json={"status_id": 143, "loss_reason_id": 4100})
    closed = api.get(f"/api/v4/leads/{made}?with=loss_reason").json()
    assert (closed["pipeline_id"], closed["status_id"]) == (9100002, 143)
    assert closed["closed_at"] is not None
    assert closed["_embedded"]["loss_reason"][0]["name"] == "Дорого"
    assert api.patch(f"/api/v4/leads/{made}", json={"status_id": 9100021}).status_code == 400
    api.patch(f"/api/v4/leads/{made}", json={"status_id": 9100021, "pipeline_id": 9100002})
    reopened = api.get(f"/api/v4/leads/{made}").json()
    assert (reopened["status_id"], reopened["closed_at"], reopened["loss_reason_id"]) == (9100021, None, None)


def test_new_lead_stands_in_the_first_stage_with_a_main_contact(api: httpx.Client) -> None:
    one, other = contact(api, "a"), contact(api, "b")
    contacts = [{"id": one}, {"id": other, "is_main": True}]
    made = lead(api, _embedded={"contacts": contacts})
    shown = api.get(f"/api/v4/leads/{made}?with=contacts").json()
    assert (shown["pipeline_id"], shown["status_id"]) == (9100001, 9100011)
    assert {c["id"]: c["is_main"] for c in shown["_embedded"]["contacts"]} == {one: False, other: True}
    assert shown["name"].endswith(f"#{made}")
    card = api.get(f"/api/v4/contacts/{one}?with=leads").json()
    assert [entry["id"] for entry in card["_embedded"]["leads"]] == [made]


def test_links_are_made_read_and_undone(api: httpx.Client) -> None:
    made, person = lead(api, name="l"), contact(api, "p")
    firm = ids(api.post("/api/v4/companies", json=[{"name": "firm"}]), "companies")[0]
    target = {"to_entity_id": person, "to_entity_type": "contacts", "metadata": {"is_main": True}}
    linked = api.post(f"/api/v4/leads/{made}/link", json=[target]).json()["_embedded"]["links"]
    assert linked[0]["entity_id"] == made
    assert linked[0]["metadata"] == {"main_contact": True}
    api.post(f"/api/v4/leads/{made}/link", json=[target])
    bulk = [{"entity_id": person, "to_entity_id": firm, "to_entity_type": "companies"}]
    assert api.post("/api/v4/contacts/link", json=bulk).status_code == 200
    links = api.get(f"/api/v4/contacts/{person}/links").json()
    assert links["_total_items"] == 2
    assert {(link["to_entity_type"], link["to_entity_id"]) for link in links["_embedded"]["links"]} == {
        ("leads", made),
        ("companies", firm),
    }
    many = api.get(f"/api/v4/contacts/links?filter[entity_id][]={person}").json()["_embedded"]["links"]
    assert {link["entity_id"] for link in many} == {person}
    assert api.post(f"/api/v4/leads/{made}/unlink", json=[target]).status_code == 204
    assert api.get(f"/api/v4/leads/{made}/links").status_code == 204
    bad = [{"to_entity_id": 5, "to_entity_type": "contacts"}]
    assert api.post(f"/api/v4/leads/{made}/link", json=bad).status_code == 400


def test_complex_makes_lead_contact_and_company_at_once(api: httpx.Client) -> None:
    known = contact(api, "known")
    item = {
        "name": "l",
        "_embedded": {
            "contacts": [{"name": "p", "custom_fields_values": [phone("+74950000900")]}],
            "companies": [{"name": "firm"}],
        },
    }
    body = api.post("/api/v4/leads/complex", json=[item, {"_embedded": {"contacts": [{"id": known}]}}]).json()
    assert isinstance(body, list)
    assert [entry["merged"] for entry in body] == [False, False]
    assert body[1]["contact_id"] == known
    assert body[1]["company_id"] is None
    shown = api.get(f"/api/v4/contacts/{body[0]['contact_id']}?with=leads").json()
    assert shown["_embedded"]["leads"][0]["id"] == body[0]["id"]
    assert shown["_embedded"]["companies"][0]["id"] == body[0]["company_id"]


def test_duplicate_control_merges_into_the_active_lead(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.switch(duplicate_control=True)
    item = {"name": "l", "_embedded": {"contacts": [{"name": "p", "custom_fields_values": [phone("+74950000901")]}]}}
    # Control does not look among the items of one batch.
    first, second = api.post("/api/v4/leads/complex", json=[item, item]).json()
    assert (first["merged"], second["merged"]) == (False, False)
    again = api.post("/api/v4/leads/complex", json=[item]).json()[0]
    assert (again["id"], again["contact_id"], again["merged"]) == (first["id"], first["contact_id"], True)
    for done in (first, second):
        api.patch(f"/api/v4/leads/{done['id']}", json={"status_id": 142})
    assert api.post("/api/v4/leads/complex", json=[item]).json()[0]["merged"] is False
