"""What is done about a client who wrote and has not been answered (W6, X10).

The host asks `remind` when a `Plan.due` with a `hub.core.waiting.waiting_key` comes, and `dismiss` when somebody says
that no reply is needed. The task that is made is a wish to reach the client like a call-back: whatever reaches them,
over any channel, closes it, and `hub.core.escalation` moves it.
"""

from __future__ import annotations

from datetime import datetime

from hub.core.assign import assign
from hub.core.facts import establish
from hub.core.interaction import ClientId, Interaction, InteractionId
from hub.core.outcome import Outcome, TaskWish
from hub.core.plan import CompleteTask, Nothing, Plan, Reason, StepKey
from hub.core.planning import make_tasks
from hub.core.policy import Policy
from hub.core.records import RecordKind, RecordRef
from hub.core.rota import NO_TURNS
from hub.core.snapshot import Snapshot
from hub.core.tasks import open_tasks
from hub.core.verdict import Verdict

__all__ = ["dismiss", "remind"]


def remind(
    interaction: Interaction, snapshot: Snapshot, policy: Policy, now: datetime, *, client_id: ClientId
) -> Plan | None:
    """The task for a client who still waits for an answer to ``interaction``; pure and total.

    None while the client is nobody's: in the CRM's inbox of undecided enquiries the task is made when the chat gets
    an owner (W6). Never a second one, whoever has the first meanwhile.
    """
    because = Reason(code="unanswered", requirement="W6")
    name = policy.messages.task
    kind = policy.tasks.get(name)
    if kind is None:
        return _nothing(interaction.id, "messages_make_no_task")
    facts = establish(interaction, snapshot, policy, now)
    if facts.is_unclaimed:
        return None
    family = kind.family or name
    if any(found.family == family for found in facts.open_tasks):
        return _nothing(interaction.id, "task_is_open")
    wish = TaskWish(task=name, assignees=("responsible",))
    outcome = Outcome(deal="none", contact=False, responsible=("senior",), tasks=(wish,))
    people = assign(facts, outcome, NO_TURNS, policy, now)
    return make_tasks(Verdict(outcome=outcome, because=because), facts, people, client_id, since=now)


def dismiss(interaction: InteractionId, snapshot: Snapshot, policy: Policy) -> Plan:
    """Closes what unanswered messages made: somebody said that no reply is needed (W6)."""
    because = Reason(code="no_reply_needed", requirement="W6")
    actions = tuple(
        CompleteTask(
            key=StepKey(f"{interaction}/complete/{found.task.id}"),
            task=RecordRef(kind=RecordKind.TASK, id=found.task.id),
            reason=because,
        )
        for found in open_tasks(snapshot, policy)
        if found.kind and found.kind == policy.messages.task
    )
    return Plan(actions=actions) if actions else _nothing(interaction, "no_reply_needed")


def _nothing(interaction: InteractionId, code: str) -> Plan:
    reason = Reason(code=code, requirement="W6")
    return Plan(actions=(Nothing(key=StepKey(f"{interaction}/nothing/unanswered"), reason=reason),))
