"""The vendor's own SDK (zohocrmsdk8-0) against the sandbox, with nothing changed but the address (H10).

It forces the JSON types of every answer that it knows, so that what it reads is what Zoho would have sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from hub_zoho.sandbox import Sandbox, serve

_API = "zohocrmsdk.src.com.zoho.crm.api"


def sdk(name: str) -> Any:
    """A module of the SDK, which has no types of its own."""
    return import_module(f"{_API}.{name}" if name else _API)


@dataclass(slots=True)
class Witness:
    """The SDK, initialised for one sandbox; it keeps its settings for the whole process."""

    sandbox: Sandbox

    def records(self, module: str) -> Any:
        return sdk("record").RecordOperations(module)

    def params(self, **values: Any) -> Any:
        """Parameters by the names of the SDK's own constants: ``get_records__fields=...``."""
        found = sdk("parameter_map").ParameterMap()
        for name, value in values.items():
            owner, _, param = name.partition("__")
            found.add(getattr(getattr(sdk("record"), owner), param), value)
        return found

    @property
    def headers(self) -> Any:
        return sdk("header_map").HeaderMap()

    def body(self, *items: dict[str, Any]) -> Any:
        record = sdk("record")
        body = record.BodyWrapper()
        made = []
        for values in items:
            one = record.Record()
            for name, value in values.items():
                if name == "id":
                    one.set_id(int(value))
                else:
                    one.add_key_value(name, value)
            made.append(one)
        body.set_data(made)
        return body

    def someone(self, module: str = "Leads", **values: Any) -> int:
        stock = {"Last_Name": "Witness"} | ({"Company": "-"} if module == "Leads" else {})
        return int(self.sandbox.person("create", module=module, **stock | values)["id"])


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witness]:
    folder = tmp_path_factory.mktemp("sdk")
    authenticator = "zohocrmsdk.src.com.zoho.api.authenticator"
    token_type = import_module(f"{authenticator}.oauth_token").OAuthToken
    store = import_module(f"{authenticator}.store").FileStore(str(folder / "tokens"))
    with serve(Sandbox()) as (sandbox, url):
        environment = sdk("dc.data_center").DataCenter.Environment(url, f"{url}/oauth/v2/token", url)
        credentials = sandbox.oauth.credentials
        token = token_type(
            client_id=credentials.client_id,
            client_secret=credentials.client_secret,
            refresh_token=sandbox.refresh_token(),
            find_user=False,
        )
        sdk("initializer").Initializer.initialize(
            environment=environment,
            token=token,
            store=store,
            sdk_config=sdk("sdk_config").SDKConfig(auto_refresh_fields=False, pick_list_validation=False),
            resource_path=str(folder),
        )
        yield Witness(sandbox)


def told(answer: Any) -> list[Any]:
    """The objects of an answer's ``data``."""
    return list(answer.get_object().get_data())


def codes(answer: Any) -> list[str]:
    return [one.get_code().get_value() for one in told(answer)]


def test_a_mixed_insert_is_read_as_success_and_refusal(witness: Witness) -> None:
    body = witness.body({"Last_Name": "Ольга", "Company": "-", "Phone": "+380501112233"}, {"Company": "-"})
    answer = witness.records("Leads").create_records(body, witness.headers)
    assert answer.get_status_code() == 207
    assert [type(one).__name__ for one in told(answer)] == ["SuccessResponse", "APIException"]
    assert codes(answer) == ["SUCCESS", "MANDATORY_NOT_FOUND"]
    details = told(answer)[0].get_details()
    assert isinstance(details["id"], int | str)
    assert isinstance(details["Created_Time"], datetime)
    assert told(answer)[1].get_details()["api_name"] == "Last_Name"


def test_a_list_is_read_in_the_sdks_types(witness: Witness) -> None:
    lead = witness.someone(Phone="+380501112244")
    params = witness.params(
        GetRecordsParam__fields="Last_Name,Phone,Owner,Created_Time,Tag", GetRecordsParam__ids=str(lead)
    )
    answer = witness.records("Leads").get_records(params, witness.headers)
    (record,) = told(answer)
    values = record.get_key_values()
    assert (values["id"], values["Last_Name"], values["Phone"]) == (lead, "Witness", "+380501112244")
    assert values["Owner"].get_email() == "irina@nordtea.example"
    assert values["Created_Time"].tzinfo is not None
    assert answer.get_object().get_info().get_more_records() is False


def test_nothing_found_is_204_and_none(witness: Witness) -> None:
    params = witness.params(SearchRecordsParam__phone="+380999999999")
    answer = witness.records("Contacts").search_records(params, witness.headers)
    assert (answer.get_status_code(), answer.get_object()) == (204, None)


def test_search_and_coql_find_a_number(witness: Witness) -> None:
    lead = witness.someone(Phone="+380501112255")
    params = witness.params(SearchRecordsParam__phone="0501112255")
    found = told(witness.records("Leads").search_records(params, witness.headers))
    assert [record.get_id() for record in found] == [lead]
    body = sdk("coql").BodyWrapper()
    body.set_select_query("select id, Last_Name, Owner from Leads where Phone = '+380501112255' limit 0, 200")
    answer = sdk("coql").CoqlOperations().get_records(body)
    assert [record.get_id() for record in told(answer)] == [lead]
    body.set_select_query("select id from Leads")
    refused = sdk("coql").CoqlOperations().get_records(body).get_object()
    assert refused.get_code().get_value() == "SYNTAX_ERROR"


