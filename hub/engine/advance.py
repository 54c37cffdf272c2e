"""``advance(client, crm)``: the only unit of ordered work (DESIGN 2.4). Decides; writes to no CRM; idempotent."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from hub.clock import Clock
from hub.core.decide import decide
from hub.core.facts import without_own
from hub.core.interaction import Direction, Identity, InteractionId
from hub.core.plan import Action, Nothing, Plan, StepKey
from hub.core.policy import Policy
from hub.core.records import RecordKind, RecordRef
from hub.core.remark import remark
from hub.core.revise import ON_THE_WAY, Known, StepState, has_to_wait, revise
from hub.core.rota import Rota
from hub.core.snapshot import History, Snapshot
from hub.core.waiting import asks
from hub.engine.checkpoints import checkpoint
from hub.engine.ending import end
from hub.engine.load import Loads
from hub.engine.projects import LiveConnection, LiveProject, Projects
from hub.engine.replay import Redecided, redecide
from hub.engine.resting import Resting
from hub.engine.seen import HELD_FOR, Kept, Preview, Seen, is_held, own_past, then_of, unclaimed_of, with_refused
from hub.engine.snapshots import digest, gone, is_imported, lean, made_records, unheard_of
from hub.errors import VendorError
from hub.store import acquaintance, clients, decisions, dues, events, interactions, refused, rota, steps, waiting, work
from hub.store.directory import Directory
from hub.store.dues import Due
from hub.store.engine import Store
from hub.store.holdings import Holdings, assemble
from hub.store.interactions import Stored
from hub.store.steps import Step
from hub.store.work import Lane, Work, WorkState

__all__ = ["Advance"]

log = logging.getLogger(__name__)


class Advance:
    """Takes the lane's oldest unfinished interaction as far as it goes without the CRM's answer."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        projects: Projects,
        directory: Directory,
        *,
        search: Callable[[Lane, Identity], Awaitable[None]],
        read: Callable[[Lane, Sequence[RecordRef], bool], Awaitable[bool]],
        wake_writer: Callable[[str, str, bool], None],
        foresee: Callable[[Lane, Plan, bool], None] = lambda *_: None,
        planned: Callable[[Lane, InteractionId, Plan], None] = lambda *_: None,
    ) -> None:
        self._foresee, self._planned = foresee, planned
        self._store, self._clock, self._projects, self._directory = store, clock, projects, directory
        #: accounts whose import stands in this directory: a lost one has to be asked for anew (DESIGN 3)
        self._imported: set[tuple[str, str]] = set()
        self._search, self._read, self._wake_writer = search, read, wake_writer
        self._loads, self.resting = Loads(directory, clock), Resting(clock)

    async def __call__(self, lane: Lane) -> datetime | None:
        """Advance ``lane``; when to look again, None = when somebody wakes it."""
        while True:
            project = self._projects.find(lane.project)
            connection = project.connection(lane.connection) if project else None
            if project is None or project.policy is None or connection is None or project.row.is_paused:
                return None
            now = self._clock.now()
            seen = await self._store.read(lambda conn: self._look(conn, lane), is_short=True)
            if seen is None:
                return None
            if seen.work.state is WorkState.WRITING:
                if has_to_wait(seen.counts, seen.work.revision > seen.work.decided_revision):
                    if seen.is_awaited:
                        await self._store.write(partial(work.hasten, found=seen.work))
                        self._wake_writer(lane.project, lane.connection, True)
                    return None
                await self._store.write(partial(self._end, seen=seen, now=now))
                continue
            assert seen.work.decide_at is not None
            if seen.work.decide_at > now:
                return seen.work.decide_at
            if seen.stored is None or any(state in seen.counts for state in ON_THE_WAY):
                return None
            if seen.is_held:
                return now + HELD_FOR
            try:
                snapshot = await self._snapshot(lane, connection, seen, now)
            except VendorError as err:
                log.debug("lane %s waits for %s: %s", lane.client_id, lane.connection, err)
                return None if self.resting.failed(lane, err) else now + timedelta(seconds=5)
            if snapshot is None:
                return None
            if seen.has_refused:
                snapshot = await self._store.read(partial(with_refused, lane=lane, snapshot=snapshot))
            plan, snapshot = self._decide(lane, seen, snapshot, project.policy, now)
            self._foresee(lane, plan, not seen.own)
            checkpoint("advance.decided")
            kept = await self._store.write(
                partial(self._keep, lane=lane, project=project, seen=seen, plan=plan, snapshot=snapshot, now=now)
            )
            checkpoint("advance.stored")
            if kept is not Kept.LOST and project.is_writing:
                self._wake_writer(lane.project, lane.connection, plan.has_popup)
            if kept is not Kept.LOST and not seen.work.is_replay:
                self._planned(lane, seen.work.interaction_id, plan)
            if kept is Kept.WAITS:
                return None

    def decide_within(self, conn: Connection, lane: Lane) -> Plan | None:
        """Decide the lane's next interaction inside the caller's transaction; None if there is nothing to decide.

        For trying things out: whoever rolls the transaction back has changed nothing.
        """
        project = self._projects.get(lane.project)
        connection = project.connection(lane.connection)
        seen = self._look(conn, lane)
        if project.policy is None or connection is None or seen is None or seen.stored is None:
            return None
        now = self._clock.now()
        snapshot = with_refused(conn, lane, self._take(lane, connection, seen, seen.stored.interaction.client, now))
        plan, snapshot = self._decide(lane, seen, snapshot, project.policy, now)
        self._keep(conn, lane, project, seen, plan, snapshot, now)
        return plan

    def preview(self, conn: Connection, found: Work, *, rules: int = 0) -> Preview | None:
        """What `work.reopen` of ``found`` with ``rules`` would come to, by what the hub knows now; writes nothing.

        None where nothing can be decided: the project has no policy, or the connection is gone. Raises what deciding
        raises.
        """
        lane = Lane(client_id=found.client_id, connection=found.connection, project=found.project)
        project = self._projects.get(lane.project)
        connection = project.connection(lane.connection)
        if project.policy is None or connection is None:
            return None
        item = replace(found, urgency=work.BULK, rules=rules, on_seen=found.state is WorkState.FINISHED)
        seen = self._see(conn, lane, item)
        if seen.stored is None:
            return None
        now = self._clock.now()
        snapshot = with_refused(conn, lane, self._take(lane, connection, seen, seen.stored.interaction.client, now))
        plan, _ = self._decide(lane, seen, snapshot, project.policy, now)
        change = revise(plan.actions, self._known(conn, lane, item, seen.own, plan.actions), item.revision)
        return Preview(plan=plan, change=change, policy_version=seen.policy_version or project.policy_version)

    def _decide(
        self, lane: Lane, seen: Seen, current: Snapshot, policy: Policy, now: datetime
    ) -> tuple[Plan, Snapshot]:
        """The plan, and the snapshot on which it was made."""
        assert seen.stored is not None
        interaction, rules = seen.stored.interaction, seen.policy or policy
        if not seen.work.is_replay:
            return decide(interaction, current, seen.rota, rules, now, client_id=lane.client_id), current
        found: Redecided = redecide(
            interaction,
            then=seen.then,
            current=current,
            done={step.key for step in seen.own if step.state is StepState.DONE},
            exists=lambda ref: not gone(self._directory, lane, [ref]),
            rota=seen.rota,
            policy=rules,
            now=now,
            client_id=lane.client_id,
        )
        return found.plan, found.snapshot

    # --- reading ------------------------------------------------------------------------------------------------

    def _look(self, conn: Connection, lane: Lane) -> Seen | None:
        found = work.head(conn, lane)
        if found is None:
            return None
        if found.state is WorkState.WRITING:
            counts = steps.outstanding(conn, found.interaction_id, lane.connection)
            return Seen(
                work=found,
                stored=None,
                counts=counts,
                own=(),
                history=History(),
                rota=Rota(),
                rota_version=0,
                is_awaited=found.is_replay and work.is_awaited(conn, lane),
            )
        return self._see(conn, lane, found)

    def _see(self, conn: Connection, lane: Lane, found: Work) -> Seen:
        """What a decision about ``found`` needs from the store."""
        stored = clients.own_keys_only(conn, interactions.find(conn, found.interaction_id))
        turns, version = rota.load(conn, lane.project)
        own = steps.of_interaction(conn, found.interaction_id, lane.connection)
        return Seen(
            work=found,
            stored=stored,
            counts=Counter(step.state.value for step in own),
            own=own,
            history=self._history(conn, lane, found, own),
            rota=Rota(
                turns=turns,
                loads=self._loads.of(conn, self._projects.find(lane.project), lane.connection),
                chosen=decisions.chosen(conn, found.interaction_id),
            ),
            rota_version=version,
            made=_made(conn, lane, stored),
            is_held=is_held(conn, found),
            policy=self._projects.policy_of(conn, lane.project, found.rules) if found.rules else None,
            policy_version=found.rules,
            then=then_of(conn, found) if found.on_seen else None,
            has_refused=refused.has_any(conn, lane.project, lane.connection),
        )

    def _history(self, conn: Connection, lane: Lane, found: Work, own: Sequence[Step]) -> History:
        client = clients.get(conn, lane.client_id)
        made = steps.made_tasks(conn, lane.client_id, lane.connection, but_not_of=found.interaction_id)
        history = History(
            interactions=interactions.count_of_client(conn, lane.client_id, before=found.sequence),
            last_talked=client.last_talked,
            last_talked_at=client.last_talked_at,
            called_by=client.called_by,
            open_task_keys={str(key): id for key, id in made.items()},
            unclaimed=unclaimed_of(conn, self._projects.find(lane.project), lane),
        )
        return replace(history, **own_past(conn, found, own))

    async def _snapshot(self, lane: Lane, connection: LiveConnection, seen: Seen, now: datetime) -> Snapshot | None:
        """The client's records; asks the CRM's search only while the directory is not complete.

        None if the lane is woken once they are all there.

        Deals that the directory knows by id only (an import leaves closed ones out) are read first: an open one
        among them must not be overlooked (A14), and "closed" is not "never had one" (Z16, Z17).
        """
        assert seen.stored is not None
        identity = seen.stored.interaction.client
        if unheard := unheard_of(self._directory, lane, seen):
            if not await self._read(lane, unheard, self.resting.is_well(lane)):
                return None
            self.resting.answered(lane)
        holdings: Holdings | None = self._holdings(lane, connection, seen, identity)
        assert holdings is not None
        missing = [ref for ref in holdings.missing if ref.kind is RecordKind.DEAL]
        if missing:
            if not await self._read(lane, missing, self.resting.is_well(lane)):
                return None
            self.resting.answered(lane)
            holdings = None
        snapshot = self._take(lane, connection, seen, identity, now, holdings)
        if not snapshot.is_complete and not (snapshot.contacts or snapshot.companies) and not identity.is_empty:
            await self._search(lane, identity)
            self.resting.answered(lane)
            snapshot = self._take(lane, connection, seen, identity, now)
        return snapshot

    def _is_complete(self, lane: Lane, connection: LiveConnection) -> bool:
        """True if what the directory lacks the CRM lacks too: it was imported, and into this very directory."""
        account = (lane.project, lane.connection)
        if connection.row.imported_at is None:
            return False
        if account not in self._imported and is_imported(self._directory, lane.project, connection):
            self._imported.add(account)
        return account in self._imported

    def _holdings(self, lane: Lane, connection: LiveConnection, seen: Seen, identity: Identity) -> Holdings:
        return self._directory.lookup(
            lane.project, lane.connection, identity, field_ids=connection.key_field_ids, records=seen.made
        )

    def _take(
        self,
        lane: Lane,
        connection: LiveConnection,
        seen: Seen,
        identity: Identity,
        now: datetime,
        holdings: Holdings | None = None,
    ) -> Snapshot:
        """What a decision sees; ``holdings`` are looked up where they are not given."""
        snapshot = assemble(
            holdings or self._holdings(lane, connection, seen, identity),
            connection=lane.connection,
            taken_at=now,
            catalogue=connection.catalogue,
            employees=connection.employees,
            names=connection.names,
            history=replace(seen.history, own_contacts=frozenset(ref.id for ref in seen.made)),
            is_complete=self._is_complete(lane, connection),
        )
        snapshot = replace(snapshot, inactive=connection.inactive)
        open_tasks = {task.id for task in snapshot.tasks if task.is_open}
        still = {key: id for key, id in snapshot.history.open_task_keys.items() if id in open_tasks}
        return replace(snapshot, history=replace(snapshot.history, open_task_keys=still))

    async def views(self, works: Sequence[Work]) -> dict[InteractionId, str]:
        """The digest of what a decision about each of ``works`` would see now, for the barrier."""

        def read(conn: Connection) -> list[tuple[Work, Seen]]:
            found = []
            for item in works:
                lane = Lane(client_id=item.client_id, connection=item.connection, project=item.project)
                stored = clients.own_keys_only(conn, interactions.find(conn, item.interaction_id))
                own = steps.of_interaction(conn, item.interaction_id, lane.connection)
                seen = Seen(
                    work=item,
                    stored=stored,
                    counts={},
                    own=own,
                    # of what was, the digest asks only what is this interaction's own doing
                    history=History(**own_past(conn, item, own)),
                    rota=Rota(),
                    rota_version=0,
                    made=_made(conn, lane, stored),
                )
                found.append((item, seen))
            return found

        now = self._clock.now()
        views: dict[InteractionId, str] = {}
        for item, seen in await self._store.read(read, is_short=len(works) == 1):
            project = self._projects.find(item.project)
            connection = project.connection(item.connection) if project else None
            if connection is None or seen.stored is None:
                continue
            lane = Lane(client_id=item.client_id, connection=item.connection, project=item.project)
            snapshot = self._take(lane, connection, seen, seen.stored.interaction.client, now)
            views[item.interaction_id] = digest(without_own(snapshot))
        return views

    # --- storing ------------------------------------------------------------------------------------------------

    def _end(self, conn: Connection, seen: Seen, now: datetime) -> None:
        """What was seen is past: an employee may have asked for something meanwhile (U1)."""
        found = work.get(conn, seen.work.interaction_id, seen.work.connection, to_change=True)
        if found is not None:
            end(conn, found, steps.outstanding(conn, found.interaction_id, found.connection), now)

    async def give_up(self, lane: Lane, err: Exception) -> None:
        """The lane's next interaction cannot be decided: it needs attention, and those behind it go on (H4)."""
        now = self._clock.now()

        def put(conn: Connection) -> None:
            found = work.head(conn, lane)
            if found is not None:
                found = work.get(conn, found.interaction_id, lane.connection, to_change=True)
            if found is None or found.state is not WorkState.OPEN:
                return
            note = remark("undecidable", error=f"{type(err).__name__}: {err}".splitlines()[0][:300])
            work.put(conn, found, WorkState.ATTENTION, now=now, note=note)
            if found.is_replay:
                work.end_replay(conn, found.interaction_id, found.connection)
            body = {"interaction": found.interaction_id, "connection": found.connection, "state": "attention"}
            events.append(conn, project=found.project, kind="work", body=body, now=now)

        await self._store.write(put)

    def _keep(
        self,
        conn: Connection,
        lane: Lane,
        project: LiveProject,
        seen: Seen,
        plan: Plan,
        snapshot: Snapshot,
        now: datetime,
    ) -> Kept:
        """Store plan, steps and turns in one transaction."""
        assert seen.stored is not None
        found = work.get(conn, seen.work.interaction_id, lane.connection, to_change=True)
        if found is None or found.state is not WorkState.OPEN or found.revision != seen.work.revision:
            return Kept.LOST
        if found.client_id != lane.client_id:
            # joined to another client meanwhile, in whose lane it is now (X12)
            return Kept.LOST
        own = steps.of_interaction(conn, found.interaction_id, lane.connection)
        if is_held(conn, found, to_begin=True) or any(step.state.value in ON_THE_WAY for step in own):
            return Kept.LOST
        # a plan tells only the groups that took a turn; the others' turns stay
        if plan.turns and not rota.advance(conn, lane.project, {**seen.rota.turns, **plan.turns}, seen.rota_version):
            return Kept.LOST
        is_writing = project.is_writing
        decisions.add(
            conn,
            interaction_id=found.interaction_id,
            connection=lane.connection,
            project=lane.project,
            revision=found.revision,
            policy_version=seen.policy_version or project.policy_version,
            now=now,
            snapshot=lean(snapshot),
            plan=plan,
            purpose="shadow" if not is_writing else "replay" if found.is_replay else "decision",
        )
        if asks(seen.stored.interaction):
            waiting.set_employee(conn, lane.client_id, plan.responsible)
        if plan.talked is not None:
            clients.set_last_talked(conn, lane.client_id, plan.talked, seen.stored.interaction.moment)
            if getattr(seen.stored.interaction, "direction", None) is Direction.OUTBOUND:
                clients.add_caller(conn, lane.client_id, plan.talked)
        if not is_writing:
            work.put(
                conn,
                found,
                WorkState.FINISHED,
                now=now,
                decided_revision=found.revision,
                seen=digest(without_own(snapshot)),
                note=remark("shadow"),
            )
            if found.is_replay:
                work.end_replay(conn, found.interaction_id, found.connection)
            return Kept.IDLE
        is_waiting = self._keep_steps(conn, lane, found, own, plan.actions, now)
        for key, at in plan.due.items():
            dues.put(conn, Due(project=lane.project, client_id=lane.client_id, key=key, at=at))
        work.put(
            conn, found, WorkState.WRITING, now=now, decided_revision=found.revision, seen=digest(without_own(snapshot))
        )
        return Kept.WAITS if is_waiting else Kept.IDLE

    def _keep_steps(
        self,
        conn: Connection,
        lane: Lane,
        found: Work,
        earlier: Sequence[Step],
        actions: Sequence[Action],
        now: datetime,
    ) -> bool:
        """Store what is new beside the interaction's ``earlier`` steps; whether anything new is to be sent."""
        change = revise(actions, self._known(conn, lane, found, earlier, actions), found.revision)
        steps.withdraw(conn, lane.project, lane.connection, change.withdrawn, now)
        urgency = found.urgency
        for action in change.replaced:
            steps.replace_action(
                conn,
                action,
                project=lane.project,
                connection=lane.connection,
                interaction_id=found.interaction_id,
                urgency=urgency,
            )
        added = [action for action in change.added if not isinstance(action, Nothing)]
        steps.add(
            conn,
            added,
            project=lane.project,
            connection=lane.connection,
            interaction_id=found.interaction_id,
            client_id=lane.client_id,
            urgency=urgency,
            now=now,
            first_position=len(earlier),
        )
        return bool(added or change.replaced)

    def _known(
        self, conn: Connection, lane: Lane, found: Work, earlier: Sequence[Step], actions: Sequence[Action]
    ) -> dict[StepKey, Known]:
        """The interaction's ``earlier`` steps, and those of the client's others that ``actions`` share."""
        own = {step.key: step for step in earlier}
        # steps whose keys begin otherwise may have been made for the client's other interactions
        keys = {action.key for action in actions if not action.key.startswith(f"{found.interaction_id}/")}
        shared = steps.by_keys(conn, lane.project, lane.connection, keys)
        lost = gone(self._directory, lane, made_records([*own.values(), *shared.values()]))
        return {
            step.key: Known(
                key=step.key,
                state=step.state,
                action=step.action,
                record=step.record,
                is_record_alive=step.record not in lost,
                is_own=step.interaction_id == found.interaction_id,
            )
            for step in {**shared, **own}.values()
        }


def _made(conn: Connection, lane: Lane, stored: Stored | None) -> tuple[RecordRef, ...]:
    if stored is None:
        return ()
    return acquaintance.without_keys(conn, stored.interaction.client, lane.client_id, lane.connection)
