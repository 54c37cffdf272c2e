"""Set-up's second half: the policy's names and the CRM's ids, employees and the CRM's users (H12, DESIGN 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import tomlkit

from hub.core.match import Listed, Matching, Pair, match, new_id
from hub.core.policy import Policy
from hub.core.records import Catalogue, EmployeeId, RecordKind
from hub.errors import ConfigurationError, HubError, VendorError
from hub.ports import ListsEmployees
from hub.runtime import setup
from hub.runtime.services import Services
from hub.runtime.vendor_client import VendorClient
from hub.store import bindings
from hub.store.bindings import Binding, BindingKind

__all__ = ["Offered", "Wanted", "bind", "bind_found", "list_staff", "match_staff", "wanted_names", "write_staff"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """Something of the CRM that can be chosen by name."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A name that the policy uses, and what it is in the CRM."""

    kind: BindingKind
    #: the key of the binding: "Sales", "Sales/New", "deal/utm_source" …
    key: str
    #: as people read it
    name: str
    #: the CRM's id; "" while nothing fits
    value: str
    #: a person chose it
    is_manual: bool
    offered: tuple[Offered, ...]


# --- names ------------------------------------------------------------------------------------------------------


def wanted_names(policy: Policy, catalogue: Catalogue, known: Sequence[Binding]) -> list[Wanted]:
    """Every name of the policy that must exist in the CRM, with what it is bound to or fits by name."""
    bound = {(item.kind, item.name): item for item in known}
    found: list[Wanted] = []

    def add(kind: BindingKind, key: str, name: str, offered: Sequence[Offered], codes: Mapping[str, str]) -> None:
        item = bound.get((kind, key))
        low = name.casefold()
        fits = next((one.id for one in offered if low in (one.name.casefold(), codes.get(one.id, ""))), "")
        is_manual = item is not None and item.is_manual
        value = item.value if item is not None and is_manual else fits
        found.append(Wanted(kind=kind, key=key, name=name, value=value, is_manual=is_manual, offered=tuple(offered)))

    pipelines = [Offered(id=one.id, name=one.name) for one in catalogue.pipelines]
    for name in _pipelines(policy):
        add("pipeline", name, name, pipelines, {})
    for pipeline_name, stage_name in _stages(policy):
        pipeline = next(
            (one for one in catalogue.pipelines if _is_pipeline(one.id, one.name, pipeline_name, bound)),
            next((one for one in catalogue.pipelines if one.is_main), None) if not pipeline_name else None,
        )
        offered = [
            Offered(id=stage.id, name=stage.name)
            for stage in (pipeline.stages if pipeline else ())
            if not stage.is_unsorted
        ]
        place = pipeline.name if pipeline else pipeline_name
        add("stage", f"{place}/{stage_name}", stage_name, offered, {})
    for record, name in _fields(policy):
        fields = [one for one in catalogue.fields if one.record is record]
        codes = {one.id: one.code.casefold() for one in fields}
        add("field", f"{record.value}/{name}", name, [Offered(id=one.id, name=one.name) for one in fields], codes)
    codes = {one.id: one.code.casefold() for one in catalogue.task_types}
    types = [Offered(id=one.id, name=one.name) for one in catalogue.task_types]
    for name in dict.fromkeys(kind.type for kind in policy.tasks.values() if kind.type):
        add("task_type", name, name, types, codes)
    return found


def _is_pipeline(id: str, name: str, wanted: str, bound: Mapping[tuple[BindingKind, str], Binding]) -> bool:
    item = bound.get(("pipeline", wanted))
    return id == item.value if item and item.value else bool(wanted) and name.casefold() == wanted.casefold()


def _places(policy: Policy) -> list[tuple[str, str]]:
    """Every (pipeline, stage) of the policy; a stage without a pipeline is of the deals' pipeline."""
    own = policy.deals.pipeline
    settings = (*policy.matrix, *policy.rules, *policy.channels.values())
    places = [(one.pipeline or own, one.stage or "") for one in settings]
    return list(dict.fromkeys([(own, policy.deals.stage), *places]))