def test_an_update_with_ids_as_numbers_is_taken(witness: Witness) -> None:
    """The SDK sends bare numbers: a server has to accept both."""
    contact = witness.someone("Contacts")
    answer = witness.records("Contacts").update_records(
        witness.body({"id": contact, "Phone": "+380501112266"}), witness.headers
    )
    assert codes(answer) == ["SUCCESS"]
    (card,) = [one for one in witness.sandbox.records()["Contacts"] if one["id"] == str(contact)]
    assert card["Phone"] == "+380501112266"


def test_an_upsert_tells_what_it_did(witness: Witness) -> None:
    body = witness.body({"Last_Name": "Upsert", "Email": "upsert@shop.example"})
    body.set_duplicate_check_fields(["Email"])
    actions = []
    for _ in range(2):
        (one,) = told(witness.records("Contacts").upsert_records(body, witness.headers))
        actions.append((one.get_action().get_value(), one.get_duplicate_field()))
    assert actions == [("insert", None), ("update", "Email")]


def test_a_lead_is_converted_and_vanishes(witness: Witness) -> None:
    lead = witness.someone(Phone="+380501112277")
    module, record = sdk("convert_lead"), sdk("record")
    deal = record.Record()
    for name, value in {"Deal_Name": "Чай", "Stage": "Qualification", "Pipeline": "Standard (Standard)"}.items():
        choice = sdk("util").Choice(value) if name in ("Stage", "Pipeline") else value
        deal.add_key_value(name, choice)
    deal.add_key_value("Closing_Date", datetime(2030, 1, 1, tzinfo=UTC).date())
    wish = module.LeadConverter()
    wish.set_overwrite(False)
    wish.set_deals(deal)
    body = module.BodyWrapper()
    body.set_data([wish])
    answer = module.ConvertLeadOperations(lead).convert_lead(body)
    assert codes(answer) == ["SUCCESS"]
    params = witness.params(GetRecordsParam__fields="Last_Name", GetRecordsParam__ids=str(lead))
    assert witness.records("Leads").get_records(params, witness.headers).get_status_code() == 204
    again = module.ConvertLeadOperations(lead).convert_lead(body)
    assert codes(again) == ["ID_ALREADY_CONVERTED"]


def test_deleted_records_are_listed(witness: Witness) -> None:
    contact = witness.someone("Contacts")
    params = witness.params(DeleteRecordsParam__ids=str(contact))
    assert codes(witness.records("Contacts").delete_records(params, witness.headers)) == ["SUCCESS"]
    listed = witness.records("Contacts").get_deleted_records(
        witness.params(GetDeletedRecordsParam__type="all"), witness.headers
    )
    assert contact in [one.get_id() for one in told(listed)]


def test_a_channel_is_subscribed_and_listed(witness: Witness) -> None:
    module = sdk("notifications")
    channel = module.Notification()
    channel.set_channel_id("1000000068001")
    channel.set_events(["Leads.all"])
    channel.set_token("secret")
    channel.set_notify_url("https://hub.example.com/zoho")
    channel.set_channel_expiry(datetime.now(UTC).replace(microsecond=0) + timedelta(days=2))
    body = module.BodyWrapper()
    body.set_watch([channel])
    answer = module.NotificationsOperations().enable_notifications(body)
    assert answer.get_status_code() == 201
    (one,) = answer.get_object().get_watch()
    assert one.get_code().get_value() == "SUCCESS"
    listed = module.NotificationsOperations().get_notifications().get_object().get_watch()
    assert [str(found.get_channel_id()) for found in listed] == ["1000000068001"]


def test_tags_are_added(witness: Witness) -> None:
    lead, module = witness.someone(), sdk("tags")
    tag = module.Tag()
    tag.set_name("ringostat")
    body = module.NewTagRequestWrapper()
    body.set_tags([tag])
    answer = module.TagsOperations().add_tags("Leads", lead, body)
    assert codes(answer) == ["SUCCESS"]
    (held,) = [one for one in witness.sandbox.records()["Leads"] if one["id"] == str(lead)]
    assert [one["name"] for one in held["Tag"]] == ["ringostat"]


def test_fields_users_and_the_organisation_are_read(witness: Witness) -> None:
    fields = sdk("fields")
    params = sdk("parameter_map").ParameterMap()
    params.add(fields.GetFieldsParam.module, "Deals")
    found = fields.FieldsOperations().get_fields(params).get_object().get_fields()
    stage = next(one for one in found if one.get_api_name() == "Stage")
    kinds = {choice.get_actual_value(): choice.get_forecast_type() for choice in stage.get_pick_list_values()}
    assert kinds["Closed Won"] == "Closed Won"
    users = sdk("users").UsersOperations().get_users(sdk("parameter_map").ParameterMap(), witness.headers)
    assert [user.get_status() for user in users.get_object().get_users()].count("active") == 3
    org = sdk("org").OrgOperations().get_organization()
    assert [one.get_company_name() for one in org.get_object().get_org()] == ["Nord Tea"]


def test_a_task_with_its_reminder_is_read_back(witness: Witness) -> None:
    """3: Remind_At is an object with a rule."""
    contact = witness.someone("Contacts")
    rule = "FREQ=NONE;ACTION=POPUP;TRIGGER=DATE-TIME:2030-01-01T12:45:00+02:00"
    task = witness.sandbox.person(
        "create",
        module="Tasks",
        Subject="Перезвонить",
        Due_Date="2030-01-01",
        Who_Id={"id": str(contact)},
        Remind_At={"ALARM": rule},
        **{"$se_module": "Contacts"},
    )
    params = witness.params(GetRecordsParam__fields="Subject,Remind_At,Who_Id", GetRecordsParam__ids=task["id"])
    (record,) = told(witness.records("Tasks").get_records(params, witness.headers))
    values = record.get_key_values()
    assert values["Remind_At"].get_alarm() == rule
    assert values["Who_Id"].get_id() == contact
