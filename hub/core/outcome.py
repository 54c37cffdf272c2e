"""What the matrix and the rules ask for, before it becomes a plan: filled by `hub.core.matrix`, changed by rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from pydantic import Field as ModelField

from hub.core.part import Duration, Part
from hub.core.slots import by_slots
from hub.core.text import Language, LocalText, say

__all__ = ["DealWish", "NoteWish", "Outcome", "OutcomeSettings", "Place", "TaskWish", "WordList", "merge"]

#: ``deal``: the open or new one; ``contact``: or company; ``auto``: the deal, else the contact (A18);
#: ``last_deal``: the newest open order, else the newest earlier one, else none at all, or with the bar the contact (C5)
Place = Literal["auto", "deal", "contact", "last_deal", "last_deal|contact"]
#: ``create``: unless one is open (A14); ``create_another``: even then (J9, J11)
DealWish = Literal["none", "create", "create_another"]
#: who, in order of preference: see `hub.core.assign.WORDS`
WordList = tuple[str, ...]


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class TaskWish:
    """A task of the policy's ``tasks`` for somebody; what is None stays as the kind of task says."""

    task: str
    #: one task for each of them; each a word or several to choose the first of, joined by "|"
    assignees: WordList
    on: Place | None = None
    due: timedelta | None = None
    text: str | None = None


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class NoteWish:
    """A note of the policy's ``notes`` on one of the client's records."""

    note: str
    on: Place = "auto"


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What to do; None or empty means that nobody has set it."""

    #: why the interaction goes no further; "" = it does
    drop: str = ""
    #: make a contact for a new client
    contact: bool | None = None
    deal: DealWish | None = None
    #: to whom a new deal belongs, in order of preference
    responsible: WordList | None = None
    #: to whom a new contact belongs; None = as the new deal
    contact_responsible: WordList | None = None
    #: what becomes of an existing client's responsible: stays, gives way to who answered (A13), or to the owner of the
    #: new deal (W5)
    existing: Literal["keep", "answerer", "owner"] | None = None
    #: the group that ``turn`` stands for
    group: str | None = None
    #: what whoever takes the turn must have, besides the group's own (J3)
    skills: tuple[str, ...] = ()
    pipeline: str | None = None
    stage: str | None = None
    unsorted: bool | None = None
    #: a number, or a text that renders to one
    price: float | str | None = None
    deal_name: str | None = None
    #: custom fields of a new deal, by the CRM's name of them, as texts
    fields: Mapping[str, str] = field(default_factory=dict)
    contact_fields: Mapping[str, str] = field(default_factory=dict)
    #: as texts
    tags: tuple[str, ...] = ()
    contact_tags: tuple[str, ...] = ()
    tasks: tuple[TaskWish, ...] | None = None
    #: besides `tasks`
    more_tasks: tuple[TaskWish, ...] = ()
    notes: tuple[NoteWish, ...] | None = None
    #: who is told at once (A12, C7)
    notify: WordList | None = None
    notice: LocalText | None = None
    call_record: Literal["contact", "deal", "none"] | None = None


class TaskWishSettings(Part):
    """One task that a row or rule asks for."""

    #: a name of the policy's ``tasks``
    task: str
    assignees: WordList = ModelField(min_length=1)
    on: Place | None = None
    due: Duration | None = None
    text: LocalText | None = None

    def wish(self, language: Language) -> TaskWish:
        """The wish, its text in ``language``."""
        text = None if self.text is None else say(self.text, language)
        return TaskWish(task=self.task, assignees=self.assignees, on=self.on, due=self.due, text=text)


class NoteWishSettings(Part):
    """One note that a row or rule asks for."""

    #: a name of the policy's ``notes``
    note: str
    on: Place = "auto"


class OutcomeSettings(Part):
    """What a row of the matrix, a rule or a channel may set; each as in `Outcome`."""

    drop: str = ""
    contact: bool | None = None
    deal: DealWish | None = None
    responsible: WordList | None = None
    contact_responsible: WordList | None = None
    existing: Literal["keep", "answerer", "owner"] | None = None
    group: str | None = None
    skills: tuple[str, ...] = ()
    pipeline: str | None = None
    stage: str | None = None
    unsorted: bool | None = None
    price: float | LocalText | None = None
    deal_name: LocalText | None = None
    fields: Mapping[str, LocalText] = {}
    contact_fields: Mapping[str, LocalText] = {}
    tags: tuple[LocalText, ...] = ()
    contact_tags: tuple[LocalText, ...] = ()
    tasks: tuple[TaskWishSettings, ...] | None = None
    more_tasks: tuple[TaskWishSettings, ...] = ()
    notes: tuple[NoteWishSettings, ...] | None = None
    notify: WordList | None = None
    notice: LocalText | None = None
    call_record: Literal["contact", "deal", "none"] | None = None

    def words(self) -> list[str]:
        """Every word for somebody that stands here."""
        found = [*(self.responsible or ()), *(self.contact_responsible or ()), *(self.notify or ())]
        for task in (*(self.tasks or ()), *self.more_tasks):
            found += task.assignees
        return [word for text in found for word in text.split("|")]

    def settled(self, language: Language) -> dict[str, Any]:
        """What is set here, as attributes of `Outcome`, texts in ``language``."""
        found: dict[str, Any] = {}
        for name in OUTCOME_NAMES:
            value = getattr(self, name)
            if value is None or value == "" or (name in _GATHERED and not value):
                continue
            match name:
                case "tasks" | "more_tasks":
                    found[name] = tuple(task.wish(language) for task in value)
                case "notes":
                    found[name] = tuple(NoteWish(note=note.note, on=note.on) for note in value)
                case "deal_name" | "notice" | "price" if not isinstance(value, float):
                    found[name] = say(value, language)
                case "tags" | "contact_tags":
                    found[name] = tuple(say(text, language) for text in value)
                case "fields" | "contact_fields":
                    found[name] = {key: say(text, language) for key, text in value.items()}
                case _:
                    found[name] = value
        return found


#: the names of all that can be set, in `Outcome`'s order
OUTCOME_NAMES: tuple[str, ...] = tuple(OutcomeSettings.model_fields)
#: what several may add to, instead of the first one deciding
_GATHERED = frozenset({"fields", "contact_fields", "tags", "contact_tags", "more_tasks", "skills"})


def merge(higher: dict[str, Any], lower: Mapping[str, Any]) -> dict[str, Any]:
    """Lay ``lower`` under ``higher`` in place: what is set above holds, the rest is filled (C1)."""
    for name, value in lower.items():
        if name not in higher:
            higher[name] = value
        elif name in ("fields", "contact_fields"):
            higher[name] = {**value, **higher[name]}
        elif name in _GATHERED:
            higher[name] = (*higher[name], *(item for item in value if item not in higher[name]))
    return higher


def shown(settled: Mapping[str, Any]) -> dict[str, str]:
    """``settled`` for people: the values as short texts (X1)."""
    return {name: _short(value) for name, value in settled.items()}


def _short(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case TaskWish():
            return f"{value.task} -> {', '.join(value.assignees)}"
        case NoteWish():
            return value.note
        case tuple():
            return "; ".join(_short(item) for item in value)
        case dict():
            return "; ".join(f"{key} = {item}" for key, item in value.items())
        case _:
            return str(value)
