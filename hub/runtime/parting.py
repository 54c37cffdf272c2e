"""Joins and carry-overs that the hub made, and undoing them, in the store and in the CRM (X12).

The undoing is one transaction: the joined client gets back what is theirs, the pair is remembered as parted, and what
the CRM has to be told becomes steps with keys, which the account's writer sends like all others, once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from sqlalchemy import Connection, select

from hub.core.interaction import ClientId, Identity, InteractionId
from hub.core.parting import DoneStep, Parting, TakeOff, part, take_off_carried
from hub.core.phone import Phone
from hub.core.plan import Action, CreateTask, Reason, StepKey, UpdateContact
from hub.core.records import Contact, RecordKind, RecordRef
from hub.core.remark import remark
from hub.core.revise import StepState
from hub.engine.projects import LiveProject
from hub.errors import ConfigurationError
from hub.language import translator
from hub.ports import SinkCapabilities
from hub.store import client_joins, clients, interactions, refused, schema, steps, work
from hub.store.client_joins import Join
from hub.store.directory import Directory
from hub.store.steps import Step
from hub.store.work import Work, WorkState

__all__ = ["CardUrl", "Link", "Partings", "Undoing"]

#: the address of a record's card in one CRM
CardUrl: TypeAlias = Callable[[RecordRef], str]

#: what the senior has for it, in working time
DUE = timedelta(hours=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Something that the hub brought together: two clients, or a duplicate's numbers onto the fuller contact (A9)."""

    #: what ``hub clients undo`` is told: the join's number, or ``carry-`` and the step's
    id: str
    at: datetime
    reason: str
    kept: str
    joined: str
    undone_at: datetime | None = None
    #: the numbers and e-mails that came with it
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Undoing:
    """What undoing a link comes to, by CRM."""

    link: Link
    partings: Mapping[str, Parting]
    #: CRMs that cannot take single values off a contact: a person does it
    by_hand: frozenset[str] = frozenset()
    #: False once somebody else was faster
    is_done: bool = False


