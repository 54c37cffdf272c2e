"""Part Z played against Zoho's sandbox: one hub, one client for each row, and what Zoho holds for them afterwards."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hub_zoho.sandbox import Sandbox, serve

from hub.compose import Hub
from hub.runtime.importer import mark_imported
from hub.runtime.opening import open_account
from hub.settings import Settings
from hub.store import bindings, policies, projects
from hub.store.bindings import Binding
from hub.store.projects import Status
from tests.end_to_end.world import World, preset

__all__ = ["CRM", "PROJECT", "Call", "ZohoWorld", "play", "zoho_world"]

PROJECT, CHANNEL, CRM = "auto", "ringostat", "zoho"
USERS = {name: f"572576700000041100{number}" for number, name in enumerate(("irina", "oleg", "anna"), 1)}
_NAMES = {user: name for name, user in USERS.items()}
_MODULE_WORDS = {"Leads": "lead", "Deals": "deal", "Contacts": "contact"}
_LINE = "380441234567"
RECORDING = "https://app.ringostat.com/recordings/{}.wav"


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call of the row's client, and what Zoho knows of them before it."""

    no: str
    #: out of new, lead, deal, contact, closed, junk lead; whose, if not nobody's
    known: str = "new"
    owner: str = "oleg"
    #: the employee's login who answered or called; "" nobody
    by: str = ""
    outcome: str = "ANSWERED"
    is_outgoing: bool = False
    recorded: bool = True
    more: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class ZohoWorld:
    """A running hub beside a Zoho sandbox."""

    hub: Hub
    sandbox: Sandbox
    company: World

    def someone(self, call: Call, phone: str) -> list[str]:
        """What people had entered before; the ids."""
        person, owner = self.sandbox.person, {"Owner": {"id": USERS[call.owner]}}
        stock = {"Stage": "Qualification", "Pipeline": "Standard (Standard)", "Closing_Date": "2030-01-01"}
        if "lead" in call.known:
            status = {"Lead_Status": "Junk Lead"} if call.known.startswith("junk") else {}
            lead = {"Last_Name": "Клиент", "Company": "-", "Phone": phone}
            return [person("create", module="Leads", **lead, **status, **owner)["id"]]
        if call.known == "new":
            return []
        contact = person("create", module="Contacts", Last_Name="Клиент", Phone=phone, **owner)["id"]
        if call.known == "contact":
            return [contact]
        deal = stock | {"Deal_Name": "Чай", "Contact_Name": {"id": contact}}
        if call.known == "closed":
            deal["Stage"] = "Closed Lost"
        return [contact, person("create", module="Deals", **deal, **owner)["id"]]

    async def seen(self) -> None:
        """Until the directory knows what people entered."""
        await self.hub.services.feeds[PROJECT, CRM].poll()

    async def ring(self, call: Call, phone: str, number: int) -> None:
        """The telephony's webhook after the call."""
        uniq = f"ua0_-17853{number:05d}.{number}"
        seconds = "62" if call.outcome == "ANSWERED" else "14" if call.outcome == "VOICEMAIL" else "0"
        values = {
            "uniqueid": uniq,
            "type": "out" if call.is_outgoing else "in",
            "calldate": "2026-07-29 11:05:45",
            "disposition": call.outcome,
            "billsec": seconds,
            "duration": "71",
        }
        if call.recorded and seconds != "0":
            values |= {"has_recording": "1", "recording_wav": RECORDING.format(uniq)}
        if call.is_outgoing:
            values |= {"caller": f"examplecom_{call.by}", "callee": phone[1:], "outbound_number": _LINE}
        else:
            values |= {"caller": phone[1:], "dst": _LINE}
            if call.by:
                values["connected_with"] = call.by if call.by not in USERS else f"examplecom_{call.by}"
        moment = "outgoing_after" if call.is_outgoing else "after"
        await self.company.webhook(moment, {**values, **call.more})

    # --- looking

    def outline(self, phone: str, before: Iterable[str]) -> list[str]:
        """What the client has now that was not entered by people, in the words of the table."""
        records, known = self.sandbox.records(), set(before)
        cards = {r["id"]: ("Leads", r) for r in records["Leads"] if r["Phone"] == phone}
        cards |= {r["id"]: ("Contacts", r) for r in records["Contacts"] if r["Phone"] == phone}
        cards |= {
            r["id"]: ("Deals", r) for r in records["Deals"] if r["Contact_Name"] and r["Contact_Name"]["id"] in cards
        }
        lines = [
            f"{_MODULE_WORDS[module]} of {_owner(record)}{_tags(record)}"
            for record_id, (module, record) in cards.items()
            if record_id not in known
        ]
        for task in records["Tasks"]:
            place = (task["What_Id"] or task["Who_Id"] or {}).get("id")
            if place in cards:
                lines.append(_task(task, _MODULE_WORDS[cards[place][0]]))
        for note in records["Notes"]:
            place = note["Parent_Id"]["id"]
            if place in cards:
                lines.append(f"note on {_MODULE_WORDS[cards[place][0]]}{_recorded(note['Note_Content'])}")
        return lines


