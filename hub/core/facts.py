"""What a decision may look at (A8): who took part, whether the client is known, what is open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from hub.core.client import Client, find_client
from hub.core.heard import Heard
from hub.core.interaction import Interaction
from hub.core.records import Company, Contact, Deal, EmployeeId, RecordKind
from hub.core.right import Whose, may
from hub.core.snapshot import Snapshot
from hub.core.tasks import OpenTask, open_tasks
from hub.core.unsorted import waits_to_be_claimed

if TYPE_CHECKING:
    from hub.core.policy import Policy

__all__ = ["Facts", "establish", "without_own"]


@dataclass(slots=True, init=False, eq=False)
class Facts(Heard):
    """The answers that the matrix and the rules ask for; `hub.core.field.FIELDS` tells what each means."""

    #: the client's records as they were before this interaction touched them
    snapshot: Snapshot
    by_responsible: bool

    client: Client
    contact: Contact | None
    company: Company | None
    deal: Deal | None
    has_contact: bool
    is_new_client: bool
    has_open_deal: bool
    had_deals: bool
    responsible: EmployeeId | None
    deal_responsible: EmployeeId | None
    contact_responsible: EmployeeId | None
    open_tasks: tuple[OpenTask, ...]
    has_open_call_back: bool
    has_open_task: bool
    #: the client's open deal waits in the CRM's inbox (W2)
    is_unclaimed: bool
    #: who answered such a client first, and becomes the responsible
    claimed_by: EmployeeId | None

    def __init__(self, interaction: Interaction, snapshot: Snapshot, policy: Policy, now: datetime) -> None:
        # a dataclass with slots is another class than the one that this method was written in
        Heard.__init__(self, interaction, policy, now)
        before, caller, employee = without_own(snapshot), self.caller, self.employee
        took_part = self.took_part or ([caller] if caller else [])
        client = find_client(self.interaction.client, before, policy, took_part)
        deal = client.deal
        deal_responsible, contact_responsible = deal.responsible if deal else None, client.contact_responsible
        responsible = deal_responsible or contact_responsible
        tasks = open_tasks(before, policy)
        is_unclaimed = policy.uses_unsorted and deal is not None and waits_to_be_claimed(deal, before)
        if is_unclaimed:
            # nobody's yet, whomever the CRM shows meanwhile (W2)
            responsible = deal_responsible = contact_responsible = None
        claimed_by = None
        if is_unclaimed and self.is_reached and employee:
            may_take = may(employee, "take", Whose(channel=self.channel, is_unclaimed=True), policy, now)
            claimed_by = employee if may_take else None
        self.snapshot = before
        self.by_responsible = employee is not None and employee == responsible
        self.client, self.contact, self.company, self.deal = client, client.contact, client.company, deal
        self.has_contact = client.contact is not None
        self.is_new_client = client.contact is None and client.company is None
        self.has_open_deal = deal is not None
        self.had_deals = client.closed_deals > 0
        self.responsible = responsible
        self.deal_responsible, self.contact_responsible = deal_responsible, contact_responsible
        self.open_tasks = tasks
        self.has_open_call_back = bool(tasks) and any(policy.is_call_back(found.kind) for found in tasks)
        self.has_open_task = bool(tasks) and not all(policy.is_call_back(found.kind) for found in tasks)
        self.is_unclaimed, self.claimed_by = is_unclaimed, claimed_by

    @property
    def whose(self) -> Whose:
        """Whose client it is, for rights (W4)."""
        return Whose(
            channel=self.channel,
            responsible=self.responsible,
            is_unclaimed=self.is_unclaimed,
            is_new=self.is_new_client,
        )

    @property
    def may_write(self) -> bool:
        """True if who acted may write to the client by their role, and if nobody of us did (W4)."""
        return self.employee is None or may(self.employee, "write", self.whose, self.policy, self.now)

    @property
    def is_first_outgoing(self) -> bool:
        return self.caller is not None and self.caller not in self.snapshot.history.called_by

    @property
    def connection(self) -> str:
        return self.snapshot.connection

    @property
    def has_company(self) -> bool:
        return self.company is not None

    @property
    def open_deals(self) -> int:
        return self.client.open_deals

    @property
    def last_talked(self) -> EmployeeId | None:
        return self.snapshot.history.last_talked

    @property
    def interactions(self) -> int:
        return self.snapshot.history.interactions

    @property
    def is_complete(self) -> bool:
        return self.snapshot.is_complete

    @property
    def price(self) -> float | None:
        return self.deal.price if self.deal else None

    @property
    def deal_fields(self) -> Mapping[str, str]:
        """The open deal's custom fields by name and by id."""
        return self._named(self.deal.fields, RecordKind.DEAL) if self.deal else {}

    @property
    def contact_fields(self) -> Mapping[str, str]:
        """The contact's custom fields by name and by id."""
        return self._named(self.contact.fields, RecordKind.CONTACT) if self.contact else {}

    @property
    def company_fields(self) -> Mapping[str, str]:
        """The company's custom fields by name and by id."""
        return self._named(self.company.fields, RecordKind.COMPANY) if self.company else {}

    def _named(self, fields: Mapping[str, str], record: RecordKind) -> dict[str, str]:
        named = {
            found.name: fields[found.id]
            for found in self.snapshot.catalogue.fields
            if found.record is record and found.id in fields
        }
        return {**fields, **named}

    @property
    def deal_stage(self) -> str:
        """The name of the open deal's stage."""
        return self._stage()[1]

    @property
    def deal_pipeline(self) -> str:
        """The name of the open deal's pipeline."""
        return self._stage()[0]

    def _stage(self) -> tuple[str, str]:
        if self.deal is None:
            return "", ""
        for pipeline in self.snapshot.catalogue.pipelines:
            if pipeline.id == self.deal.pipeline_id:
                stages = (stage.name for stage in pipeline.stages if stage.id == self.deal.stage_id)
                return pipeline.name, next(stages, self.deal.stage_id)
        return self.deal.pipeline_id, self.deal.stage_id

    @property
    def deal_name(self) -> str:
        return self.deal.name if self.deal else ""

    @property
    def deal_tags(self) -> tuple[str, ...]:
        return self.deal.tags if self.deal else ()

    @property
    def contact_name(self) -> str:
        return self.contact.name if self.contact else ""

    @property
    def contact_tags(self) -> tuple[str, ...]:
        return self.contact.tags if self.contact else ()