class Partings:
    """Lists links of one project, looks at what undoing them would do, and undoes them."""

    def __init__(
        self,
        live: LiveProject,
        directory: Directory,
        capabilities: Mapping[str, SinkCapabilities],
        urls: Mapping[str, CardUrl],
    ) -> None:
        self._live, self._directory = live, directory
        self._capabilities, self._urls = capabilities, urls

    # --- listing ------------------------------------------------------------------------------------------------

    def listed(
        self, conn: Connection, *, since: datetime | None = None, client_id: ClientId | None = None
    ) -> list[Link]:
        """Every link, the newest first."""
        joins = client_joins.list_joins(conn, self._live.name, client_id=client_id, since=since, limit=10_000)
        found = [_link(conn, join) for join in joins]
        found += [
            link
            for step in self._completions(conn, since, client_id)
            if (link := self._carried(conn, step)) is not None
        ]
        return sorted(found, key=lambda link: link.at, reverse=True)

    def _completions(self, conn: Connection, since: datetime | None, client_id: ClientId | None) -> list[Step]:
        """Done steps that completed a contact: what they added may have been a duplicate's."""
        table = schema.step
        where = [
            table.c.project == self._live.name,
            table.c.kind == "update_contact",
            table.c.state == StepState.DONE.value,
        ]
        if since is not None:
            where.append(table.c.ended_at >= since)
        if client_id is not None:
            where.append(table.c.client_id == client_id)
        rows = conn.execute(select(table.c.project, table.c.connection, table.c.key).where(*where).order_by(table.c.id))
        found: list[Step] = []
        for project, connection, key in rows:
            found += steps.by_keys(conn, project, connection, {StepKey(key)}).values()
        return found

    def _carried(self, conn: Connection, step: Step) -> Link | None:
        action = step.action
        if not isinstance(action, UpdateContact) or not (action.add_phones or action.add_emails):
            return None
        own = _own_values(conn, step.interaction_id)
        values = tuple(one for one in (*action.add_phones, *action.add_emails) if one.casefold() not in own)
        contact = step.record or action.contact
        if not values or not isinstance(contact, RecordRef):
            return None
        gone = refused.of_contacts(conn, step.project, step.connection, [contact.id])
        is_undone = all(f"{contact.id}/{value.casefold()}" in gone for value in values)
        ended = step.ended_at or step.created_at
        return Link(
            id=f"carry-{step.id}",
            at=ended,
            reason=remark("carried_over", crm=step.connection),
            kept=f"{step.connection}: {contact.id}",
            joined="",
            undone_at=ended if is_undone else None,
            values=values,
        )

    # --- looking ------------------------------------------------------------------------------------------------

    def look(self, conn: Connection, link: Link) -> Undoing:
        """What undoing ``link`` would do; writes nothing."""
        if link.id.startswith("carry-"):
            partings = self._look_carried(conn, link)
        else:
            [join] = client_joins.list_joins(conn, self._live.name, id=int(link.id))
            partings = {one.name: self._part(conn, one.name, join) for one in self._live.connections}
        partings = {name: found for name, found in partings.items() if not found.is_empty}
        unable = {name for name, found in partings.items() if found.take_off and not self._can_take_back(name)}
        return Undoing(link=link, partings=partings, by_hand=frozenset(unable))

    def _can_take_back(self, connection: str) -> bool:
        found = self._capabilities.get(connection)
        return found is not None and found.can_take_back

    def _look_carried(self, conn: Connection, link: Link) -> dict[str, Parting]:
        step = next((one for one in self._completions(conn, None, None) if f"carry-{one.id}" == link.id), None)
        if step is None:
            return {}
        contact = self._contact(step.connection, step.record)
        off = take_off_carried(_done(step), _own_values(conn, step.interaction_id), contact)
        if off is None:
            return {}
        return {step.connection: Parting(take_off=(off,), kept=(off.contact,))}

    def _part(self, conn: Connection, connection: str, join: Join) -> Parting:
        keys_joined = frozenset(join.keys)
        # who keeps them may have been joined to another since
        holder = clients.get(conn, join.kept).id
        keys_kept = frozenset(clients.keys_of(conn, holder)) - keys_joined
        done = [_done(step) for step in steps.of_client(conn, holder, connection) if step.state is StepState.DONE]
        contacts: dict[str, Contact] = {}
        for keys in (keys_kept, keys_joined):
            held = self._directory.lookup(self._live.name, connection, _identity(keys))
            contacts |= {found.id: found for found in held.contacts}
        for step in done:
            found = self._contact(connection, step.record)
            if found is not None:
                contacts[found.id] = found
        return part(
            done,
            keys_kept=keys_kept,
            keys_joined=keys_joined,
            moved=join.interactions,
            theirs=_theirs(conn, join, holder, keys_joined),
            contacts=contacts,
        )

    def _contact(self, connection: str, ref: RecordRef | None) -> Contact | None:
        if ref is None or ref.kind is not RecordKind.CONTACT:
            return None
        found = self._directory.get(self._live.name, connection, ref)
        return found if isinstance(found, Contact) else None

    # --- undoing ------------------------------------------------------------------------------------------------

    def undo(self, conn: Connection, link: Link, now: datetime) -> Undoing:
        """Undo ``link`` in the caller's transaction; the steps are sent by the running hub.

        Raises ConfigurationError while an action of the client is on its way: what it does to a card, nobody would
        take back.
        """
        if link.undone_at is None and not link.id.startswith("carry-"):
            self._require_rest(conn, ClientId(link.kept), ClientId(link.joined))
        found = self.look(conn, link)
        if link.undone_at is not None:
            return found
        if not link.id.startswith("carry-") and not client_joins.undo(conn, int(link.id), now):
            return found
        for name, parting in found.partings.items():
            actions: list[tuple[InteractionId, Action]] = []
            for off in parting.take_off:
                refused.put(conn, self._live.name, name, off.contact.id, off.values, now)
                if name not in found.by_hand:
                    actions.append((off.by.interaction_id, _take_off(off, link)))
            if parting.left or name in found.by_hand:
                anchor = self._anchor(conn, name, parting, link)
                if anchor is not None:
                    actions.append((anchor, self._task(name, parting, link, anchor, now)))
            self._store(conn, name, actions, now)
        return replace(found, is_done=True)

    def _require_rest(self, conn: Connection, kept: ClientId, joined: ClientId) -> None:
        # who keeps them may have been joined to another since
        holder = clients.get(conn, kept).id
        client_joins.hold(conn, self._live.name, holder, joined)
        for one in self._live.connections:
            for step in steps.of_client(conn, holder, one.name):
                if step.state.is_outstanding and step.action.kind != "notify":
                    raise ConfigurationError(
                        f"an action for this client is on its way to {one.name}: undo the join when it has ended",
                        path=f"client {holder}",
                    )

    def _anchor(self, conn: Connection, connection: str, parting: Parting, link: Link) -> InteractionId | None:
        """The interaction whose work the task belongs to."""
        if parting.take_off:
            return parting.take_off[0].by.interaction_id
        for stored in interactions.list_of_client(conn, ClientId(link.kept), limit=100):
            if work.get(conn, stored.id, connection) is not None:
                return stored.id
        return None

    def _task(self, connection: str, parting: Parting, link: Link, anchor: InteractionId, now: datetime) -> CreateTask:
        """One task on the senior with both links: what no CRM lets the hub take back."""
        policy = self._live.policy
        assert policy is not None
        t = translator(policy.language)
        url = self._urls.get(connection)

        def shown(refs: tuple[RecordRef, ...]) -> str:
            said = [(url(ref) if url else "") or f"{t(f'record.{ref.kind.value}')} {ref.id}" for ref in refs]
            return ", ".join(said) or t("nobody")

        values = ", ".join(value for off in parting.take_off for value in off.values)
        text = t("parting.task", kept=shown(parting.kept), joined=shown(parting.joined))
        if parting.left:
            text += " " + t("parting.task_left", records=shown(parting.left))
        if values and not self._can_take_back(connection):
            text += " " + t("parting.task_values", values=values)
        senior = policy.roles.get("senior", ())
        on = next(iter((*parting.kept, *parting.joined)), None)
        return CreateTask(
            key=StepKey(f"{anchor}/parting~parted/{link.id}"),
            task="parting",
            text=text,
            on=on,
            assignee=senior[0] if senior else None,
            due_at=policy.company_hours.after(now, DUE),
            reason=Reason(code="join_undone", requirement="X12"),
        )

    def _store(
        self, conn: Connection, connection: str, actions: list[tuple[InteractionId, Action]], now: datetime
    ) -> None:
        for interaction_id, action in actions:
            item = work.get(conn, interaction_id, connection, to_change=True)
            known = steps.by_keys(conn, self._live.name, connection, {action.key})
            if item is None or known:
                continue
            steps.add(
                conn,
                [action],
                project=self._live.name,
                connection=connection,
                interaction_id=interaction_id,
                client_id=item.client_id,
                urgency=work.FRESH + 1,
                now=now,
                first_position=len(steps.of_interaction(conn, interaction_id, connection)),
            )
            _let_write(conn, item, now)


