"""Account, users, pipelines and custom fields of the amoCRM sandbox (reference 5, 11, 18, 23)."""

from __future__ import annotations

from typing import Any

import httpx

Json = dict[str, Any]


def ids(answer: httpx.Response, kind: str) -> list[int]:
    return [item["id"] for item in answer.json()["_embedded"][kind]] if answer.content else []


def test_account_users_pipelines_and_fields_are_told(api: httpx.Client) -> None:
    account = api.get("/api/v4/account?with=users_groups,task_types,datetime_settings,version,amojo_id").json()
    assert account["subdomain"] == "nordtea"
    assert account["_embedded"]["task_types"][0]["code"] == "FOLLOW_UP"
    assert account["_embedded"]["datetime_settings"]["timezone"] == "Europe/Moscow"
    users = api.get("/api/v4/users?with=role,group,phone_number").json()
    assert (users["_total_items"], users["_page"], users["_page_count"]) == (8, 1, 1)
    active = {user["id"]: user["rights"]["is_active"] for user in users["_embedded"]["users"]}
    assert active[8800107] is False
    assert api.get("/api/v4/users?limit=3&page=3").json()["_page_count"] == 3
    assert api.get("/api/v4/users/8800101").json()["rights"]["is_admin"] is True
    pipelines = api.get("/api/v4/leads/pipelines").json()
    assert pipelines["_total_items"] == 2
    for pipeline in pipelines["_embedded"]["pipelines"]:
        stages = {status["id"]: status["type"] for status in pipeline["_embedded"]["statuses"]}
        assert {142, 143} <= set(stages)
        assert list(stages.values()).count(1) == 1
    assert api.get("/api/v4/leads/pipelines/9100001/statuses/142").json()["is_editable"] is False
    fields = api.get("/api/v4/leads/custom_fields?limit=250").json()["_embedded"]["custom_fields"]
    codes = {field["code"] for field in fields if field["type"] == "tracking_data"}
    assert {"UTM_SOURCE", "UTM_TERM", "GCLIENTID"} <= codes


def test_custom_fields_come_fifty_a_page_and_can_be_made_and_deleted(api: httpx.Client) -> None:
    items = [{"name": f"Hub {i}", "type": "text", "code": f"HUB_{i}"} for i in range(60)]
    made = api.post("/api/v4/contacts/custom_fields", json=items)
    assert made.status_code == 201
    field = made.json()["_embedded"]["custom_fields"][0]
    assert (field["code"], field["entity_type"], field["request_id"]) == ("HUB_0", "contacts", "0")
    assert len(ids(api.get("/api/v4/contacts/custom_fields?limit=250"), "custom_fields")) == 50
    assert api.get("/api/v4/contacts/custom_fields?limit=250&page=2").json()["_total_items"] == 66

    value = {"field_code": "HUB_0", "values": [{"value": "i-1"}]}
    made = api.post("/api/v4/contacts", json=[{"name": "x", "custom_fields_values": [value]}])
    card = ids(made, "contacts")[0]
    assert api.get(f"/api/v4/contacts/{card}").json()["custom_fields_values"][0]["values"] == [{"value": "i-1"}]
    assert api.delete(f"/api/v4/contacts/custom_fields/{field['id']}").status_code == 204
    assert api.get(f"/api/v4/contacts/{card}").json()["custom_fields_values"] is None
    again = api.post("/api/v4/contacts/custom_fields", json=[{"name": "Hub 1", "type": "text", "code": "HUB_1"}])
    assert again.status_code == 400
    assert api.delete("/api/v4/contacts/custom_fields/770001").status_code == 400
