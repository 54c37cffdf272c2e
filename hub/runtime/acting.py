"""What an employee does from a card or a popup, on the same way as everything else: steps, writer, journal (U1, X5).

A request is stored before anything is sent and done once, however often the browser repeats it; while the CRM is down
it waits in its order. What was taken is known to the directory at once, so that the next forwarding answer follows.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Literal, TypeAlias, TypeVar

from sqlalchemy import Connection

from hub.core import by_hand
from hub.core.interaction import ClientId, InteractionId
from hub.core.plan import Action, StepKey, UpdateContact, UpdateDeal
from hub.core.policy import Policy
from hub.core.records import EmployeeId, RecordKind, RecordRef, Task, crm_user
from hub.core.remark import remark
from hub.core.revise import StepState
from hub.core.right import Right
from hub.engine.projects import LiveConnection, LiveProject
from hub.engine.snapshots import heard_of, is_imported
from hub.errors import AccessError, ConfigurationError, VendorError
from hub.ports import Changes
from hub.runtime.client_records import ClientRecords, Reader, records_of_card, records_of_client
from hub.runtime.pace import Urgency, urgency
from hub.runtime.services import Services
from hub.store import dues, events, interactions, locks, steps, work
from hub.store.deeds import anchor_of, has_left, making, may_be_taken, personal_steps
from hub.store.dues import Due
from hub.store.holdings import employee_of
from hub.store.popups import CARD
from hub.store.work import WorkState

__all__ = ["Acting", "Done", "Impossible", "State", "Unknown"]

T = TypeVar("T")

log = logging.getLogger(__name__)

State: TypeAlias = Literal["done", "waiting", "failed"]

#: how long an answer waits for the CRM before it says that the rest follows
PATIENCE = timedelta(seconds=4)
#: how long the CRM may take to say whether it knows a client, before a person makes one
SEARCH = timedelta(seconds=3)
#: how much older than what it was told last a directory's copy may be in what it was told out of order
COPY_MARGIN = timedelta(minutes=1)
_EVER = datetime(1970, 1, 2, tzinfo=UTC)


class Unknown(ConfigurationError):
    """There is no such client or task in this project."""


class Impossible(ConfigurationError):
    """It cannot be done as things stand; `code` has a sentence in every language."""

    def __init__(self, code: Literal["held_back", "no_history", "no_call_back_kind"]) -> None:
        self.code = code
        super().__init__(code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of a request."""

    state: State
    #: a message of the family ``deed``: what was done, or ``nothing`` where it was so already
    said: str
    #: the CRM's own words where it refused
    note: str = ""
    contact: RecordRef | None = None
    deal: RecordRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What a request comes to, decided inside its transaction."""

    said: str
    actions: tuple[Action, ...] = ()
    due: Mapping[str, datetime] = field(default_factory=dict)
    #: open the step again although it was done: another request, and what it made is gone
    again: frozenset[StepKey] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """What was stored."""

    said: str
    keys: tuple[StepKey, ...]
    records: ClientRecords
    #: how the directory sees the client from now on
    effect: Changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """One employee acting in one CRM of one project."""

    services: Services
    live: LiveProject
    connection: LiveConnection
    policy: Policy
    employee: EmployeeId
    #: the browser's id of the request
    request: str

    # --- what can be done ---------------------------------------------------------------------------------------

    async def take(self, client: ClientId, interaction: InteractionId | None = None) -> Done:
        """The contact and the open deals become this employee's; a client whom the CRM does not know is made."""
        known = await self._find(client)
        if known.is_new:
            return await self.create(client, frozenset({"contact"}), interaction=interaction)

        def wish(conn: Connection, records: ClientRecords, id: ClientId, anchor: InteractionId) -> _Wish:
            actions = by_hand.take(
                id,
                self.employee,
                self.request,
                contact=records.contact,
                deals=records.open_deals,
                unclaimed=records.deal if records.is_unclaimed else None,
            )
            return _Wish(said="take", actions=actions)

        return await self._act(client, interaction, "take", wish)

    async def create(
        self,
        client: ClientId,
        what: frozenset[str],
        *,
        name: str = "",
        interaction: InteractionId | None = None,
    ) -> Done:
        """The contact, and the deal if it is wanted, as the policy makes them; what is there is not made again."""
        known = await self._find(client)
        if known.is_new:
            await self._look(known)

        def wish(conn: Connection, records: ClientRecords, id: ClientId, anchor: InteractionId) -> _Wish:
            actions = self._by_hand(by_hand.create, conn, records, id, anchor)(what=what, name=name)
            return _Wish(said="create_deal" if "deal" in what else "create_contact", actions=actions)

        return await self._act(client, interaction, "take", wish, makes_card=True)

    async def call_back_task(
        self,
        client: ClientId,
        *,
        text: str = "",
        due: datetime | None = None,
        interaction: InteractionId | None = None,
    ) -> Done:
        """A task to call the client back, unless this employee has one open (A3, X10)."""
        if not by_hand.call_back_kind(self.policy):
            raise Impossible("no_call_back_kind")

        def wish(conn: Connection, records: ClientRecords, id: ClientId, anchor: InteractionId) -> _Wish:
            plan = self._by_hand(by_hand.call_back, conn, records, id, anchor)(text=text, due=due)
            plan = by_hand.joined_to(plan, [one.key for one in self._making(conn, records)])
            is_open = {task.id for task in records.snapshot.tasks if task.is_open}
            known = steps.by_keys(conn, self.live.name, self.connection.name, {one.key for one in plan.actions})
            left = [key for key, one in known.items() if has_left(one)]
            words = by_hand.reworded(plan, left, id, self.employee, self.request, text=text, due=due)
            again = frozenset(
                key
                for key, one in known.items()
                if one.state is StepState.DONE
                and (one.record is None or one.record.id not in is_open)
                and one.action.reason.values.get("request") != self.request
            )
            return _Wish(said="task", actions=(*plan.actions, *words), due=plan.due, again=again)

        return await self._act(client, interaction, "take", wish)

    def _by_hand(
        self,
        wanted: Callable[..., T],
        conn: Connection,
        records: ClientRecords,
        client: ClientId,
        anchor: InteractionId,
    ) -> Callable[..., T]:
        """``wanted`` of `hub.core.by_hand`, told of the enquiry at hand, of the records and of who wants it."""
        stored = interactions.find(conn, anchor)
        assert stored is not None
        return partial(
            wanted,
            stored.interaction,
            records.snapshot,
            self.policy,
            self.services.clock.now(),
            client=client,
            employee=self.employee,
            request=self.request,
        )

    async def complete(self, task: str, text: str = "") -> Done:
        """The task is done."""

        def wish(conn: Connection, records: ClientRecords, id: ClientId, anchor: InteractionId) -> _Wish:
            found = self._task(task)
            return _Wish(said="complete", actions=(by_hand.complete(id, self.employee, self.request, found, text),))

        return await self._act_on_task(task, wish)

    async def reschedule(self, task: str, due: datetime) -> Done:
        """The task gets another deadline."""

        def wish(conn: Connection, records: ClientRecords, id: ClientId, anchor: InteractionId) -> _Wish:
            found = self._task(task)
            return _Wish(said="reschedule", actions=(by_hand.reschedule(id, self.employee, self.request, found, due),))

        return await self._act_on_task(task, wish)

    # --- the way ------------------------------------------------------------------------------------------------

    async def _find(self, client: ClientId) -> ClientRecords:
        found = await self.services.store.read(
            lambda conn: records_of_client(conn, self.services, self.live, self.connection, client)
        )
        if found is None:
            raise Unknown("there is no such client", path="client")
        return found

    async def _look(self, known: ClientRecords) -> None:
        """Ask the CRM once whether it knows the client after all; one that is down is not waited for."""
        account = self.services.accounts.get((self.live.name, self.connection.name))
        if account is None or not account.may_ask or known.identity.is_empty:
            return
        began = self.services.clock.now()
        with contextlib.suppress(VendorError, TimeoutError), urgency(Urgency.POPUP):
            async with asyncio.timeout(SEARCH.total_seconds()):
                await account.fold(await account.session.search(known.identity), began)

    async def _act(
        self,
        client: ClientId,
        interaction: InteractionId | None,
        right: Right,
        wish: Callable[[Connection, ClientRecords, ClientId, InteractionId], _Wish],
        *,
        makes_card: bool = False,
    ) -> Done:
        def store(conn: Connection) -> _Stored:
            records = records_of_client(conn, self.services, self.live, self.connection, client)
            if records is None:
                raise Unknown("there is no such client", path="client")
            if not records.allows(Reader(employee=self.employee), right, self.policy, self.services.clock.now()):
                raise AccessError("a colleague's client", endpoint="widget")
            return self._keep(conn, records, interaction, wish, makes_card=makes_card)

        return await self._follow(await self._stored(store))

    async def _act_on_task(
        self, task: str, wish: Callable[[Connection, ClientRecords, ClientId, InteractionId], _Wish]
    ) -> Done:
        def store(conn: Connection) -> _Stored:
            found = self._task(task)
            if found.on is None:
                raise Unknown("nobody knows whose task it is", path="task")
            records = records_of_card(conn, self.services, self.live, self.connection, found.on)
            if records is None:
                raise Unknown("there is no such task", path="task")
            is_own = employee_of(found.responsible, self.connection.employees) == self.employee
            if not is_own and not records.allows(
                Reader(employee=self.employee), "write", self.policy, self.services.clock.now()
            ):
                raise AccessError("a colleague's task", endpoint="widget")
            return self._keep(conn, records, None, wish)

        return await self._follow(await self._stored(store))

    def _task(self, task: str) -> Task:
        found = self.services.directory.get(
            self.live.name, self.connection.name, RecordRef(kind=RecordKind.TASK, id=task)
        )
        if not isinstance(found, Task):
            raise Unknown("there is no such task", path="task")
        return found

    async def _stored(self, store: Callable[[Connection], _Stored]) -> _Stored:
        """Store the request; the directory learns of it at once, the writer is woken."""
        if not self.live.is_writing:
            raise Impossible("held_back")
        found = await self.services.store.write(store)
        if found.effect != Changes():
            await self._tell(found.effect)
        self.services.changed()
        self.services.live.wake()
        return found

    def _keep(
        self,
        conn: Connection,
        records: ClientRecords,
        interaction: InteractionId | None,
        wish: Callable[[Connection, ClientRecords, ClientId, InteractionId], _Wish],
        *,
        makes_card: bool = False,
    ) -> _Stored:
        """The steps of the request, in the caller's transaction; those that stand already are not added again."""
        now, name = self.services.clock.now(), self.connection.name
        # two requests at once, or the same one twice: the later sees what the earlier stored
        locks.hold(conn, "deeds", self.live.name, name)
        for step in self._making(conn, records) if makes_card else ():
            if step.action.kind != "create_task":
                # under the keys of what is on its way already, so that the two make one (A14)
                interaction = step.interaction_id
        anchor = anchor_of(conn, records.ids, name, interaction)
        if anchor is None:
            raise Impossible("no_history")
        # a worker that is ending this very work waits, or has ended it before we look
        work.hold(conn, [anchor], name)
        stored = interactions.find(conn, anchor)
        assert stored is not None
        wanted = wish(conn, records, stored.client_id, anchor)
        known = steps.by_keys(conn, self.live.name, name, {action.key for action in wanted.actions})
        fresh = [action for action in wanted.actions if action.key not in known]
        over = (StepState.REJECTED, StepState.WITHDRAWN)
        again = [
            action
            for action in wanted.actions
            if action.key in known and (action.key in wanted.again or known[action.key].state in over)
        ]
        # what has not left yet leaves as the person wants it
        taken = [action for action in wanted.actions if action.key in known and may_be_taken(known[action.key])]
        steps.add(
            conn,
            fresh,
            project=self.live.name,
            connection=name,
            interaction_id=anchor,
            client_id=stored.client_id,
            urgency=int(Urgency.POPUP),
            now=now,
            first_position=len(steps.of_interaction(conn, anchor, name)),
        )
        for action in (*again, *taken):
            steps.replace_action(
                conn,
                action,
                project=self.live.name,
                connection=name,
                interaction_id=known[action.key].interaction_id if action in taken else anchor,
                urgency=int(Urgency.POPUP),
            )
        if fresh or again:
            self._let_write(conn, stored, now)
        if fresh or again or taken:
            for key, at in wanted.due.items():
                dues.put(conn, Due(project=self.live.name, client_id=stored.client_id, key=key, at=at))
            self._announce(conn, records, wanted, now)
        keys = tuple(action.key for action in wanted.actions) or self._before(conn, records)
        return _Stored(
            said=wanted.said if keys else "nothing",
            keys=keys,
            records=records,
            effect=_effect(records, [*fresh, *again, *taken], self.connection),
        )

    def _making(self, conn: Connection, records: ClientRecords) -> list[steps.Step]:
        """The steps that make the client's records, and of whose records this process's directory has not heard."""
        place = (self.live.name, self.connection.name)
        account = self.services.accounts.get(place)
        told = self.services.clock.now() if account is None else account.folded_until()
        if not is_imported(self.services.directory, place[0], self.connection):
            told = _EVER  # of a directory that was lost only the last hour's steps are in it
        found = making(conn, records.ids, *place, since=told - COPY_MARGIN)
        heard = heard_of(self.services.directory, *place, [one.record for one in found if one.record is not None])
        return [one for one in found if one.record is None or one.record not in heard]

    def _before(self, conn: Connection, records: ClientRecords) -> tuple[StepKey, ...]:
        """Where nothing is left to do: what this employee's earlier click, or this very request, is still about.

        The directory knows of it before the CRM does, so that "it was so already" might be told of what still waits.
        """
        found = []
        for step in personal_steps(conn, records.ids, self.live.name, self.connection.name):
            by = by_hand.read_personal_key(step.key)
            if by is None or by[0] != self.employee or by[2] != "take":
                continue
            if by[1] == self.request or step.state.is_outstanding:
                found.append(step.key)
        return tuple(found)

    def _let_write(self, conn: Connection, stored: interactions.Stored, now: datetime) -> None:
        """Let the writer send: what is ended is written again, what was never decided there has its work begun.

        One that is waiting for its decision keeps it: the steps follow right after.
        """
        name = self.connection.name
        item = work.get(conn, stored.id, name)
        if item is None:
            work.add(
                conn,
                interaction_id=stored.id,
                project=self.live.name,
                client_id=stored.client_id,
                sequence=stored.sequence,
                connections=[name],
                now=now,
            )
            item = work.get(conn, stored.id, name)
            assert item is not None
            # while it rings there is nothing to decide yet; what was over before this CRM came stays undecided
            decided = None if stored.decide_at is None else stored.revision
            work.put(conn, item, WorkState.WRITING, now=now, decided_revision=decided)
        elif item.state in (WorkState.FINISHED, WorkState.ATTENTION):
            work.put(conn, item, WorkState.WRITING, now=now)

    def _announce(self, conn: Connection, records: ClientRecords, wanted: _Wish, now: datetime) -> None:
        """Tell the live views that these cards show something else now."""
        refs = [*(one.ref for one in records.snapshot.contacts[:5]), *(one.ref for one in records.snapshot.deals[:5])]
        shown = [(self.connection.name, ref.kind.value, ref.id) for ref in refs]
        events.append(conn, project=self.live.name, kind=CARD, body={"records": shown}, now=now)
        log.info("%s: %s by %s", self.live.name, wanted.said, self.employee, extra={"action": f"deed.{wanted.said}"})

    # --- what becomes of it -------------------------------------------------------------------------------------

    async def _follow(self, stored: _Stored) -> Done:
        """Wait a little for the CRM; what takes longer follows by itself."""
        clock, account = self.services.clock, self.services.accounts.get((self.live.name, self.connection.name))
        until, pause = clock.monotonic() + PATIENCE.total_seconds(), 0.02
        while True:
            found = await self.services.store.read(
                lambda conn: steps.by_keys(conn, self.live.name, self.connection.name, set(stored.keys))
            )
            if not any(step.state.is_outstanding for step in found.values()):
                break
            if clock.monotonic() >= until or (account is not None and not account.may_ask):
                return self._done(stored, found.values(), "waiting")
            await asyncio.sleep(pause)
            pause = min(0.25, pause * 1.5)
        refused = [step for step in found.values() if step.state is StepState.REJECTED]
        if refused:
            await self._look_again(stored)
            return self._done(stored, found.values(), "failed", note=refused[0].note)
        return self._done(stored, found.values(), "done")

    async def _look_again(self, stored: _Stored) -> None:
        """The CRM refused: what the directory was told beforehand is read again."""
        effect = stored.effect
        touched = (*(one.ref for one in effect.contacts), *(one.ref for one in effect.deals))
        if touched:
            await self._tell(Changes(touched=touched))

    async def _tell(self, changes: Changes) -> None:
        """Let the directory know, dated by the CRM's clock: what is dated ahead of it hides what the CRM tells next."""
        place, now = (self.live.name, self.connection.name), self.services.clock.now()
        told_at = account.vendor_clock.theirs(now) if (account := self.services.accounts.get(place)) else now
        await self.services.directory.fold_async(*place, changes, now, told_at=told_at)

    def _done(self, stored: _Stored, found: Collection[steps.Step], state: State, *, note: str = "") -> Done:
        records = stored.records
        made = {step.action.kind: step.record for step in found if step.record is not None}
        contact = made.get("create_contact") or (records.contact.ref if records.contact else None)
        deal = made.get("create_deal") or (records.deal.ref if records.deal else None)
        return Done(
            state=state,
            said=stored.said,
            note=note or ("" if state != "failed" else remark("refused", n=1)),
            contact=contact,
            deal=deal,
        )


def _effect(records: ClientRecords, actions: Sequence[Action], connection: LiveConnection) -> Changes:
    """The client's records as they are about to be; what is created is told when the CRM has given it an id."""
    contacts, deals = (
        {one.id: one for one in records.snapshot.contacts},
        {one.id: one for one in records.snapshot.deals},
    )
    told = Changes()
    for action in actions:
        if not isinstance(action, UpdateContact | UpdateDeal) or action.responsible is None:
            continue
        user = connection.users.get(action.responsible)
        if user is None:
            continue
        match action:
            case UpdateContact(contact=RecordRef(id=id)) if id in contacts:
                told = replace(told, contacts=(*told.contacts, replace(contacts[id], responsible=crm_user(user))))
            case UpdateDeal(deal=RecordRef(id=id)) if id in deals:
                told = replace(told, deals=(*told.deals, replace(deals[id], responsible=crm_user(user))))
            case _:
                pass
    return told
