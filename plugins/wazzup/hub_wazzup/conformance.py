"""What the hub's conformance kit needs to try this plugin (X4)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import httpx
from pydantic import SecretStr

from hub.core.interaction import ClientId
from hub.core.outgoing import Outgoing
from hub.core.records import EmployeeId
from hub.ports import ChannelConfig, RawRequest
from hub.testing.outfit import ARRIVED, Fault, SourceOutfit, SourceStage, payloads_of

from .config import WazzupSettings
from .sandbox import Sandbox, serve
from .source import WazzupSource

__all__ = ["OUTFIT"]


@asynccontextmanager
async def _open() -> AsyncIterator[SourceStage]:
    """Two employees, a short conversation, a client whom nobody answered; the address of the webhooks is nobody's."""
    sandbox = Sandbox()
    sandbox.clock.set(ARRIVED)
    account = sandbox.account
    account.users = {id: {"id": id, "name": id.title()} for id in ("ivan", "maria")}
    await sandbox.people.client_writes("380671234567", "Is the table in stock?", name="Olena")
    sandbox.clock.advance(timedelta(minutes=1))
    await sandbox.people.employee_writes("ivan", "380671234567", "Yes, it is.")
    chats = [{"chatType": "whatsapp", "chatId": "380501112233"}]
    account.contacts["c2"] = {"id": "c2", "name": "Petro", "responsibleUserId": "maria", "contactData": chats}
    for text in ("Good day", "Is anybody there?"):
        await sandbox.people.client_writes("380501112233", text, name="Petro")
    deliveries = [
        RawRequest(
            method="POST",
            headers=(("content-type", "application/json; charset-utf-8"),),
            body=json.dumps({"messages": [message]}).encode(),
            received_at=ARRIVED + timedelta(minutes=2),
        )
        for message in account.messages
    ]
    with serve(sandbox) as (_, api_base):
        settings = WazzupSettings(api_base=api_base, api_key=SecretStr(account.api_key))
        channel = ChannelConfig(
            project="conformance",
            name="chats",
            source="wazzup",
            settings=settings,
            region="UA",
            time_zone="Europe/Kyiv",
        )
        async with httpx.AsyncClient(timeout=10, trust_env=False) as http:
            yield SourceStage(
                channel=channel,
                http=http,
                deliveries=deliveries,
                since=ARRIVED,
                until=ARRIVED + timedelta(minutes=5),
                staff_ids=frozenset(account.users),
                refused=replace(channel, settings=settings.model_copy(update={"api_key": SecretStr("old")})),
                outgoing=Outgoing(
                    id="hub-9001",
                    project="conformance",
                    channel="chats",
                    client_id=ClientId("c1"),
                    chat=("whatsapp", "380671234567"),
                    account=sandbox.channel.id,
                    text="The table is yours",
                    author=EmployeeId("ivan"),
                    created_at=ARRIVED,
                ),
                sent=lambda: [str(message.get("text", "")) for message in sandbox.sent()],
                fail_next=lambda fault: _order(sandbox, fault),
                shared=lambda: _shared(sandbox),
                unanswered=lambda: _unanswered(sandbox),
                framed=lambda: [json.dumps(question) for question in sandbox.api.framed],
                subscription=lambda: account.subscription.uri,
                subscribe_other=lambda address: _give_away(sandbox, address),
            )
        await asyncio.sleep(0)


def _shared(sandbox: Sandbox) -> dict[str, str]:
    """Our records in the sandbox's own store."""
    account = sandbox.account
    kept = {"users": account.users, "contacts": account.contacts, "deals": account.deals}
    found = {f"{kind}/{row['id']}": str(row["name"]) for kind, rows in kept.items() for row in rows.values()}
    return found | {f"pipelines/{row['id']}": str(row["name"]) for row in account.pipelines}


def _unanswered(sandbox: Sandbox) -> dict[str, int]:
    """How many messages wait for each employee."""
    account = sandbox.account
    found = dict.fromkeys(account.users, 0)
    for chat in account.chats.values():
        contact = account.contact_of(chat)
        if contact is not None:
            found[contact["responsibleUserId"]] += chat.unanswered
    return found


def _give_away(sandbox: Sandbox, address: str) -> None:
    """Another system has the webhooks."""
    subscription = sandbox.account.subscription
    subscription.uri, subscription.messages_and_statuses = address, True


def _order(sandbox: Sandbox, fault: Fault) -> None:
    match fault:
        case Fault.THROTTLED:
            sandbox.fail_next("POST", "/v3/message", status=429)
        case Fault.FAILED:
            sandbox.fail_next("POST", "/v3/message", status=500)
        case Fault.CUT:
            sandbox.fail_next("POST", "/v3/message", "cut")
        case Fault.LOST:
            sandbox.fail_next("POST", "/v3/message", "lost")


OUTFIT = SourceOutfit(
    source=WazzupSource(),
    payloads=payloads_of(__file__),
    owed=frozenset({"createContact__auto.json", "createContact__telegram.json", "createDeal__auto.json"}),
    open=_open,
)
