"""Texts of tasks, notes and fields: Jinja2 in its sandbox, in the project's language.

A text names values by the words of `VALUES`. One that fails to render falls back to a plain one with a warning; the
action still happens (DESIGN 6).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, get_args
from zoneinfo import ZoneInfo

from jinja2 import TemplateError, meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import AfterValidator, field_validator

from hub.core.part import Part
from hub.core.phone import Phone
from hub.core.records import EmployeeId

if TYPE_CHECKING:
    from hub.core.facts import Facts
    from hub.core.interaction import Leg

__all__ = ["CARD", "LONGEST_TEXT", "VALUES", "Language", "LocalText", "Speaker", "Translated", "check_text", "say"]

Language = Literal["ru", "uk", "en"]
#: a longer text is cut
LONGEST_TEXT = 20_000
_LONGEST_REPEAT = 10_000
_PLAIN_VALUE = re.compile(r"\s*\{\{\s*([a-z_0-9]+)\s*\}\}\s*")


class Translated(Part):
    """One text in the languages that the product speaks; a missing one falls back to the others in this order."""

    ru: str = ""
    uk: str = ""
    en: str = ""

    @field_validator("ru", "uk", "en")
    @classmethod
    def _renders(cls, value: str) -> str:
        check_text(value)
        return value

    def in_language(self, language: Language) -> str:
        """The text for a project that speaks ``language``."""
        return getattr(self, language) or self.ru or self.uk or self.en


def _checked(text: str | Translated) -> str | Translated:
    if isinstance(text, str):
        check_text(text)
    return text


#: a text, or one text for each language; it must render
LocalText: TypeAlias = Annotated[str | Translated, AfterValidator(_checked)]


def say(text: LocalText, language: Language) -> str:
    """``text`` as the project's language has it."""
    return text if isinstance(text, str) else text.in_language(language)


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox, with a limit on how much one expression can blow up."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" or (operator == "%" and isinstance(left, str)):
            raise SecurityError(f"{operator} is not allowed here")
        if operator == "*" and not (isinstance(left, int | float) and isinstance(right, int | float)):
            size = max((len(item) for item in (left, right) if hasattr(item, "__len__")), default=0)
            times = max((item for item in (left, right) if isinstance(item, int)), default=0)
            if size * times > _LONGEST_REPEAT:
                raise SecurityError("the text would become too long")
        return super().call_binop(context, operator, left, right)


def _nothing_for_none(value: Any) -> Any:
    return "" if value is None else value


_ENVIRONMENT = _Environment(
    autoescape=False,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=_nothing_for_none,
)

Compiled = Callable[["Speaker"], str]


class _Once:
    """A value that several texts name: made for the first, and kept as an attribute for the others."""

    def __init__(self, make: Compiled) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, speaker: Speaker, owner: type) -> str:
        made = speaker.__dict__[self._name] = self._make(speaker)
        return made


@dataclass(kw_only=True, eq=False)
class Speaker:
    """Everything that texts may name, of one decision; values are made only when a text asks for them."""

    facts: Facts
    language: Language
    zone: ZoneInfo
    names: Mapping[EmployeeId, str]
    #: whom the interaction counts for, and whom the task or note at hand is for
    responsible: EmployeeId | None = None
    assignee: EmployeeId | None = None

    def name_of(self, employee: EmployeeId | None) -> str:
        """The employee's name to show, "" for nobody."""
        return "" if employee is None else self.names.get(employee, "") or str(employee)

    def word(self, code: str) -> str:
        """A word of the product in the project's language."""
        return _WORDS[self.language][code]

    def local(self, at: datetime | None) -> str:
        """A moment as people of the project write it."""
        if at is None:
            return ""
        here = at.astimezone(self.zone)
        # strftime costs twenty times as much
        return "%02d.%02d.%d %02d:%02d" % (here.day, here.month, here.year, here.hour, here.minute)  # noqa: UP031 - half the cost of an f-string

    @_Once
    def client(self) -> str:
        """By what the client is called."""
        facts = self.facts
        # a new person of a known company bears their own name (J10)
        found = facts.contact or (None if facts.client.is_company_by_field else facts.company)
        known = found.name if found is not None else ""
        return known or facts.client_name or facts.phone or facts.email or self.word("hidden")

    @_Once
    def who(self) -> str:
        """The client's name with their number; the number alone where there is no name."""
        name, phone = self.client, self.facts.phone
        if not phone or name == phone:
            return name
        return phone if _is_spelling_of(phone, name) else f"{name} {phone}"

    @_Once
    def status(self) -> str:
        """How it ended."""
        facts = self.facts
        if facts.direction == "outbound" and facts.disposition == "missed":
            return self.word("no_answer")
        return self.word(facts.disposition) if facts.disposition else ""

    @_Once
    def when(self) -> str:
        """When it began."""
        return self.local(self.facts.interaction.started_at)


