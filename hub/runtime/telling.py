"""Says a `Story` in a language: one sentence first, then whatever a sales head may want to know (X1, U4).

Every function here is pure. Words of a policy (names of rows, tasks, stages) are shown as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from zoneinfo import ZoneInfo

from hub.core.explained import why_responsible
from hub.core.field import OPEN_FIELDS
from hub.core.interaction import Call, Chat, Direction, Disposition, Form, Interaction, Message
from hub.core.phone import phone_text
from hub.core.plan import Action, Candidate, Check, CreateTask, Fact, Nothing, Notify, Reason, RecordCall, Trial
from hub.core.records import EmployeeId
from hub.core.remark import remarks
from hub.core.revise import StepState
from hub.language import Translator
from hub.runtime.answer import StoryAnswer
from hub.runtime.story import Chapter, Story, StoryAction
from hub.store.work import WorkState

__all__ = [
    "action_text",
    "answer_text",
    "check_text",
    "fact_name",
    "fact_value",
    "headline",
    "note_text",
    "outcome",
    "outcome_kind",
    "outcomes",
    "reason_text",
    "role_name",
    "row_title",
    "story_text",
    "summary",
    "task_name",
    "trial_text",
]

#: facts whose values are ids of employees
_PEOPLE = frozenset(
    {
        "answered_by",
        "caller",
        "employee",
        "dialled_owner",
        "responsible",
        "deal_responsible",
        "contact_responsible",
        "last_talked",
        "rung",
    }
)
#: facts whose values are words of ours, by the family of the catalogue
_WORDS = {"direction": "direction", "disposition": "disposition", "kind": "kind"}
_SECONDS = frozenset({"talk_seconds", "waiting_seconds"})


# --- the summary ------------------------------------------------------------------------------------------------


def summary(story: Story, t: Translator) -> str:
    """What happened and what came of it, in a few sentences."""
    parts = (headline(story.interaction, story.client.shown, t, _talker(story)), outcomes(story, t))
    return " ".join(part for part in parts if part)


def outcomes(story: Story, t: Translator) -> str:
    """What came of it in every CRM that it went to (C8): trouble first, those that hold the same told together.

    "" where no CRM was connected.
    """
    # where something failed or is in doubt the sentence is that CRM's alone
    told: dict[tuple[str, str], list[Chapter]] = {}
    for chapter in sorted(story.chapters, key=lambda chapter: chapter.state is not WorkState.ATTENTION):
        alone = chapter.connection if _is_troubled(chapter) else ""
        told.setdefault((alone, _sentence(chapter, t, story.zone, "{crm}")), []).append(chapter)
    sentences = []
    for (_, text), chapters in told.items():
        crms = ", ".join(chapter.connection for chapter in chapters)
        sentence = _sentence(chapters[0], t, story.zone, crms)
        sentences.append(sentence if len(told) == 1 or "{crm}" in text else f"{crms}: {sentence}")
    whose: dict[str, list[str]] = {}
    for chapter in story.chapters:
        if said := _responsible(chapter, t):
            whose.setdefault(said, []).append(chapter.connection)
    sentences += [said if len(whose) == 1 else f"{', '.join(crms)}: {said}" for said, crms in whose.items()]
    return " ".join(sentences)


def _is_troubled(chapter: Chapter) -> bool:
    return chapter.state is WorkState.ATTENTION or any(
        found.is_failed or found.state is StepState.IN_DOUBT for found in chapter.actions
    )


def outcome_kind(interaction: Interaction) -> str:
    """How the interaction ended, as one word of the family ``ended``: for colours and filters."""
    match interaction:
        case Call(disposition=Disposition.PENDING):
            return "pending"
        case Call(disposition=Disposition.ANSWERED):
            return "answered"
        case Call(disposition=Disposition.VOICEMAIL):
            return "voicemail"
        case Call(direction=Direction.OUTBOUND) | Call(disposition=Disposition.CLIENT_MISSED):
            return "unreached"
        case Call():
            return "missed"
        case Chat():
            return "answered" if interaction.is_answered else "missed"
        case Message(direction=Direction.OUTBOUND):
            return "sent"
        case _:
            return "received"


def headline(interaction: Interaction, client: str, t: Translator, talker: str = "") -> str:
    """What happened, in one sentence; ``talker`` is the employee who talked to the client."""
    values = {"client": phone_text(client) or t("client.hidden"), "who": talker or t("somebody")}
    match interaction:
        case Call():
            key = _call_key(interaction)
            return t(
                key,
                **values,
                talk=t.duration(interaction.talk_seconds),
                waited=t.duration(interaction.waiting_seconds),
            )
        case Chat():
            return t("headline.chat_answered" if interaction.is_answered and talker else "headline.chat", **values)
        case Form():
            return t("headline.form", **values, form=interaction.form_name or interaction.page)
        case Message(direction=Direction.INBOUND):
            return t("headline.message", **values)
        case Message():
            return t("headline.message_by_robot" if interaction.is_automatic else "headline.message_out", **values)


def _call_key(call: Call) -> str:
    if call.disposition is Disposition.PENDING:
        return "headline.pending"
    if call.disposition is Disposition.CLIENT_MISSED:
        return "headline.client_missed"
    if call.direction is Direction.OUTBOUND and not call.is_callback:
        return "headline.out_answered" if call.is_answered else "headline.out_unanswered"
    if call.is_answered:
        return "headline.callback_answered" if call.is_callback else "headline.answered"
    if call.disposition is Disposition.VOICEMAIL:
        return "headline.voicemail"
    return "headline.callback_missed" if call.is_callback else "headline.missed"


def _talker(story: Story) -> str:
    answered = [leg.who for leg in story.legs if leg.is_answered]
    if answered:
        return answered[-1]
    return story.legs[0].who if story.legs else ""


def outcome(chapter: Chapter, t: Translator, zone: ZoneInfo) -> str:
    """What came of it in one CRM, and whose it is."""
    parts = (_sentence(chapter, t, zone, chapter.connection), _responsible(chapter, t))
    return " ".join(part for part in parts if part)


def _sentence(chapter: Chapter, t: Translator, zone: ZoneInfo, crms: str) -> str:
    """What came of it in the CRM of ``chapter``, in one sentence that calls it ``crms``."""
    if chapter.decided_at is None:
        if chapter.state is WorkState.ATTENTION:
            return t("outcome.attention", note=note_text(chapter.note, t))
        if chapter.decide_at is None:
            return t("outcome.not_over")
        return t("outcome.undecided", at=t.clock(chapter.decide_at, zone))
    done = _did(chapter, t)
    nothing = next((found.action for found in chapter.actions if isinstance(found.action, Nothing)), None)
    if nothing is not None and not done:
        return t("outcome.nothing", reason=reason_text(nothing.reason, t))
    if chapter.is_trial:
        return t("outcome.trial", done=done, crm=crms) if done else t("outcome.no_actions")
    if chapter.is_shadow:
        return t("outcome.shadow", done=done) if done else t("outcome.shadow_nothing")
    if chapter.failed:
        return t("outcome.failed", note=note_text(chapter.failed[0].note or chapter.note, t), crm=crms)
    if chapter.state is WorkState.ATTENTION:
        return t("outcome.attention", note=note_text(chapter.note, t))
    if any(found.state is StepState.IN_DOUBT for found in chapter.actions):
        return t("outcome.in_doubt", done=done, crm=crms)
    if any(found.state is not None and found.state.is_outstanding for found in chapter.actions):
        return t("outcome.writing", done=done, crm=crms)
    return t("outcome.done", done=done, crm=crms) if done else t("outcome.no_actions")


def _responsible(chapter: Chapter, t: Translator) -> str:
    """Whose it is and why; "" where nothing is decided, or nothing was to be written."""
    is_nothing = any(isinstance(found.action, Nothing) for found in chapter.actions) and not _did(chapter, t)
    if chapter.decided_at is None or is_nothing or not chapter.responsible:
        return ""
    why = why_responsible(chapter.candidates, chapter.responsible.id)
    if why is None:
        return t("outcome.responsible", who=chapter.responsible.name)
    reason = reason_text(why, t, chapter.names)
    return t("outcome.responsible_because", who=chapter.responsible.name, reason=reason)


def _did(chapter: Chapter, t: Translator) -> str:
    """The plan's actions as a list of nouns, each once, tasks by whom."""
    said: dict[str, None] = {}
    for found in chapter.actions:
        if found.state is StepState.WITHDRAWN or isinstance(found.action, Nothing):
            continue
        match found.action:
            case CreateTask(completed_at=None) if found.person:
                said[t("did.task_for", who=found.person.name, text=_short(found.action.text))] = None
            case CreateTask():
                said[t("did.completed_task")] = None
            case Notify():
                said[t("did.notify")] = None
            case action:
                said[t(f"did.{action.kind}")] = None
    return ", ".join(said)


