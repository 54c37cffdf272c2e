"""Published clients of amoCRM live a whole lead's life against the sandbox (H10, reference 24)."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

import aioamocrm
import httpx
import pytest
from aioamocrm import (
    AmoCRMClient,
    Company,
    Contact,
    CustomFieldValue,
    CustomFieldValues,
    Embedded,
    Lead,
    LongLivedToken,
    MemoryTokenStorage,
    Note,
    OAuth2,
    RetryPolicy,
    Task,
)
from amocrm_api import AmoOAuthClient
from amocrm_api.errors import AmoException
from hub_amocrm.sandbox import Sandbox, SandboxConfig, Switches, serve

NO_LIMIT = SandboxConfig(switches=Switches(limit_per_second=None))
CLIENT = "+74950000222"
DAY = 24 * 3600

#: Loopback is plain HTTP: a context without certificates spares each client their loading.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Sandbox, str]]:
    with serve(Sandbox(NO_LIMIT)) as (sandbox, url):
        yield sandbox, url


@pytest.fixture
def sandbox(served: tuple[Sandbox, str]) -> Sandbox:
    served[0].reset()
    return served[0]


@pytest.fixture
def url(served: tuple[Sandbox, str], sandbox: Sandbox) -> str:
    return served[1]


def oauth(sandbox: Sandbox) -> OAuth2:
    integration = sandbox.integration
    return OAuth2(
        integration.client_id,
        integration.client_secret,
        integration.redirect_uri,
        MemoryTokenStorage(),
        clock=sandbox.world.clock.now,
    )


def client_of(sandbox: Sandbox, url: str) -> AmoCRMClient:
    retry = RetryPolicy(backoff_base=0.01)
    return AmoCRMClient(base_url=url, auth=LongLivedToken(sandbox.long_lived_token()), rate_limit=None, retry=retry)


def with_phone(name: str, number: str) -> Contact:
    values = CustomFieldValues(field_code="PHONE", values=[CustomFieldValue(value=number, enum_code="MOB")])
    return Contact(name=name, custom_fields_values=[values])


async def test_aioamocrm_lives_a_leads_life(sandbox: Sandbox, url: str) -> None:
    auth = oauth(sandbox)
    async with AmoCRMClient(base_url=url, auth=auth, rate_limit=None) as amo:
        await amo.exchange_code(sandbox.authorization_code())
        account = await amo.account.get(with_=["task_types"])
        assert account.id == 31500001
        users = [user async for user in amo.users.iterate()]
        assert [user.id for user in users if user.rights and not user.rights["is_active"]] == [8800107]
        pipelines = await amo.pipelines.list()
        assert {status.id for status in await amo.pipelines.statuses(pipelines[0].id or 0)} >= {142, 143}
        codes = {field.code async for field in amo.contacts.custom_fields.iterate()}
        assert {"PHONE", "EMAIL"} <= codes

        assert [c async for c in amo.contacts.iterate(query="4950000222")] == []
        [contact] = await amo.contacts.create([with_phone("Oleg", CLIENT)])
        [found] = [c async for c in amo.contacts.iterate(query="4950000222", with_=["leads"])]
        assert (found.id, found.field_value("PHONE", enum_code="MOB")) == (contact.id, CLIENT)

        embedded = Embedded(contacts=[with_phone("Anna", "+74950000333")], companies=[Company(name="Firm")])
        [done] = await amo.leads.create_complex([Lead(name="Call", price=500, embedded=embedded)])
        assert (done.merged, done.request_id) == (False, ["0"])
        assert done.id is not None
        assert done.contact_id != done.company_id
        await amo.leads.link(done.id, "contacts", contact.id or 0)
        links = await amo.leads.links(done.id)
        assert {(link.to_entity_type, link.to_entity_id) for link in links} == {
            ("contacts", done.contact_id),
            ("contacts", contact.id),
            ("companies", done.company_id),
        }
        await amo.leads.unlink(done.id, "contacts", contact.id or 0)

        [task] = await amo.tasks.create(
            [Task(text="Call back", complete_till=1767200000, entity_id=done.id, entity_type="leads")]
        )
        call: dict[str, Any] = {"uniq": "r1", "duration": 5, "source": "Ringostat", "phone": CLIENT}
        await amo.leads.notes.create(
            [Note.common(done.id, "hello"), Note(entity_id=done.id, note_type="call_in", params=call)]
        )
        notes = [note async for note in amo.leads.notes.iterate(entity_id=done.id)]
        assert [note.note_type for note in notes] == ["common", "call_in"]
        await amo.request("POST", "calls", json=[{"direction": "inbound", **call}])
        await amo.tasks.complete(task.id or 0, result="done")
        assert (await amo.tasks.get(task.id or 0)).is_completed is True

        await amo.leads.update([Lead(id=done.id, status_id=142)])
        closed = await amo.leads.get(done.id, with_=["contacts"])
        assert (closed.status_id, closed.price) == (142, 500)
        assert closed.closed_at is not None
        assert [c.is_main for c in closed.embedded.contacts] == [True]


async def test_aioamocrm_renews_its_tokens_by_itself(sandbox: Sandbox, url: str) -> None:
    auth = oauth(sandbox)
    async with AmoCRMClient(base_url=url, auth=auth, rate_limit=None) as amo:
        first = await amo.exchange_code(sandbox.authorization_code())
        sandbox.advance(DAY + 60)
        assert (await amo.account.get()).id == 31500001
        second = await auth.storage.load()
        assert second is not None
        assert second.refresh_token != first.refresh_token
        sandbox.advance(100 * DAY)
        with pytest.raises(aioamocrm.AuthError):
            await amo.account.get()
        await amo.exchange_code(sandbox.authorization_code())
        assert (await amo.account.get()).id == 31500001


async def test_aioamocrm_understands_the_sandboxs_errors(sandbox: Sandbox, url: str) -> None:
    async with client_of(sandbox, url) as amo:
        with pytest.raises(aioamocrm.ValidationError) as refused:
            await amo.leads.create([{"name": "good"}, {"name": "bad", "responsible_user_id": 8800107}])
        [issue] = refused.value.errors
        assert (issue.request_id, issue.code, issue.path) == ("1", "NotSupportedChoice", "responsible_user_id")
        with pytest.raises(aioamocrm.NotFoundError):
            await amo.leads.get(5)
        sandbox.fail_next("POST", "/api/v4/leads", kind="throttle")
        with pytest.raises(aioamocrm.RateLimitError):
            await amo.leads.create([{"name": "l"}])
        sandbox.fail_next("GET", "/api/v4/leads", status=502, count=2)
        assert [lead async for lead in amo.leads.iterate()] == []
        sandbox.fail_next("POST", "/api/v4/leads", status=504, applied=True)
        with pytest.raises(aioamocrm.ServerError):
            await amo.leads.create([{"name": "applied"}])
        sandbox.fail_next("POST", "/api/v4/leads", kind="disconnect")
        with pytest.raises(aioamocrm.NetworkError):
            await amo.leads.create([{"name": "l"}])
        sandbox.fail_next("GET", "/api/v4/leads", kind="ban")
        with pytest.raises(aioamocrm.ForbiddenError):
            await amo.leads.get(5)
        sandbox.lift_ban()
        assert [lead.name async for lead in amo.leads.iterate()] == ["applied"]


async def test_aioamocrm_walks_every_page(sandbox: Sandbox, url: str) -> None:
    sandbox.seed(contacts=620, leads=0)
    async with client_of(sandbox, url) as amo:
        order = {"updated_at": "desc"}
        found = [card.id async for card in amo.contacts.iterate(limit=100, order=order, with_=["leads"])]
        assert found == sorted(found, reverse=True, key=lambda card_id: card_id or 0)
        assert len(set(found)) == 620


class JsonEverywhere(httpx.Client):
    """httpx whose ``get`` and ``delete`` take a body.

    amocrm-api-wrapper 1.0.1 hands ``json=`` to every method, and httpx (0.25 to 0.28) takes it for
    some only: without this its reads fail before anything is sent.
    """

    def get(self, url: Any, *, json: Any = None, **more: Any) -> httpx.Response:
        return self.request("GET", url, json=json, **more)

    def delete(self, url: Any, *, json: Any = None, **more: Any) -> httpx.Response:
        return self.request("DELETE", url, json=json, **more)


class Wrapper(AmoOAuthClient):
    """amocrm-api-wrapper on that session; address apart, nothing else is changed."""

    retry_sleep_429 = 0.01
    retry_sleep_base = 0.01

    def _init_session(self, params: dict[str, str] | None = None) -> httpx.Client:
        old = self.__dict__.get("_session")
        if old is not None:  # the client drops its session unclosed whenever it renews tokens
            old.close()
        session = JsonEverywhere(timeout=self.timeout, trust_env=False, verify=PLAIN)
        session.headers.update(self._auth_headers() | (params or {}))
        return session


@pytest.fixture
def wrapper(sandbox: Sandbox, url: str) -> Iterator[Wrapper]:
    pair, integration = sandbox.token_pair(), sandbox.integration
    client = Wrapper(
        pair["access_token"],
        pair["refresh_token"],
        url,
        integration.client_id,
        integration.client_secret,
        integration.redirect_uri,
    )
    yield client
    client.close()


def first(answer: dict[str, Any], kind: str) -> dict[str, Any]:
    item: dict[str, Any] = answer["_embedded"][kind][0]
    return item


def test_amocrm_api_wrapper_lives_a_leads_life(wrapper: Wrapper) -> None:
    phone = {"field_code": "PHONE", "values": [{"value": CLIENT, "enum_code": "WORK"}]}
    contact = first(wrapper.create_contacts([{"name": "Oleg", "custom_fields_values": [phone]}]), "contacts")["id"]
    assert first(wrapper.get_contacts(query="4950000222"), "contacts")["id"] == contact
    assert wrapper.get_contact(contact)["name"] == "Oleg"

    [complex_lead] = wrapper.create_leads_complex([{"name": "l", "_embedded": {"contacts": [{"id": contact}]}}])
    lead: int = complex_lead["id"]
    assert wrapper.get_lead(lead, ["contacts"])["_embedded"]["contacts"][0]["is_main"] is True
    firm = first(wrapper.create_companies([{"name": "Firm"}]), "companies")["id"]
    target = [{"to_entity_id": firm, "to_entity_type": "companies"}]
    wrapper.link_leads_entity(lead, target)
    assert wrapper.get_leads_links(lead)["_total_items"] == 2
    wrapper.unlink_leads_entity(lead, target)

    task = first(
        wrapper.add_tasks([{"text": "t", "complete_till": 1, "entity_id": lead, "entity_type": "leads"}]), "tasks"
    )["id"]
    wrapper.execution_task(task, True, "done")
    assert wrapper.get_task(task)["result"] == {"text": "done"}
    call = {"direction": "outbound", "duration": 5, "source": "Ringostat", "phone": CLIENT, "uniq": "r1"}
    assert first(wrapper.create_calls([call]), "calls")["entity_type"] == "lead"
    note = first(wrapper.create_entity_note("leads", [{"note_type": "common", "params": {"text": "n"}}], lead), "notes")
    wrapper.update_entity_note("leads", lead, note["id"], {"note_type": "common", "params": {"text": "m"}})
    assert wrapper.get_entity_note("leads", note["id"], lead)["params"] == {"text": "m"}

    wrapper.update_leads([{"id": lead, "status_id": 142}])
    assert wrapper.get_lead(lead)["closed_at"] is not None
    kinds = {event["type"] for event in wrapper.get_events(limit=100)["_embedded"]["events"]}
    assert {"lead_added", "outgoing_call", "task_completed", "lead_status_changed"} <= kinds
    assert wrapper.get_events_type()["_total_items"] > 30


def test_amocrm_api_wrapper_sets_an_account_up(wrapper: Wrapper) -> None:
    assert wrapper.get_pipelines()["_total_items"] == 2
    assert wrapper.get_pipeline_status(9100001, 142)["id"] == 142
    assert wrapper.get_users()["_total_items"] == 8
    assert wrapper.get_contacts_custom_fields()["_total_items"] == 6
    field = first(wrapper.create_leads_custom_fields([{"name": "Hub ID", "type": "text"}]), "custom_fields")
    wrapper.delete_leads_custom_field(field["id"])
    hook = wrapper.subscribe_webhook("https://hub.example/in", ["add_lead"])
    assert hook["disabled"] is False
    assert wrapper.get_webhooks()["_total_items"] == 1
    wrapper.unsubscribe_webhook("https://hub.example/in")
    assert wrapper.get_webhooks() == {}
    source = first(wrapper.create_sources([{"name": "R", "external_id": "x"}]), "sources")
    wrapper.update_sources([{"id": source["id"], "name": "S"}])
    assert first(wrapper.get_sources(), "sources")["name"] == "S"
    wrapper.delete_sources([{"id": source["id"]}])
    assert wrapper.get_sources() == {}
    wrapper.add_tags_for_entity_type("leads", [{"name": "call"}])
    assert first(wrapper.get_tags_by_entity_type("leads"), "tags")["name"] == "call"
    assert wrapper.install_widget("hub", key="v")["settings"] == {"key": "v"}
    wrapper.uninstall_widget("hub")


def test_amocrm_api_wrapper_sorts_incoming_leads(sandbox: Sandbox, wrapper: Wrapper) -> None:
    metadata = {"phone": "7495", "from": "7495", "called_at": 1, "duration": 0, "link": "", "service_code": "hub"}
    uids = [
        first(wrapper.create_unsorted_by_sip("u", "Ringostat", metadata, {"name": "p"}, {"name": "l"}, {}), "unsorted")[
            "uid"
        ]
        for _ in range(2)
    ]
    assert len(wrapper.get_unsorted_leads()["_embedded"]["unsorted"]) == 2
    assert wrapper.get_unsorted_by_uid(uids[0])["category"] == "sip"
    assert wrapper.accept_unsorted(uids[0], 8800102, 9100012)["uid"] == uids[0]
    assert wrapper.decline_unsorted(uids[1], 8800102)["uid"] == uids[1]
    summary = wrapper.get_summary_unsorted()
    assert (summary["accepted"], summary["declined"]) == (1, 1)


def test_amocrm_api_wrapper_renews_after_401_and_waits_out_a_429(sandbox: Sandbox, wrapper: Wrapper) -> None:
    spent = wrapper.refresh_token
    sandbox.advance(DAY + 1)
    assert "_embedded" in wrapper.create_leads([{"name": "l"}])
    assert wrapper.refresh_token != spent
    sandbox.fail_next("GET", "/api/v4/leads", kind="throttle", count=2)
    assert first(wrapper.get_leads(), "leads")["name"] == "l"
    with pytest.raises(AmoException) as refused:
        wrapper.create_leads([{"name": 5}])
    assert refused.value.code == 400
    assert refused.value.error_data["validation-errors"][0]["request_id"] == "0"