@lru_cache(4096)
def _compile(text: str) -> Compiled:
    if "{" not in text:
        return lambda speaker: text
    plain = _PLAIN_VALUE.fullmatch(text)
    if plain and plain[1] in VALUES:
        return _reader(plain[1])
    parsed = _ENVIRONMENT.parse(text)
    asked = sorted(meta.find_undeclared_variables(parsed))
    for name in asked:
        if name not in VALUES:
            raise ValueError(f"{name!r} is no value of a text; allowed: {', '.join(sorted(VALUES))}")
    quick = _quick(parsed.body)
    if quick is not None:
        return quick
    template, readers = _ENVIRONMENT.from_string(text), tuple((name, VALUES[name]) for name in asked)
    return lambda speaker: template.render({name: read(speaker) for name, read in readers})


def _reader(name: str) -> Compiled:
    """Reads a value as text."""
    read = VALUES[name]
    return read if name in _ALWAYS_TEXT else lambda speaker: _written(read(speaker))


_FILTERS: Mapping[str, Callable[[str], str]] = {
    "capitalize": str.capitalize,
    "lower": str.lower,
    "upper": str.upper,
    "trim": str.strip,
}


def _quick(body: Sequence[nodes.Node]) -> Compiled | None:
    """``body`` as a plain function if it only prints values and asks whether there are any, else None.

    Nearly all texts are of this kind, and Jinja2's context alone costs more than the rest of a decision.
    """
    pieces: list[str | Compiled] = []
    for node in body:
        if isinstance(node, nodes.Output):
            found = [_quick_piece(piece) for piece in node.nodes]
        elif isinstance(node, nodes.If) and isinstance(node.test, nodes.Name) and not node.elif_:
            found = [_quick_choice(node.test.name, _quick(node.body), _quick(node.else_))]
        else:
            return None
        for piece in found:
            if piece is None:
                return None
            pieces.append(piece)
    pattern = "".join(piece.replace("%", "%%") if isinstance(piece, str) else "%s" for piece in pieces)
    return _filling(pattern, tuple(piece for piece in pieces if not isinstance(piece, str)))


def _filling(pattern: str, readers: tuple[Compiled, ...]) -> Compiled:
    """``pattern`` with what ``readers`` read; texts mostly name few values, and a loop costs more than these."""
    match readers:
        case (one,):
            return lambda speaker: pattern % (one(speaker),)
        case (one, two):
            return lambda speaker: pattern % (one(speaker), two(speaker))
        case (one, two, three):
            return lambda speaker: pattern % (one(speaker), two(speaker), three(speaker))
        case (one, two, three, four):
            return lambda speaker: pattern % (one(speaker), two(speaker), three(speaker), four(speaker))
    return lambda speaker: pattern % tuple([read(speaker) for read in readers])


def _quick_piece(node: nodes.Node) -> str | Compiled | None:
    if isinstance(node, nodes.TemplateData):
        return node.data
    if isinstance(node, nodes.Name):
        return _reader(node.name)
    if isinstance(node, nodes.Filter) and node.name in _FILTERS and not (node.args or node.kwargs):
        inner, change = _quick_piece(node.node) if node.node is not None else None, _FILTERS[node.name]
        return None if inner is None or isinstance(inner, str) else lambda speaker: change(inner(speaker))
    return None


def _written(value: Any) -> str:
    return "" if value is None else str(value)


def _quick_choice(name: str, then: Compiled | None, otherwise: Compiled | None) -> Compiled | None:
    if then is None or otherwise is None:
        return None
    read = VALUES[name]
    return lambda speaker: then(speaker) if read(speaker) else otherwise(speaker)


def check_text(text: str) -> None:
    """Raises ValueError if ``text`` cannot be read as a template or names an unknown value."""
    try:
        _compile(text)
    except TemplateError as err:
        raise ValueError(f"the text does not render: {err}") from None


#: what a text may do wrong when it is rendered
_FAILURES = (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError)


def render(text: LocalText, speaker: Speaker) -> str | None:
    """``text`` with its values, in the speaker's language; None if it does not render."""
    try:
        said = text if isinstance(text, str) else text.in_language(speaker.language)
        return (_compile(said)(speaker).strip() if "{" in said else said)[:LONGEST_TEXT]
    except _FAILURES:
        return None