def _short(text: str, limit: int = 60) -> str:
    line = text.strip().splitlines()[0] if text.strip() else ""
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


# --- the parts --------------------------------------------------------------------------------------------------


def reason_text(reason: Reason, t: Translator, names: Mapping[EmployeeId, str] | None = None) -> str:
    """The reason as a sentence without its full stop; a plugin's own code as its catalogue tells it, or as it is."""
    known = names or {}
    values = {name: _reason_value(name, value, t, known) for name, value in reason.values.items()}
    key = f"reason.{reason.code}"
    if t.has(key):
        return t(key, **values)
    if told := t.of_code(reason.code, values):
        return told
    said = ", ".join(f"{name}: {value}" for name, value in values.items())
    return f"{reason.code} ({said})" if said else reason.code


def _reason_value(name: str, value: str, t: Translator, names: Mapping[EmployeeId, str]) -> str:
    if name in ("as", "wanted"):
        return ", ".join(_somebody(word, t, names) for word in value.split("|"))
    if name == "why":
        return t.or_else(f"reason.{value}", value)
    return names.get(EmployeeId(value), value) if name in ("of", "employee") else value


def _somebody(word: str, t: Translator, names: Mapping[EmployeeId, str]) -> str:
    """A policy's word for somebody, for people."""
    kind, _, group = word.partition(":")
    said = t.or_else(f"word.{kind}", names.get(EmployeeId(word), word))
    return f"{said} ({group})" if group else said


