"""The demo's project: the preset with the traffic file's people and numbers, connected to the sandboxes."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

import tomlkit
from sqlalchemy import Connection

from hub.runtime.opening import open_account
from hub.runtime.services import Services
from hub.store import bindings, policies, projects
from hub.store.bindings import Binding
from hub.store.projects import Status

__all__ = ["CHANNEL", "CRM", "PROJECT", "connect", "demo_policy", "make_project"]

PROJECT, CHANNEL, CRM = "demo", "ringostat", "amocrm"


def demo_policy(preset: str, traffic: Mapping[str, Any]) -> str:
    """The preset's text with this company's employees and numbers; comments stay."""
    text = (resources.files("hub") / "presets" / f"{preset}.toml").read_text(encoding="utf-8")
    document = tomlkit.parse(text)
    company = traffic["company"]
    own = document["project"]
    own["region"], own["time_zone"] = company["region"], company["timezone"]
    people = tomlkit.aot()
    private = list(traffic["private_lines"])
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
    return tomlkit.dumps(document)


def make_project(
    services: Services,
    *,
    policy: str,
    address: str,
    token: str,
    telephony: Mapping[str, Any],
    mode: projects.Mode = "live",
) -> None:
    """A project with one telephony channel and one CRM, as the set-up would leave it."""
    store, cipher, now = services.store, services.cipher, services.clock.now()

    def make(conn: Connection) -> None:
        projects.add_project(conn, PROJECT, now=now, title="AutoMaximum", mode=mode)
        policies.publish(conn, PROJECT, text=policy, author="demo", based_on=None, now=now, reason="the preset")
        projects.add_channel(
            conn, cipher, project=PROJECT, name=CHANNEL, source="ringostat", settings=telephony, now=now
        )
        settings = {"address": address, "long_lived_token": token, "is_loopback_allowed": True}
        projects.add_connection(conn, cipher, project=PROJECT, name=CRM, sink="amocrm", settings=settings, now=now)

    store.write_now(make)
    services.projects.reload_now()


async def connect(services: Services) -> None:
    """Read the account and bind employees to users by e-mail; the running hub imports the records."""
    project = services.projects.get(PROJECT)
    assert project.policy is not None
    account = open_account(services, project, project.connections[0])
    try:
        catalogue = await account.session.connect()
    finally:
        await account.close()
    now = services.clock.now()
    users = {user.email: user.id for user in catalogue.users}
    matched = [
        Binding(kind="employee", name=employee.id, value=users[employee.email])
        for employee in project.policy.employees
        if employee.email in users
    ]

    def keep(conn: Connection) -> None:
        projects.set_catalogue(conn, PROJECT, CRM, catalogue, now)
        bindings.put(conn, PROJECT, CRM, matched)
        projects.set_status(conn, PROJECT, CRM, Status.READY, now=now)

    await services.store.write(keep)
    await services.projects.reload()
