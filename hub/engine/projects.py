"""The projects as the running hub holds them in memory: policy, channels, connections; reloaded when they change."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from hub.core.policy import Policy, load_policy
from hub.core.records import Catalogue, CrmUser, EmployeeId, RecordKind, UserId, crm_user
from hub.errors import ConfigurationError
from hub.plugins import Plugins
from hub.ports import ChannelConfig
from hub.store import bindings, policies, projects
from hub.store.addresses import Addresses, load_addresses
from hub.store.crypto import Cipher
from hub.store.directory_fold import BY_NAME
from hub.store.engine import Store
from hub.store.projects import Channel, CrmConnection, Project

__all__ = ["LiveConnection", "LiveProject", "Projects", "find_user"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveConnection:
    """A connection with what its names stand for."""

    row: CrmConnection
    #: who is who: bound by hand or matched, both ways
    users: Mapping[EmployeeId, UserId] = field(default_factory=dict)
    employees: Mapping[UserId, EmployeeId] = field(default_factory=dict)
    #: employees who cannot be a responsible here: no user in this CRM, or a deactivated one
    inactive: frozenset[EmployeeId] = frozenset()
    #: of those, who has no user here on purpose: the policy says so
    userless: frozenset[EmployeeId] = frozenset()
    bound: Mapping[tuple[str, str], str] = field(default_factory=dict)
    names: Mapping[EmployeeId, str] = field(default_factory=dict)
    #: the CRM's field ids of the policy's further identity fields (J4), of contacts and companies, by their names
    key_field_ids: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def catalogue(self) -> Catalogue:
        return self.row.catalogue or Catalogue()


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveProject:
    """One project, ready to decide for."""

    row: Project
    #: None until a policy is published, or while the stored one cannot be read
    policy: Policy | None
    policy_version: int
    #: why there is no policy
    problem: str = ""
    channels: Mapping[str, ChannelConfig] = field(default_factory=dict)
    #: channels and connections that cannot work, and why
    problems: Mapping[str, str] = field(default_factory=dict)
    #: in the order of the policy's ``crm``, then by name (C8)
    connections: tuple[LiveConnection, ...] = ()

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def is_writing(self) -> bool:
        return self.row.is_writing

    def connection(self, name: str) -> LiveConnection | None:
        return next((found for found in self.connections if found.name == name), None)


class Projects:
    """All projects; `reload` after a change, cheap to ask."""

    def __init__(self, store: Store, cipher: Cipher, plugins: Plugins) -> None:
        self._store, self._cipher, self._plugins = store, cipher, plugins
        self._live: dict[str, LiveProject] = {}
        self._compiled: dict[tuple[str, int], Policy | ConfigurationError] = {}
        self.addresses = Addresses((), ())
        #: how many readings have begun, and the number of the one that is here
        self._begun = self._read = 0

    async def reload(self) -> None:
        """Read everything anew; the running policy stays where a new one cannot be read.

        Of several at once the one that began last stays, whichever ends last: what was stored before is there then.
        """
        self._begun += 1
        number = self._begun
        found = await self._store.read(self._load)
        if number > self._read:
            self._read = number
            self._live, self.addresses = found

    def reload_now(self) -> None:
        """`reload` for commands that have no event loop."""
        self._live, self.addresses = self._store.read_now(self._load)

    def get(self, name: str) -> LiveProject:
        """The project called ``name``; raises ConfigurationError if there is none."""
        try:
            return self._live[name]
        except KeyError:
            known = ", ".join(sorted(self._live)) or "none"
            raise ConfigurationError(f"there is no project {name!r}; known: {known}", path="project") from None

    def find(self, name: str) -> LiveProject | None:
        """The project called ``name``, None if there is none."""
        return self._live.get(name)

    def all(self) -> list[LiveProject]:
        """Every project, by name."""
        return [self._live[name] for name in sorted(self._live)]

    def _load(self, conn: Connection) -> tuple[dict[str, LiveProject], Addresses]:
        live = {row.name: self._load_project(conn, row) for row in projects.list_projects(conn)}
        return live, load_addresses(conn, self._cipher)

    def _load_project(self, conn: Connection, row: Project) -> LiveProject:
        head = policies.head(conn, row.name)
        policy: Policy | None = None
        version, problem = 0, "no policy is published yet"
        if head is not None:
            version = head.version
            found = self._compile(row.name, version, head.text)
            if isinstance(found, Policy):
                policy, problem = found, ""
            else:
                problem = str(found)
                before = self._live.get(row.name)
                if before is not None and before.policy is not None:
                    policy, version = before.policy, before.policy_version
        problems: dict[str, str] = {}
        channels: dict[str, ChannelConfig] = {}
        for channel in projects.list_channels(conn, self._cipher, row.name):
            try:
                channels[channel.name] = self._channel(channel, policy)
            except (ConfigurationError, ValueError) as err:
                problems[channel.name] = str(err)
        problems |= self._disagreements(conn, row.name, policy) if policy else {}
        order = [] if policy is None else [found.name for found in policy.crm]
        connections = sorted(
            projects.list_connections(conn, self._cipher, row.name),
            key=lambda found: (order.index(found.name) if found.name in order else len(order), found.name),
        )
        return LiveProject(
            row=row,
            policy=policy,
            policy_version=version,
            problem=problem,
            channels=channels,
            problems=problems,
            connections=tuple(self._connection(conn, found, policy) for found in connections),
        )

    def _disagreements(self, conn: Connection, project: str, policy: Policy) -> dict[str, str]:
        """Where the policy names another plugin or a CRM user than there is: told, while the set-up's choice works."""
        found: dict[str, str] = {}
        for channel in projects.list_channels(conn, self._cipher, project):
            said = policy.channels.get(channel.name)
            if said is not None and said.source not in ("", channel.source):
                found[f"channels.{channel.name}.source"] = f"the set-up has {channel.source!r}, not {said.source!r}"
        plugins = {one.name: one.plugin for one in policy.crm}
        for connection in projects.list_connections(conn, self._cipher, project):
            if plugins.get(connection.name, "") not in ("", connection.sink):
                said_plugin = plugins[connection.name]
                found[f"crm.{connection.name}.plugin"] = f"the set-up has {connection.sink!r}, not {said_plugin!r}"
            for employee in policy.employees if connection.catalogue else ():
                user = employee.crm_users.get(connection.name, "")
                if user and find_user(connection.catalogue, user) is None:
                    found[f"employees.{employee.id}.crm_users"] = f"{connection.name} has no user {user!r}"
        return found

    def _compile(self, project: str, version: int, text: str) -> Policy | ConfigurationError:
        key = (project, version)
        if key not in self._compiled:
            try:
                self._compiled[key] = load_policy(
                    text, file=f"policy {project} version {version}", rules=self._plugins.rules.values()
                )
            except ConfigurationError as err:
                log.error("the policy of %s cannot be used: %s", project, err, extra={"action": "policy.broken"})
                self._compiled[key] = err
        return self._compiled[key]

    def policy_of(self, conn: Connection, project: str, version: int) -> Policy:
        """An earlier version, ready to decide by; ConfigurationError if it cannot be read any more (X13)."""
        found = self._compile(project, version, policies.get(conn, project, version).text)
        if isinstance(found, ConfigurationError):
            raise found
        return found

    def _channel(self, row: Channel, policy: Policy | None) -> ChannelConfig:
        source = self._plugins.source(row.source)
        of_policy = policy.channels.get(row.name) if policy else None
        settings = {**row.settings, **(of_policy.settings if of_policy else {})}
        return ChannelConfig(
            project=row.project,
            name=row.name,
            source=row.source,
            settings=source.settings_model.model_validate(settings),
            region=policy.project.region if policy else "UA",
            time_zone=policy.project.time_zone if policy else "UTC",
            eight_is_seven=policy.eight_is_seven if policy else False,
        )

    def _connection(self, conn: Connection, row: CrmConnection, policy: Policy | None) -> LiveConnection:
        employees = dict(bindings.employees_by_user(conn, row.project, row.name))
        userless = {
            EmployeeId(one.id) for one in (policy.employees if policy else ()) if one.crm_users.get(row.name) == ""
        }
        employees = {user: who for user, who in employees.items() if who not in userless}
        for one in policy.employees if policy else ():
            # what the policy says goes before what the set-up matched (H12)
            chosen = find_user(row.catalogue, one.crm_users.get(row.name, ""))
            if chosen is not None:
                employees = {user: who for user, who in employees.items() if who != one.id}
                employees[chosen.id] = EmployeeId(one.id)
        users = {employee: user for user, employee in employees.items()}
        by_id: dict[UserId, CrmUser] = {user.id: user for user in (row.catalogue or Catalogue()).users}
        names = {crm_user(user.id): user.name for user in by_id.values()}
        inactive = {crm_user(user.id) for user in by_id.values() if not user.is_active}
        for employee in policy.employees if policy else ():
            employee_id = EmployeeId(employee.id)
            names[employee_id] = employee.name
            user_id = users.get(employee_id)
            # a user whom the CRM's list names no more is deleted; where no list was read yet, nobody is
            if user_id is None or (by_id and (user_id not in by_id or not by_id[user_id].is_active)):
                inactive.add(employee_id)
        bound: dict[tuple[str, str], str] = {
            (found.kind, found.name): found.value
            for found in bindings.list_bindings(conn, row.project, row.name)
            if found.value and found.kind != "employee"
        }
        catalogue = row.catalogue or Catalogue()
        further = [key.removeprefix("field:") for key in (policy.identity.keys if policy else ()) if ":" in key]
        key_field_ids = {
            name: tuple(
                found.id
                for found in catalogue.fields
                if found.record in (RecordKind.CONTACT, RecordKind.COMPANY)
                and name.casefold() in (found.name.casefold(), found.code.casefold())
            )
            for name in further
        }
        if policy and "name" in policy.identity.keys:
            key_field_ids[BY_NAME] = (BY_NAME,)
        return LiveConnection(
            row=row,
            key_field_ids=key_field_ids,
            users=users,
            employees=employees,
            inactive=frozenset(inactive),
            userless=frozenset(userless),
            bound=bound,
            names=names,
        )


def find_user(catalogue: Catalogue | None, said: str) -> CrmUser | None:
    """The CRM's user whose id, e-mail or name is ``said``; None if nobody is, or it could be two."""
    low = said.strip().casefold()
    if not low or catalogue is None:
        return None
    signs = [(user, (user.id.casefold(), user.email.casefold(), user.name.casefold())) for user in catalogue.users]
    for place in range(3):
        fits = [user for user, sign in signs if sign[place] == low]
        if len(fits) == 1:
            return fits[0]
    return None