def note_text(note: str, t: Translator, names: Mapping[EmployeeId, str] | None = None) -> str:
    """What the hub or the CRM had to say of a step or a piece of work: ours in the language, others' as it is (U4)."""
    known = names or {}
    said = []
    for part in remarks(note):
        if isinstance(part, str):
            # a channel may have several reasons to put something aside
            whole = t.theirs(part)
            said += [whole] if whole != part else [t.theirs(text) for text in part.split("; ")]
            continue
        values = {name: known.get(EmployeeId(value), value) for name, value in part.values.items()}
        if "said" in values:
            values["said"] = t.theirs(values["said"])
        if "record" in values:
            values["record"] = t.or_else(f"record.{values['record']}", values["record"])
        key = f"remark.{part.code}"
        said.append(t.count(key, int(values["n"])) if "n" in values else t(key, **values))
    return "; ".join(text.rstrip(".") for text in said)


def action_text(found: StoryAction, t: Translator, zone: ZoneInfo, names: Mapping[EmployeeId, str]) -> str:
    """One action as a sentence: what is made or changed, for whom, by when."""
    action: Action = found.action
    who = found.person.name if found.person else ""
    match action:
        case Nothing():
            return t("action.nothing", reason=reason_text(action.reason, t, names))
        case CreateTask(completed_at=None):
            due = t.minute(action.due_at, zone)
            return t("action.create_task", text=_short(action.text, 120), who=who or t("nobody"), due=due)
        case CreateTask():
            return t("action.completed_task", text=_short(action.text, 120), who=who or t("nobody"))
        case Notify():
            told = ", ".join(names.get(employee, employee) for employee in action.employees)
            return t("action.notify", who=told or t("nobody"), text=_short(action.text, 120))
        case RecordCall():
            return t("action.record_call", who=who or t("nobody"), talk=t.duration(action.talk_seconds))
        case _:
            label = getattr(action, "name", None) or _short(getattr(action, "text", None) or "", 120)
            text = t(f"action.{action.kind}", label=label or "")
            return f"{text}, {t('action.for', who=who)}" if who else text


def row_title(title: str, t: Translator) -> str:
    """The title of a row: those of our presets in the reader's language, a project's own as it is."""
    return t.or_else(f"row.{title}", title)


def role_name(role: str, t: Translator) -> str:
    """For what somebody was considered; other roles than ours are the policy's kinds of tasks."""
    return t.or_else(f"role.{role}", t("role.of_task", task=task_name(role, t)))