def _let_write(conn: Connection, item: Work, now: datetime) -> None:
    if item.state in (WorkState.FINISHED, WorkState.ATTENTION):
        work.put(conn, item, WorkState.WRITING, now=now)


def _take_off(off: TakeOff, link: Link) -> UpdateContact:
    return UpdateContact(
        key=StepKey(f"{off.by.key}~parted/{link.id}/{off.contact.id}"),
        contact=off.contact,
        remove_phones=off.phones,
        remove_emails=off.emails,
        remove_tags=off.tags,
        reason=Reason(code="join_undone", requirement="X12"),
    )


def _done(step: Step) -> DoneStep:
    return DoneStep(key=step.key, interaction_id=step.interaction_id, action=step.action, record=step.record)


def _identity(keys: frozenset[tuple[str, str]]) -> Identity:
    return Identity(
        phones=tuple(Phone(value) for kind, value in sorted(keys) if kind == "phone"),
        emails=tuple(value for kind, value in sorted(keys) if kind == "email"),
    )


def _own_values(conn: Connection, id: InteractionId) -> frozenset[str]:
    stored = interactions.find(conn, id)
    told = stored.interaction.client if stored else Identity()
    return frozenset(value.casefold() for value in (*told.phones, *told.emails))


def _theirs(
    conn: Connection, join: Join, holder: ClientId, keys: frozenset[tuple[str, str]]
) -> frozenset[InteractionId]:
    """Interactions after the join that have nothing but the leaving one's keys."""
    found = set()
    for stored in interactions.list_of_client(conn, holder, limit=10_000):
        if stored.id in join.interactions or stored.received_at < join.at:
            continue
        told = stored.interaction.client
        own = {("phone", str(one)) for one in told.phones} | {("email", one.strip().lower()) for one in told.emails}
        if own and own <= keys:
            found.add(stored.id)
    return frozenset(found)


def _link(conn: Connection, join: Join) -> Link:
    return Link(
        id=str(join.id),
        at=join.at,
        reason=join.reason,
        kept=join.kept,
        joined=join.joined,
        undone_at=join.undone_at,
        values=tuple(value for _, value in join.keys),
    )
