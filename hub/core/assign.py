"""Who: the responsible by case, the senior, the head, the next in turn, the deputy (A10, A13, J3, X11)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from hub.core.outcome import Outcome, WordList
from hub.core.plan import Candidate, Reason
from hub.core.records import EmployeeId
from hub.core.rota import Rota, next_in_turn

if TYPE_CHECKING:
    from hub.core.facts import Facts
    from hub.core.policy import Policy
    from hub.core.section import Group

__all__ = ["WORDS", "Assigned", "assign", "is_absent", "standing_in"]

#: words for somebody, besides employees' ids and ``turn:<group>``
WORDS: Mapping[str, str] = {
    "answerer": "who answered",
    "caller": "who called out",
    "employee": "who acted: who answered, else who called",
    "responsible": "the open deal's responsible, else the contact's",
    "deal_responsible": "the open deal's responsible",
    "contact_responsible": "the contact's responsible, else the company's",
    "dialled_owner": "whose number was dialled",
    "last_talked": "who talked to the client before",
    "owner": "to whom the new deal belongs",
    "senior": "the senior",
    "head": "the head",
    "quality": "quality control",
    "administrator": "the administrator",
    "turn": "the next of the group in turn",
    "receives_new": "everybody who receives new clients on the channel and is there",
    "nobody": "nobody yet: the first who answers takes the client (W2)",
}


@dataclass(slots=True, kw_only=True)
class Assigned:
    """The people of one decision; words are resolved once and remembered."""

    facts: Facts
    policy: Policy
    rota: Rota
    now: datetime
    group: str
    #: what a turn needs besides its group's skills
    skills: tuple[str, ...] = ()
    #: to whom new records belong
    owner: EmployeeId | None = None
    contact_owner: EmployeeId | None = None
    #: whom the interaction counts for (A10, A13)
    responsible: EmployeeId | None = None
    #: who answered and takes an existing client over (A13)
    taking_over: EmployeeId | None = None
    candidates: list[Candidate] = field(default_factory=list)
    turns: dict[str, Mapping[str, str]] = field(default_factory=dict)
    #: who was taken from which group, so that deciding again takes nobody else (C8)
    drawn: dict[str, EmployeeId] = field(default_factory=dict)
    _taken: dict[str, EmployeeId | None] = field(default_factory=dict)

    def choose(self, words: WordList, role: str) -> EmployeeId | None:
        """The first of ``words`` whom there is and whom the CRM accepts; the others become candidates passed over."""
        for word in words:
            if word == "nobody":
                return None
            read = _NAMED.get(word)
            found = read(self) if read is not None else self._by_name(word)
            if found is None:
                continue
            if found in self.facts.snapshot.inactive:
                self._pass_over(found, role, "inactive", word)
                continue
            self.candidates.append(_candidate(found, role, "chosen", "as", word))
            return found
        return None

    def acting(self, words: WordList, role: str) -> EmployeeId | None:
        """As `choose`, but while the chosen one is absent their deputy acts (X11)."""
        found = self.choose(words, role)
        if found is None or found not in self.policy.absences:
            return found
        deputy = standing_in(found, self.policy, self.now, self.facts.snapshot.inactive)
        if deputy is None or deputy == found:
            return found
        self._pass_over(found, role, "absent", "")
        self.candidates.append(_candidate(deputy, role, "deputy", "of", found))
        return deputy

    def everybody(self, words: WordList, role: str) -> tuple[EmployeeId, ...]:
        """All whom ``words`` name, each once, in order; for notices."""
        found: dict[EmployeeId, None] = {}
        for word in words:
            single, or_all_who_receive = _alternatives(word)
            one = self.acting(single, role)
            if one is not None:
                found.setdefault(one)
            elif or_all_who_receive:
                found.update(dict.fromkeys(self._receiving()))
        return tuple(found)

    def _receiving(self) -> list[EmployeeId]:
        """Everybody who receives new clients on the channel and is there (W2, W4)."""
        inactive, channel = self.facts.snapshot.inactive, self.facts.channel
        everybody = (EmployeeId(one.id) for one in self.policy.employees)
        return [
            one
            for one in everybody
            if self.policy.receives_new_on(one, channel)
            and one not in inactive
            and not is_absent(one, self.policy, self.now)
        ]

    def named(self, word: str) -> EmployeeId | None:
        """Whom one word names, None if nobody."""
        read = _NAMED.get(word)
        return read(self) if read is not None else self._by_name(word)

    def _by_name(self, word: str) -> EmployeeId | None:
        prefix, _, group = word.partition(":")
        if prefix == "turn":
            return self._turn(group or self.group)
        return EmployeeId(word) if word in self.policy.people.by_id else None

    def _by_role(self, role: str) -> EmployeeId | None:
        """The first of a role whom the CRM accepts."""
        inactive = self.facts.snapshot.inactive
        for employee in self.policy.roles.get(role, ()):
            if employee not in inactive:
                return employee
        return None

    def _turn(self, name: str) -> EmployeeId | None:
        if name not in self._taken:
            self._taken[name] = self._take_turn(name)
        return self._taken[name]

    def _take_turn(self, name: str) -> EmployeeId | None:
        from hub.core.section import Group

        group = self.policy.assignment.groups.get(name) or Group()
        earlier = self.rota.chosen.get(name)
        if earlier is not None and earlier not in self.facts.snapshot.inactive:
            self.drawn[name] = earlier
            return earlier
        eligible = self._eligible(group)
        if group.sticky and self.facts.last_talked in {one for one, _ in eligible}:
            return self.facts.last_talked
        if not eligible:
            return self.choose(tuple(word for word in group.fallback if not word.startswith("turn")), "fallback")
        self.drawn[name], self.turns[name] = next_in_turn(self.rota.turns.get(name, {}), eligible)
        return self.drawn[name]

    def _eligible(self, group: Group) -> list[tuple[EmployeeId, int]]:
        members = self.policy.members(group, self.facts.channel)
        wanted = (*group.skills, *self.skills)
        eligible = []
        for employee in members:
            me = EmployeeId(employee.id)
            load = self.rota.loads.get(me, 0)
            hours = self.policy.hours_of(employee.schedule) or self.policy.company_hours
            if me in self.facts.snapshot.inactive:
                self._pass_over(me, "turn", "inactive", "")
            elif is_absent(me, self.policy, self.now):
                self._pass_over(me, "turn", "absent", "")
            elif group.on_shift_only and not hours.is_open(self.now):
                self._pass_over(me, "turn", "off_shift", "")
            elif employee.capacity is not None and load >= employee.capacity:
                self._pass_over(me, "turn", "at_capacity", str(load))
            elif not set(wanted) <= set(employee.skills):
                self._pass_over(me, "turn", "lacks_skill", ", ".join(wanted))
            else:
                eligible.append((me, employee.weight))
        return eligible

    def _pass_over(self, employee: EmployeeId, role: str, code: str, detail: str) -> None:
        self.candidates.append(_candidate(employee, role, code, "detail", detail))


#: how each word is answered, but employees' ids and turns
_NAMED: Mapping[str, Callable[[Assigned], EmployeeId | None]] = {
    "answerer": lambda people: people.facts.answered_by,
    "caller": lambda people: people.facts.caller,
    "employee": lambda people: people.facts.employee,
    "responsible": lambda people: people.taking_over or people.facts.responsible,
    "deal_responsible": lambda people: people.facts.deal_responsible,
    "contact_responsible": lambda people: people.facts.contact_responsible,
    "dialled_owner": lambda people: people.facts.dialled_owner,
    "last_talked": lambda people: people.facts.last_talked,
    "owner": lambda people: people.owner,
    "senior": lambda people: people._by_role("senior"),
    "head": lambda people: people._by_role("head"),
    "quality": lambda people: people._by_role("quality"),
    "administrator": lambda people: people._by_role("administrator"),
    "receives_new": lambda people: next(iter(people._receiving()), None),
    "nobody": lambda people: None,
}


@lru_cache(1024)
def _alternatives(word: str) -> tuple[tuple[str, ...], bool]:
    """Who may be meant, one of whom is enough, and whether everybody who receives new clients is, if there is none."""
    words = word.split("|")
    return tuple(name for name in words if name != "receives_new"), "receives_new" in words


@lru_cache(8192)
def _candidate(employee: EmployeeId, role: str, code: str, label: str, detail: str) -> Candidate:
    """The same few people are considered again and again."""
    reason = Reason(code=code, values={label: detail} if detail else {}, requirement="X11" if code == "deputy" else "")
    return Candidate(employee=employee, role=role, is_chosen=code in {"chosen", "deputy"}, reason=reason)


def assign(facts: Facts, outcome: Outcome, rota: Rota, policy: Policy, now: datetime) -> Assigned:
    """The people whom ``outcome`` needs; nobody is chosen, and no turn taken, if it drops the interaction."""
    group = outcome.group or policy.assignment.group
    people = Assigned(facts=facts, policy=policy, rota=rota, now=now, group=group, skills=outcome.skills)
    if outcome.drop:
        return people
    makes_deal = outcome.deal in {"create", "create_another"} and _makes_deal(facts, outcome)
    if facts.is_new_client or makes_deal:
        people.owner = people.choose(outcome.responsible or _by_case(facts), "owner")
        words = outcome.contact_responsible
        people.contact_owner = people.choose(words, "contact_owner") if words else people.owner
    if facts.claimed_by is not None:
        people.responsible = people.taking_over = people.choose((facts.claimed_by,), "responsible")
    elif facts.is_unclaimed:
        # nobody's yet, whomever the CRM shows meanwhile (W2)
        people.responsible = None
    elif facts.is_new_client:
        people.responsible = people.owner
    elif makes_deal and _existing(outcome, policy) == "owner":
        # as if a new client: whoever gets the deal gets the client (W5)
        people.responsible = people.owner
        people.taking_over = people.owner
    elif facts.is_answered and facts.employee and _existing(outcome, policy) == "answerer":
        people.responsible = people.choose(("answerer", "responsible", "senior"), "responsible")
        people.taking_over = people.responsible if facts.direction == "inbound" else None
    else:
        people.responsible = people.choose(("responsible", "owner", "senior"), "responsible")
    return people


def _makes_deal(facts: Facts, outcome: Outcome) -> bool:
    return outcome.deal == "create_another" or not facts.has_open_deal


def _existing(outcome: Outcome, policy: Policy) -> str:
    return outcome.existing or policy.assignment.existing_answered


def _by_case(facts: Facts) -> WordList:
    """A13 where neither matrix nor rule says it."""
    if facts.is_answered:
        return ("answerer", "caller", "senior")
    if facts.direction == "outbound":
        return ("caller", "senior")
    return ("dialled_owner", "senior") if facts.is_new_client else ("responsible", "senior")


def is_absent(employee: EmployeeId, policy: Policy, now: datetime) -> bool:
    """True while ``employee`` is away (X11)."""
    return any(begin <= now < end for begin, end, _ in policy.absences.get(employee, ()))


def standing_in(
    employee: EmployeeId, policy: Policy, now: datetime, inactive: frozenset[EmployeeId]
) -> EmployeeId | None:
    """Who acts for ``employee`` now: themselves, or the first present of the chain of deputies; None if nobody does."""
    if employee not in policy.absences:
        return None if employee in inactive else employee
    seen = {employee}
    current = employee
    while True:
        away = next((away for away in policy.absences.get(current, ()) if away[0] <= now < away[1]), None)
        if away is None:
            return None if current in inactive else current
        deputy = EmployeeId(away[2])
        if not deputy or deputy in seen:
            return None
        seen.add(deputy)
        current = deputy