def _by_language(words: Mapping[str, Mapping[str, str]]) -> dict[Language, dict[str, str]]:
    languages: tuple[Language, ...] = get_args(Language)
    return {language: {code: said[language] for code, said in words.items()} for language in languages}


_WORDS: Mapping[Language, Mapping[str, str]] = _by_language(
    {
        "answered": {"ru": "разговор состоялся", "uk": "розмова відбулася", "en": "answered"},
        "missed": {"ru": "пропущенный", "uk": "пропущений", "en": "missed"},
        "busy": {"ru": "занято", "uk": "зайнято", "en": "busy"},
        "voicemail": {"ru": "голосовая почта", "uk": "голосова пошта", "en": "voicemail"},
        "failed": {"ru": "не удалось соединить", "uk": "не вдалося з’єднати", "en": "failed"},
        "client_missed": {"ru": "клиент не ответил", "uk": "клієнт не відповів", "en": "the client did not answer"},
        "no_answer": {"ru": "нет ответа", "uk": "немає відповіді", "en": "no answer"},
        "pending": {"ru": "идёт", "uk": "триває", "en": "in progress"},
        "inbound": {"ru": "входящий", "uk": "вхідний", "en": "inbound"},
        "outbound": {"ru": "исходящий", "uk": "вихідний", "en": "outbound"},
        "hidden": {"ru": "скрытый номер", "uk": "прихований номер", "en": "hidden number"},
        "unknown": {"ru": "неизвестно", "uk": "невідомо", "en": "unknown"},
        "rung": {"ru": "не ответил(а)", "uk": "не відповів(-ла)", "en": "did not answer"},
        "talked": {"ru": "разговор", "uk": "розмова", "en": "talked"},
        "line": {"ru": "Набранный номер", "uk": "Набраний номер", "en": "Dialled number"},
        "department": {"ru": "Отдел", "uk": "Відділ", "en": "Department"},
        "operator": {"ru": "Оператор", "uk": "Оператор", "en": "Operator"},
        "page": {"ru": "Страница", "uk": "Сторінка", "en": "Page"},
        "source": {"ru": "Источник", "uk": "Джерело", "en": "Source"},
    }
)


def _is_spelling_of(phone: str, name: str) -> bool:
    """Whether ``name`` is no name but the number once more, as many a telephony fills it in."""
    if not name[-1:].isdecimal() or any(char.isalpha() for char in name):
        return False
    return "".join(char for char in name if char.isdecimal())[-9:] == phone[-9:]


def _place(leg: Leg) -> str:
    place = leg.destination
    return place.name or place.login or place.phone or place.extension or place.email or place.staff_id


def _clock(seconds: int) -> str:
    return f"{max(seconds, 0) // 60}:{max(seconds, 0) % 60:02d}"


def _legs(speaker: Speaker) -> str:
    """Each employee's part in order, those rung in vain too (A1, A6)."""
    lines = []
    for leg, employee in zip(speaker.facts.legs, speaker.facts.leg_employees, strict=True):
        who = (speaker.name_of(employee) if employee else _place(leg)) or speaker.word("unknown")
        if leg.is_answered:
            recording = f" {leg.recording}" if leg.recording else ""
            lines.append(f"{who}: {speaker.word('talked')} {_clock(leg.talk_seconds)}{recording}")
        else:
            lines.append(f"{who}: {speaker.word('rung')}")
    return "\n".join(lines)


def _attribution(speaker: Speaker) -> str:
    """The call-tracking data that came, one a line (R7)."""
    facts, found = speaker.facts, speaker.facts.attribution
    rows = []
    # most calls tell few of these: asking one after the other costs a third of a loop over a table
    if facts.line:
        rows.append(f"{speaker.word('line')}: {facts.line}")
    if facts.department:
        rows.append(f"{speaker.word('department')}: {facts.department}")
    if found.source:
        rows.append(f"{speaker.word('source')}: {found.source}")
    if found.utm_source:
        rows.append(f"utm_source: {found.utm_source}")
    if found.utm_medium:
        rows.append(f"utm_medium: {found.utm_medium}")
    if found.utm_campaign:
        rows.append(f"utm_campaign: {found.utm_campaign}")
    if found.utm_content:
        rows.append(f"utm_content: {found.utm_content}")
    if found.utm_term:
        rows.append(f"utm_term: {found.utm_term}")
    if page := found.landing_page or facts.page:
        rows.append(f"{speaker.word('page')}: {page}")
    return "\n".join(rows)