def _pipelines(policy: Policy) -> list[str]:
    return list(dict.fromkeys(pipeline for pipeline, _ in _places(policy) if pipeline))


def _stages(policy: Policy) -> list[tuple[str, str]]:
    return [(pipeline, stage) for pipeline, stage in _places(policy) if stage]


def _fields(policy: Policy) -> list[tuple[RecordKind, str]]:
    settings = (*policy.matrix, *policy.rules, *policy.channels.values())
    deal = [*policy.deals.fields, *(name for one in settings for name in one.fields)]
    deal += [name for row in policy.sources for name in row.fields]
    contact = [*policy.contacts.fields, *(name for one in settings for name in one.contact_fields)]
    return [
        *((RecordKind.DEAL, name) for name in dict.fromkeys(deal)),
        *((RecordKind.CONTACT, name) for name in dict.fromkeys(contact)),
    ]


async def bind(
    services: Services,
    project: str,
    connection: str,
    chosen: Mapping[tuple[BindingKind, str], str],
    *,
    is_manual: bool = True,
) -> None:
    """Keep what the policy's names are in the CRM; ``chosen`` by (kind, key)."""
    now = services.clock.now()
    items = [
        Binding(kind=kind, name=key, value=value, is_manual=is_manual, checked_at=now)
        for (kind, key), value in chosen.items()
    ]
    await services.store.write(lambda conn: bindings.put(conn, project, connection, items))
    await setup.refresh(services)


async def bind_found(services: Services, project: str, connection: str) -> list[Wanted]:
    """Bind every name that the CRM has under the same name; what a person chose stays. All names, bound or not."""
    live = services.projects.get(project)
    found = live.connection(connection)
    if live.policy is None or found is None:
        raise ConfigurationError(live.problem or "there is no such connection", path=f"connection {connection}")
    known = await services.store.read(lambda conn: bindings.list_bindings(conn, project, connection))
    wanted = wanted_names(live.policy, found.catalogue, known)
    fitting: dict[tuple[BindingKind, str], str] = {
        (one.kind, one.key): one.value for one in wanted if one.value and not one.is_manual
    }
    await bind(services, project, connection, fitting, is_manual=False)
    return wanted


# --- employees --------------------------------------------------------------------------------------------------


async def list_staff(services: Services, project: str, channel: str) -> list[Listed]:
    """Who works there, as the channel's vendor knows it; [] if the vendor cannot tell. Raises VendorError."""
    live = services.projects.get(project)
    config = live.channels.get(channel)
    if config is None:
        raise ConfigurationError(live.problems.get(channel, "there is no such channel"), path=f"channel {channel}")
    source = services.plugins.source(config.source)
    if not isinstance(source, ListsEmployees):
        return []
    async with VendorClient(timeout=20.0, follow_redirects=False) as http:
        found = await source.list_employees(config, http)
    return [
        Listed(
            staff_id=one.staff_id,
            name=one.name,
            email=one.email,
            extension=one.extension,
            destinations=one.destinations,
            numbers=one.numbers,
            departments=one.departments,
        )
        for one in found
    ]


