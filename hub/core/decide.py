"""The heart: what to do in the CRM about one interaction (DESIGN 1)."""

from __future__ import annotations

from datetime import datetime

from hub.core.assign import assign
from hub.core.facts import Facts, establish
from hub.core.interaction import ClientId, Interaction
from hub.core.plan import Plan
from hub.core.planning import plan_for
from hub.core.policy import Policy
from hub.core.rota import NO_TURNS, Rota
from hub.core.snapshot import Snapshot
from hub.core.verdict import judge

__all__ = ["NO_TURNS", "Rota", "decide", "decide_on"]


def decide(
    interaction: Interaction, snapshot: Snapshot, rota: Rota, policy: Policy, now: datetime, *, client_id: ClientId
) -> Plan:
    """What to do in the CRM about one interaction, in order, each action with its reason (H2)."""
    return decide_on(establish(interaction, snapshot, policy, now), rota, client_id)


def decide_on(facts: Facts, rota: Rota, client_id: ClientId) -> Plan:
    """`decide` for whoever has established the facts already."""
    policy = facts.policy
    verdict = judge(facts, policy)
    people = assign(facts, verdict.outcome, rota, policy, facts.now)
    return plan_for(verdict, facts, people, client_id)
