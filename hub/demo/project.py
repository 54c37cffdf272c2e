"""The demo's project: the preset with the traffic file's people and numbers, connected to the sandboxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from importlib import resources
from typing import Any

import tomlkit
from sqlalchemy import Connection

from hub.core.records import Catalogue
from hub.demo.stage import DemoStopped
from hub.runtime.opening import open_account
from hub.runtime.services import Services
from hub.store import bindings, policies, projects
from hub.store.bindings import Binding
from hub.store.projects import Status

__all__ = ["CHANNEL", "PROJECT", "connect", "demo_policy", "make_project"]

PROJECT, CHANNEL = "demo", "ringostat"

# What chats and messages become where the preset says nothing of them: every preset can be shown on the whole day.
_DIALOGUES = """
[[matrix]]
name = "chat"
when = { kind = "chat" }
deal = "create"
responsible = ["responsible", "answerer", "senior"]

[[matrix]]
name = "message"
when = { kind = "message", direction = "inbound" }
deal = "create"
responsible = ["responsible", "senior"]
"""


def demo_policy(preset: str, traffic: Mapping[str, Any], crms: Sequence[str] = ()) -> str:
    """The preset's text with this company's employees and numbers; comments stay.

    Of the employees whom the CRMs do not have as users it says so for ``crms``: it is meant, not forgotten.
    """
    folder = resources.files("hub") / "presets"
    known = sorted(one.name.removesuffix(".toml") for one in folder.iterdir() if one.name.endswith(".toml"))
    if preset not in known:
        raise DemoStopped(f"there is no preset {preset!r}; there are {', '.join(known)}")
    text = (folder / f"{preset}.toml").read_text(encoding="utf-8")
    document = tomlkit.parse(text)
    company = traffic["company"]
    own = document["project"]
    own["region"], own["time_zone"] = company["region"], company["timezone"]
    people = tomlkit.aot()
    private = list(traffic["private_lines"])
    users = {user["email"] for user in traffic["preload"]["users"]}
    for employee in traffic["employees"]:
        row = tomlkit.table()
        row["id"] = employee["id"]
        row["name"] = employee["name"]
        row["email"] = employee["email"]
        if employee["role"] in ("senior", "head"):
            row["roles"] = [employee["role"]]
        row["staff_ids"] = [employee["id"]]
        row["extension"] = employee["extension"]
        row["mobiles"] = [employee["mobile"]] if employee["mobile"] else []
        if employee["login"]:
            row["logins"] = [employee["login"]]
            row["destinations"] = [employee["login"]]
        if employee["email"] not in users:
            row["crm_users"] = dict.fromkeys(crms, "")
        people.append(row)
    if private:
        people[0]["private_lines"] = private
    document["employees"] = people
    sources = tomlkit.aot()
    for number in traffic["numbers"]:
        row = tomlkit.table()
        row["number"], row["source"] = number["number"], number["source"]
        if number["owner"]:
            row["owner"] = number["owner"]
        sources.append(row)
    document["sources"] = sources
    # the day is played at whatever hour somebody is curious: the telephony's questions of its morning come now
    document.setdefault("forwarding", tomlkit.table())["working_hours"] = False
    told = tomlkit.dumps(document)
    return told if any(_speaks_of(row, "chat", "message") for row in document.get("matrix", ())) else told + _DIALOGUES


def _speaks_of(row: Mapping[str, Any], *kinds: str) -> bool:
    return dict(row.get("when") or {}).get("kind") in kinds


def make_project(
    services: Services,
    *,
    policy: str,
    channels: Mapping[str, Mapping[str, Any]],
    crms: Mapping[str, Mapping[str, Any]],
    mode: projects.Mode = "live",
    project: str = PROJECT,
) -> None:
    """A project with its channels and CRMs by the names of their plugins, as the set-up would leave it."""
    store, cipher, now = services.store, services.cipher, services.clock.now()

    def make(conn: Connection) -> None:
        projects.add_project(conn, project, now=now, title="AutoMaximum", mode=mode)
        policies.publish(conn, project, text=policy, author="demo", based_on=None, now=now, reason="the preset")
        for name, settings in channels.items():
            projects.add_channel(conn, cipher, project=project, name=name, source=name, settings=settings, now=now)
        for name, settings in crms.items():
            projects.add_connection(conn, cipher, project=project, name=name, sink=name, settings=settings, now=now)

    store.write_now(make)
    services.projects.reload_now()


async def connect(services: Services, name: str = PROJECT) -> None:
    """Read each account and bind employees to users by e-mail; the running hub imports the records."""
    project = services.projects.get(name)
    assert project.policy is not None
    for connection in project.connections:
        account = open_account(services, project, connection)
        try:
            catalogue = await account.session.connect()
        finally:
            await account.close()
        users = {user.email: user.id for user in catalogue.users}
        matched = [
            Binding(kind="employee", name=employee.id, value=users[employee.email])
            for employee in project.policy.employees
            if employee.email in users
        ]
        now = services.clock.now()
        await services.store.write(
            partial(_keep, project=name, name=connection.name, catalogue=catalogue, matched=matched, at=now)
        )
    await services.projects.reload()


def _keep(
    conn: Connection, *, project: str, name: str, catalogue: Catalogue, matched: Sequence[Binding], at: datetime
) -> None:
    projects.set_catalogue(conn, project, name, catalogue, at)
    bindings.put(conn, project, name, matched)
    projects.set_status(conn, project, name, Status.READY, now=at)