def task_name(kind: str, t: Translator) -> str:
    """What a kind of task is called: those of our presets in the reader's language, a project's own as it is."""
    return t.or_else(f"task_name.{kind}", kind)


def check_text(check: Check, t: Translator, names: Mapping[EmployeeId, str] | None = None) -> str:
    """The condition that failed and the value that it met."""
    if check.operator == "not" and not check.field:
        return t("check.not", expected=check.expected)
    return t(
        "check.failed",
        field=fact_name(check.field, t),
        operator=t.or_else(f"operator.{check.operator}", check.operator),
        expected=fact_value(check.field, check.expected, t, names),
        seen=fact_value(check.field, check.seen, t, names) or t("value.empty"),
    )


def trial_text(trial: Trial, t: Translator, names: Mapping[EmployeeId, str] | None = None) -> str:
    """Why a row or rule did not fit, or that it won."""
    if trial.has_won:
        return t("trial.won")
    return check_text(trial.failed, t, names) if trial.failed else t("trial.passed")


def fact_name(name: str, t: Translator) -> str:
    """The fact's name for people."""
    if t.has(f"field.{name}"):
        return t(f"field.{name}")
    for prefix in OPEN_FIELDS:
        if name.startswith(f"{prefix}."):
            return t(f"field.{prefix}.", name=name[len(prefix) + 1 :])
    return name


def fact_value(name: str, value: str, t: Translator, names: Mapping[EmployeeId, str] | None = None) -> str:
    """The fact's value for people: yes and no, words of ours, employees by name, seconds as durations."""
    if value in ("true", "false", "yes", "no"):
        return t("value.true" if value in ("true", "yes") else "value.false")
    if name in _WORDS:
        return ", ".join(t.or_else(f"{_WORDS[name]}.{part}", part) for part in value.split(", "))
    if name in _PEOPLE and names:
        return ", ".join(names.get(EmployeeId(part), part) for part in value.split(", "))
    if name in _SECONDS:
        try:
            return t.duration(float(value))
        except ValueError:
            return value
    return value


def age_text(age: timedelta | None, t: Translator) -> str:
    """How old the CRM's facts were (X9)."""
    return t("age.unknown") if age is None else t("age.known", age=t.duration(age))


# --- the whole, for a terminal ----------------------------------------------------------------------------------


def story_text(story: Story, t: Translator) -> str:
    """The whole story as plain text, for ``hub explain``."""
    return "\n".join(_lines(story, t))


def _lines(story: Story, t: Translator) -> Iterator[str]:
    yield summary(story, t)
    yield ""
    yield f"{t('story.id')}: {story.id}"
    yield f"{t('story.when')}: {t.moment(story.interaction.started_at, story.zone)}"
    yield f"{t('story.channel')}: {story.interaction.channel}"
    contacts = ", ".join((*story.client.phones, *story.client.emails))
    if contacts:
        yield f"{t('story.client')}: {contacts}"
    if story.legs and not isinstance(story.interaction, Message):
        yield ""
        yield t("story.legs")
        for leg in story.legs:
            key = "leg.answered" if leg.is_answered else "leg.unanswered"
            yield f"  {t(key, who=leg.who, talk=t.duration(leg.talk_seconds))}"
    for answer in story.answers:
        yield ""
        is_trial = any(chapter.is_trial for chapter in story.chapters)
        yield t("story.forwarding_now") if is_trial else t("story.forwarding")
        yield from _answer_lines(answer, t)
    for chapter in story.chapters:
        yield ""
        yield from _chapter(chapter, story, t)


def answer_text(answer: StoryAnswer, t: Translator, zone: ZoneInfo) -> str:
    """One forwarding answer by itself, as plain text for ``hub explain --forwarding``."""
    caller = answer.caller or t("client.hidden")
    asked = t("answer.asked", at=t.moment(answer.asked_at, zone), caller=caller, line=answer.line or "–")
    return "\n".join((asked, *_answer_lines(answer, t)))