def establish(interaction: Interaction, snapshot: Snapshot, policy: Policy, now: datetime) -> Facts:
    """The facts about ``interaction`` for a client whom the CRM knows as ``snapshot`` tells."""
    return Facts(interaction, snapshot, policy, now)


def without_own(snapshot: Snapshot) -> Snapshot:
    """``snapshot`` as it was before this interaction's own earlier decision: what it made is not there.

    A revision must see what the first decision saw, or it would find "its" deal and turn a new client into an
    existing one.
    """
    own, was, was_open = snapshot.history.own, snapshot.history.was_responsible, snapshot.history.was_open
    if not own and not was_open:
        return snapshot
    still = was_open.union(found.id for found in snapshot.deals if found.is_open)
    made = {(ref.kind, ref.id) for key, ref in own.items() if _creates(key)}
    done = {ref.id for key, ref in own.items() if "/complete/" in key}
    return replace(
        snapshot,
        contacts=tuple(
            replace(found, responsible=was.get(f"contact/{found.id}", found.responsible))
            for found in snapshot.contacts
            if (RecordKind.CONTACT, found.id) not in made
        ),
        companies=tuple(found for found in snapshot.companies if (RecordKind.COMPANY, found.id) not in made),
        deals=tuple(
            replace(found, responsible=was.get(f"deal/{found.id}", found.responsible), is_open=found.id in still)
            for found in snapshot.deals
            if (RecordKind.DEAL, found.id) not in made
        ),
        tasks=tuple(
            replace(found, is_open=True) if found.id in done else found
            for found in snapshot.tasks
            if (RecordKind.TASK, found.id) not in made
        ),
        history=replace(
            snapshot.history,
            open_task_keys={
                key: task_id
                for key, task_id in snapshot.history.open_task_keys.items()
                if (RecordKind.TASK, task_id) not in made
            },
        ),
    )


def _creates(key: str) -> bool:
    return key.endswith(("/create_contact", "/create_deal")) or ("/task/" in key and "~" not in key)