def _owner(record: Mapping[str, Any]) -> str:
    return _NAMES[record["Owner"]["id"]]


def _tags(record: Mapping[str, Any]) -> str:
    return f" from {record['utm_source']}" if record.get("utm_source") else ""


def _recorded(text: str | None) -> str:
    return " with recording" if "recordings/" in (text or "") else ""


def _task(task: Mapping[str, Any], place: str) -> str:
    text = task["Description"] or ""
    if task["Status"] == "Completed":
        kind = "done" if re.search(r"^2026-07-29 11:0[567]$", text, re.MULTILINE) else "done at an unknown time"
        return f"{kind} task of {_owner(task)} on {place}{_recorded(text)}"
    found = re.search(r"DATE-TIME:(\S+)", (task["Remind_At"] or {}).get("ALARM", ""))
    assert found is not None, task
    due = datetime.fromisoformat(found.group(1)) - datetime(2026, 7, 29, 8, 5, 45, tzinfo=UTC)
    word = task["Subject"].partition(":")[0]
    return f"{word!r} of {_owner(task)} on {place} in {round(due.total_seconds() / 3600)} h{_recorded(text)}"


@asynccontextmanager
async def zoho_world(
    folder: Path, sandbox: Sandbox, address: str, policy: str, **settings: Any
) -> AsyncIterator[ZohoWorld]:
    """A project with one telephony and one connected Zoho organisation, as the set-up would leave it."""
    hub = Hub(Settings(environment="development", data_directory=folder / "var"))
    services = hub.services
    store, cipher, now = services.store, services.cipher, services.clock.now()
    credentials = sandbox.oauth.credentials
    values = {
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
        "refresh_token": sandbox.refresh_token(),
        "accounts_address": address,
        "api_address": address,
        "is_loopback_allowed": True,
        **settings,
    }
    store.write_now(lambda conn: projects.add_project(conn, PROJECT, now=now, mode="live"))
    store.write_now(lambda conn: policies.publish(conn, PROJECT, text=policy, author="test", based_on=None, now=now))
    store.write_now(
        lambda conn: projects.add_channel(
            conn, cipher, project=PROJECT, name=CHANNEL, source="ringostat", settings={}, now=now
        )
    )
    store.write_now(
        lambda conn: projects.add_connection(
            conn, cipher, project=PROJECT, name=CRM, sink="zoho", settings=values, now=now
        )
    )
    services.projects.reload_now()
    await _connect(hub)
    mark_imported(services.directory, PROJECT, CRM, services.clock.now())
    async with hub:
        company = World(hub=hub, sandbox=sandbox, address=address)
        world = ZohoWorld(hub, sandbox, company)
        await company.until(lambda: (PROJECT, CRM) in services.feeds)
        await services.feeds[PROJECT, CRM].ensure_started()
        yield world


async def _connect(hub: Hub) -> None:
    services = hub.services
    project = services.projects.get(PROJECT)
    account = open_account(services, project, project.connections[0])
    try:
        catalogue = await account.session.connect()
    finally:
        await account.close()
    now = services.clock.now()

    def store(conn: Any) -> None:
        projects.set_catalogue(conn, PROJECT, CRM, catalogue, now)
        bindings.put(conn, PROJECT, CRM, [Binding(kind="employee", name=k, value=v) for k, v in USERS.items()])
        projects.set_status(conn, PROJECT, CRM, Status.READY, now=now)
        projects.set_import(conn, PROJECT, CRM, cursor="", progress=1.0, finished_at=now)

    await services.store.write(store)
    await services.projects.reload()


def play(
    folder: Path,
    calls: Iterable[Call],
    *,
    edit: Callable[[str], str] = lambda text: text,
    **settings: Any,
) -> dict[str, list[str]]:
    """Play every row in one company; what Zoho holds afterwards, by row."""

    async def day() -> dict[str, list[str]]:
        with serve(Sandbox()) as (sandbox, address):
            async with zoho_world(folder, sandbox, address, edit(preset("zoho-standard")), **settings) as world:
                phones = {call.no: f"+3805011{number:05d}" for number, call in enumerate(rows, 10)}
                before = {call.no: world.someone(call, phones[call.no]) for call in rows}
                await world.seen()
                for number, call in enumerate(rows):
                    await world.ring(call, phones[call.no], number)
                await world.company.settled(len(rows))
                stats = sandbox.stats()
                assert stats["violations"] == 0, stats
                return {call.no: world.outline(phones[call.no], before[call.no]) for call in rows}

    rows = list(calls)
    return asyncio.run(day())