def _answer_lines(answer: StoryAnswer, t: Translator) -> Iterator[str]:
    yield f"  {answer_line(answer.destination, answer.person.name if answer.person else '', t)}"
    if answer.reason:
        yield f"  {reason_text(answer.reason, t, answer.names)}"
    yield from _explained(answer.candidates, t, answer.names)
    if answer.is_importing:
        yield f"  {t('story.importing')}"
    if answer.is_repeated:
        yield f"  {t('answer.repeated')}"
    if answer.asked_crm:
        yield f"  {t('answer.crm_' + answer.asked_crm.replace(' ', '_'))}"
    told = [t("answer.took", took=t.duration(answer.took)), age_text(answer.age, t)]
    if answer.policy_version:
        told.append(t("answer.policy", version=answer.policy_version))
    yield f"  {'; '.join(told)}"


def answer_line(destination: str, who: str, t: Translator) -> str:
    """What the telephony was told."""
    if not destination:
        return t("answer.empty")
    return t("answer.person", who=who, destination=destination) if who else t("answer.place", destination=destination)


def _explained(candidates: tuple[Candidate, ...], t: Translator, names: Mapping[EmployeeId, str]) -> Iterator[str]:
    for found in candidates:
        mark = "✓" if found.is_chosen else "·"
        role = role_name(found.role, t)
        yield f"  {mark} {names.get(found.employee, found.employee)} ({role}): {reason_text(found.reason, t, names)}"


def _chapter(chapter: Chapter, story: Story, t: Translator) -> Iterator[str]:
    state = t(f"state.{chapter.state.value}") if chapter.state else ""
    if chapter.is_trial:
        state = t("story.trial")
    yield f"{chapter.connection}: {state}" + (f" ({note_text(chapter.note, t)})" if chapter.note else "")
    if chapter.decided_at is None:
        yield f"  {outcome(chapter, t, story.zone)}"
        return
    yield f"  {t('story.policy', version=chapter.policy_version, author=chapter.policy_author)}"
    if chapter.winner:
        titled = f": {row_title(chapter.title, t)}" if chapter.title else ""
        yield f"  {t('story.winner', name=chapter.winner.name)}{titled}"
    for rule in chapter.rules:
        yield f"  {t('story.rule', name=rule.name)}"
    for title, lines in (
        ("story.facts", [_fact_line(fact, chapter, t) for fact in chapter.facts]),
        ("story.passed", [f"{trial.name}: {trial_text(trial, t, chapter.names)}" for trial in chapter.passed]),
    ):
        if lines:
            yield ""
            yield f"  {t(title)}"
            yield from (f"    {line}" for line in lines)
    if chapter.candidates:
        yield ""
        yield f"  {t('story.candidates')}"
        yield from (f"  {line}" for line in _explained(chapter.candidates, t, chapter.names))
    if chapter.contacts:
        yield ""
        yield f"  {t('story.contacts')}"
        for one in chapter.contacts:
            mark = "✓" if one.is_chosen else "·"
            yield f"    {mark} {one.name}: {reason_text(one.reason, t, chapter.names)} {one.card_url}".rstrip()
    yield ""
    yield f"  {t('story.trial_actions') if chapter.is_trial else t('story.actions')}"
    for found in chapter.actions:
        if chapter.is_trial:
            yield f"    {action_text(found, t, story.zone, chapter.names)}"
            continue
        said = t(f"step.{found.state.value}") if found.state else t("step.none")
        record = (
            f" {t.or_else(f'record.{found.record.kind}', found.record.kind)} {found.record.id}" if found.record else ""
        )
        link = f" {found.card_url}" if found.card_url else record
        note = f": {note_text(found.note, t, chapter.names)}" if found.note else ""
        yield f"    {action_text(found, t, story.zone, chapter.names)} [{said}{note}]{link}"
    for warning in chapter.warnings:
        yield f"  ! {reason_text(warning, t, chapter.names)}"
    cost = "" if chapter.is_trial else f"{t('story.cost', requests=t.number(round(chapter.requests, 2)))}; "
    yield f"  {cost}{age_text(chapter.age, t)}"


def _fact_line(fact: Fact, chapter: Chapter, t: Translator) -> str:
    line = f"{fact_name(fact.name, t)}: {fact_value(fact.name, fact.value, t, chapter.names)}"
    if fact.seen_at is not None and chapter.decided_at is not None:
        line += f" ({age_text(chapter.decided_at - fact.seen_at, t)})"
    return line