async def match_staff(services: Services, project: str, connection: str) -> Matching:
    """The employees of all channels with the connection's users. Raises VendorError if nobody could be asked."""
    live = services.projects.get(project)
    found = live.connection(connection)
    if live.policy is None or found is None:
        raise ConfigurationError(live.problem or "there is no such connection", path=f"connection {connection}")
    listed: dict[str, Listed] = {}
    failed: HubError | None = None
    for name in sorted(live.channels):
        try:
            for one in await list_staff(services, project, name):
                listed.setdefault(one.staff_id, one)
        except VendorError as err:
            failed = err
    if failed is not None and not listed:
        raise failed
    known = {staff_id: employee for employee in live.policy.employees for staff_id in employee.staff_ids}
    users = {user.id: user for user in found.catalogue.users}
    settled: list[Pair] = []
    for staff_id, one in list(listed.items()):
        employee = known.get(staff_id)
        user_id = found.users.get(EmployeeId(employee.id)) if employee else None
        user = users.get(user_id) if user_id else None
        if user is not None:
            settled.append(Pair(listed=one, user=user, by="chosen"))
            del listed[staff_id]
    taken = {pair.user.id for pair in settled}
    rest = match(
        list(listed.values()),
        [user for user in found.catalogue.users if user.id not in taken],
        live.policy.project.region,
        eight_is_seven=live.policy.eight_is_seven,
    )
    return Matching(pairs=(*settled, *rest.pairs), unmatched=rest.unmatched, left=rest.left)


async def write_staff(
    services: Services, project: str, connection: str, pairs: Sequence[Pair], *, author: str, senior: str = ""
) -> int:
    """Write ``pairs`` into the policy as ``[[employees]]`` blocks and bind them; how many the policy has afterwards.

    Blocks that stand there stay as they are, their comments too; what the telephony knows better (destinations,
    numbers, extension) is added where nothing stands. ``senior`` is a user's id.
    """
    present = await setup.policy_in_force(services, project)
    document = tomlkit.parse(present.text)
    blocks = document.setdefault("employees", tomlkit.aot())
    chosen: dict[tuple[BindingKind, str], str] = {}
    senior_id = ""
    for pair in pairs:
        block = _block_of(blocks, pair)
        if block is None:
            block = tomlkit.table()
            block["id"] = new_id(pair.user.email.split("@")[0], pair.user.name, [str(one["id"]) for one in blocks])
            block["name"] = pair.user.name
            blocks.append(block)
        _complete(block, pair)
        chosen[("employee", str(block["id"]))] = pair.user.id
        if pair.user.id == senior:
            senior_id = str(block["id"])
    text = _with_senior(document, senior_id)
    await setup.publish(services, project, text, based_on=present, author=author, reason="employees from the set-up")
    await bind(services, project, connection, chosen)
    return len(blocks)


def _with_senior(document: tomlkit.TOMLDocument, senior: str) -> str:
    """The text with ``senior`` set; a new plain key goes before all tables, or TOML reads it as the last table's."""
    if not senior or "senior" in document:
        if senior:
            document["senior"] = senior
        return tomlkit.dumps(document)
    comment, text = [], tomlkit.dumps(document)
    lines = text.splitlines(keepends=True)
    while lines and (lines[0].startswith("#") or not lines[0].strip()):
        comment.append(lines.pop(0))
    return "".join((*comment, f'senior = "{senior}"\n\n', *lines))


def _block_of(blocks: Sequence[tomlkit.items.Table], pair: Pair) -> tomlkit.items.Table | None:
    """The employee's block, if the policy has one: by the telephony's id, by e-mail, by name."""
    emails = {text.casefold() for text in (pair.listed.email, pair.user.email) if text}
    for block in blocks:
        if pair.listed.staff_id and pair.listed.staff_id in block.get("staff_ids", ()):
            return block
    for block in blocks:
        if str(block.get("email", "")).casefold() in emails:
            return block
    return next((block for block in blocks if block.get("name") and block["name"] == pair.user.name), None)


def _complete(block: tomlkit.items.Table, pair: Pair) -> None:
    listed = pair.listed
    single = {"email": pair.user.email or listed.email, "extension": listed.extension}
    several = {
        "staff_ids": (listed.staff_id,) if listed.staff_id else (),
        "destinations": listed.destinations,
        "mobiles": tuple(number for number in listed.numbers if number not in listed.destinations),
        "departments": listed.departments,
    }
    for name, text in single.items():
        if text and not block.get(name):
            block[name] = text
    for name, texts in several.items():
        if texts and not block.get(name):
            block[name] = list(texts)