def _transcript(speaker: Speaker) -> str:
    """A chat's lines, each with time and author; "" for what is no chat (J1, J9)."""
    facts, chat = speaker.facts, speaker.facts.interaction
    if chat.kind != "chat":
        return ""
    spoke = {
        (leg.destination.staff_id or leg.destination.name): employee
        for leg, employee in zip(facts.legs, facts.leg_employees, strict=True)
    }
    lines = []
    for line in chat.messages:
        author = line.author
        if line.is_from_client:
            who = facts.client_name or speaker.client
        else:
            who = speaker.name_of(spoke.get(author.staff_id or author.name)) or author.name or speaker.word("operator")
        lines.append(f"{speaker.local(line.at)[-5:]} {who}: {line.text}")
    return "\n".join(lines)


def _namesakes(speaker: Speaker) -> str:
    """Contacts that share nothing but the name (J7)."""
    return ", ".join(f"{found.name} (#{found.id})" for found in speaker.facts.client.namesakes)


#: stands in a text for the address of the card, which is known only when the record is made (C7)
CARD = "🔗"


def _rung(speaker: Speaker) -> str:
    return ", ".join(speaker.name_of(employee) for employee in speaker.facts.rung)


#: every value that a text may name
VALUES: Mapping[str, Callable[[Speaker], Any]] = {
    "client": attrgetter("client"),
    "who": attrgetter("who"),
    "phone": attrgetter("facts.phone"),
    "email": attrgetter("facts.email"),
    "status": attrgetter("status"),
    "direction": lambda speaker: speaker.word(speaker.facts.direction) if speaker.facts.direction else "",
    "is_answered": attrgetter("facts.is_answered"),
    "is_voicemail": attrgetter("facts.is_voicemail"),
    "is_callback": attrgetter("facts.is_callback"),
    "is_new_client": attrgetter("facts.is_new_client"),
    "kind": attrgetter("facts.kind"),
    "channel": attrgetter("facts.channel"),
    "employee": lambda speaker: speaker.name_of(speaker.facts.employee),
    "answered_by": lambda speaker: speaker.name_of(speaker.facts.answered_by),
    "answered_at": lambda speaker: speaker.facts.answered_at or speaker.word("unknown"),
    "responsible": lambda speaker: speaker.name_of(speaker.responsible),
    "assignee": lambda speaker: speaker.name_of(speaker.assignee),
    "dialled_owner": lambda speaker: speaker.name_of(speaker.facts.dialled_owner),
    "line": attrgetter("facts.line"),
    "department": attrgetter("facts.department"),
    "scheme": attrgetter("facts.scheme"),
    "recording": attrgetter("facts.recording"),
    "talk_seconds": attrgetter("facts.talk_seconds"),
    "waiting_seconds": attrgetter("facts.waiting_seconds"),
    "talk": lambda speaker: _clock(speaker.facts.talk_seconds),
    "when": attrgetter("when"),
    "legs": _legs,
    "rung": _rung,
    "attribution": _attribution,
    "source": attrgetter("facts.attribution.source"),
    "utm_source": attrgetter("facts.attribution.utm_source"),
    "utm_medium": attrgetter("facts.attribution.utm_medium"),
    "utm_campaign": attrgetter("facts.attribution.utm_campaign"),
    "utm_content": attrgetter("facts.attribution.utm_content"),
    "utm_term": attrgetter("facts.attribution.utm_term"),
    "ga_client_id": attrgetter("facts.attribution.ga_client_id"),
    "landing_page": attrgetter("facts.attribution.landing_page"),
    "referrer": attrgetter("facts.attribution.referrer"),
    "pool": attrgetter("facts.attribution.pool"),
    "form_name": attrgetter("facts.form_name"),
    "page": attrgetter("facts.page"),
    "text": attrgetter("facts.text"),
    "summary": attrgetter("facts.summary"),
    "rating": attrgetter("facts.rating"),
    "card_url": attrgetter("facts.card_url"),
    "card": lambda speaker: CARD,
    "transcript": _transcript,
    "namesakes": _namesakes,
    "city": attrgetter("facts.attribution.city"),
    "country": lambda speaker: speaker.facts.attribution.country or speaker.facts.country,
    "deal": lambda speaker: speaker.facts.deal.name if speaker.facts.deal else "",
    "parameters": attrgetter("facts.parameters"),
    "identity": attrgetter("facts.interaction.client.fields"),
}

#: values that are texts as they are; the others are flags, numbers, tables or nothing
_ALWAYS_TEXT = frozenset(VALUES) - {
    "is_answered", "is_voicemail", "is_callback", "is_new_client", "talk_seconds", "waiting_seconds", "rating",
    "parameters", "identity",
}  # fmt: skip


def plain_text(title: str, phone: Phone | str) -> str:
    """What stands where a text did not render."""
    return f"{title} {phone}".strip()
