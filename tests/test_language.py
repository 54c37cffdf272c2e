"""The catalogue is complete: every key that is used has a text, and ru, uk and en have the same keys (U4)."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

import pytest

from hub.core.assign import WORDS
from hub.core.condition import Operator
from hub.core.difference import KINDS as DIFFERENCES
from hub.core.field import FIELDS, OPEN_FIELDS
from hub.core.interaction import Direction, Disposition
from hub.core.plan import Action
from hub.core.popup import Why
from hub.core.records import RecordKind
from hub.core.rehearsal import Unknown
from hub.core.revise import StepState
from hub.core.shadow import ASPECTS
from hub.core.shadow import DIFFERENCES as SHADOW_DIFFERENCES
from hub.core.text import Language
from hub.demo.summary import FIGURES
from hub.language import LANGUAGES, as_language, keys_of, translator
from hub.store.inbox import InboxStatus
from hub.store.projects import Status
from hub.store.work import WorkState
from hub.web.console.journal import ENDED, STANDS
from hub.web.widget.refusal import Code

HUB = Path(__file__).parent.parent / "hub"
KINDS = [kind.__dataclass_fields__["kind"].default for kind in get_args(Action)]

PRESETS = [tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(HUB.joinpath("presets").glob("*.toml"))]

#: families whose members are chosen at run time
FAMILIES = {
    "band": ["shadow", "paused"],
    "mode": ["shadow", "live", "paused"],
    "nav": ["dashboard", "journal", "attention", "connections", "policy", "setup"],
    "ended": ENDED,
    "stands": STANDS,
    "state": [state.value for state in WorkState],
    "step": [*(state.value for state in StepState), "none"],
    "status": [status.value for status in Status],
    "inbox": [status.value for status in InboxStatus],
    "effect": ["add", "again", "withdraw"],
    "kind": [*KINDS, "call", "form", "chat", "message"],
    "did": [kind for kind in KINDS if kind != "nothing"],
    "direction": [direction.value for direction in Direction],
    "disposition": [disposition.value for disposition in Disposition],
    "field": [*FIELDS, *(f"{prefix}." for prefix in OPEN_FIELDS)],
    "operator": list(get_args(Operator)),
    "word": list(WORDS),
    "by": ["email", "number", "name", "chosen"],
    "names": ["pipeline", "stage", "field", "task_type"],
    "record": [kind.value for kind in RecordKind],
    "stage": ["project", "crm", "names", "channel", "employees", "addresses", "waiting", "live"],
    "setup": ["add_crm", "add_channel"],
    "stage_hint": [
        *("project", "project_live", "crm", "names", "channel", "employees", "addresses", "waiting", "live"),
        "live_live",
    ],
    "address": ["ok", "missing", "unreachable", "refused", "foreign"],
    "preset": [path.stem for path in HUB.joinpath("presets").glob("*.toml")],
    "differs": list(DIFFERENCES),
    "unknown": [reason.value for reason in Unknown],
    "shadow_aspect": list(ASPECTS),
    "shadow_differs": list(SHADOW_DIFFERENCES),
    "shadow_unknown": ["anonymous", "not_read_since", "importing", "task_gone"],
    "task_part": ["text", "deadline", "place"],
    "record_part": ["name", "price", "phones", "emails", "tags"],
    "task_name": sorted({kind for preset in PRESETS for kind in preset.get("tasks", {})}),
    "popup_why": list(get_args(Why)),
    "widget_refusal": list(get_args(Code)),
    "deed": [
        "take",
        "create_contact",
        "create_deal",
        "task",
        "complete",
        "reschedule",
        "nothing",
        "waiting",
        "failed",
        "call",
    ],
    "demo": list(FIGURES),
    "panel": ["no_key", "ended", "too_many", "no_record", "colleagues", "nobody", "unknown"],
    "unit": ["days", "hours", "minutes", "seconds", "milliseconds"],
}

_IN_TEMPLATES = re.compile(r"""\bt(?:\.count)?\(\s*["']([a-z_.]+)["']\s*[,)]""")
_CHOICE_IN_TEMPLATES = re.compile(r"""\bt\(\s*"([a-z_.]+)" if .*? else \(?"([a-z_.]+)"(?: if .*? else "([a-z_.]+)")?""")
_KEY = re.compile(r"(?:login|headline|outcome|setup|value)\.[a-z_]+")
#: attributes of settings and log actions that look like keys
_NO_KEYS = {"setup.administrator"}


def _keys_in_templates() -> Iterator[str]:
    for path in HUB.joinpath("web", "templates").rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        yield from _IN_TEMPLATES.findall(text)
        for found in _CHOICE_IN_TEMPLATES.findall(text):
            yield from (key for key in found if key)


def _modules(*folders: str) -> Iterator[ast.Module]:
    for folder in folders:
        for path in HUB.joinpath(folder).rglob("*.py"):
            yield ast.parse(path.read_text(encoding="utf-8"))


def _keys_in_code() -> Iterator[str]:
    """Literal first arguments of ``t(…)``, ``t.count(…)``, ``frame.t(…)``, and literals that look like our keys."""
    for module in _modules("web/console", "web/widget", "runtime", "commands", "demo"):
        for node in ast.walk(module):
            value = node.value if isinstance(node, ast.Constant) else None
            if isinstance(value, str) and _KEY.fullmatch(value) and value not in _NO_KEYS:
                yield value
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            name = ast.unparse(node.func)
            if name in {"t", "self", "self.t", "visit.t", "frame.t", "scene.t"} or name.endswith(("t.count",)):
                yield str(node.args[0].value)


def _reason_codes() -> set[str]:
    """Every code that a `Reason` may have, read from the source of the core and the runtime."""
    found: set[str] = set()
    for module in _modules("core", "runtime", "engine"):
        for node in ast.walk(module):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            if name == "Reason":
                found |= {
                    str(word.value.value)
                    for word in node.keywords
                    if word.arg == "code" and isinstance(word.value, ast.Constant)
                }
            at = {"self.reason": 0, "self._nothing": 0, "_nothing": 1, "self._pass_over": 2, "_candidate": 2}.get(name)
            if at is not None and len(node.args) > at and isinstance(node.args[at], ast.Constant):
                code = str(node.args[at].value)  # type: ignore[attr-defined]  # just asked
                found |= {code} if code else set()
    # `hub.core.forwarding` makes these of roles and failures
    found |= {f"{role}_responsible" for role in ("deal", "contact", "last_talked", "deputy")}
    found |= {"unknown_employee", "no_destination", "absent", "off_shift"}
    return found


def _remark_codes() -> set[str]:
    """Every code that a remark may have, read from the source; one that is chosen at run time has its own name."""
    found: set[str] = set()
    for module in _modules("core", "runtime", "engine", "store", "web", "commands"):
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("remark", "_recover")) and node.args:
                words = [part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)]
                found |= {word for word in words if isinstance(word, str)}
    return found


def test_every_remark_of_the_runtime_has_a_text_and_none_is_left_over() -> None:
    """X1, U4: what the hub notes of a step or an interaction is told in the reader's language."""
    codes = {f"remark.{code}" for code in _remark_codes()}
    assert len(codes) > 30
    assert codes == {key for key in keys_of("en") if key.startswith("remark.")}


def test_the_three_languages_have_the_same_keys() -> None:
    ru, uk, en = (keys_of(language) for language in LANGUAGES)
    assert ru == uk == en


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_key_that_is_used_has_a_text(language: Language) -> None:
    used = {*_keys_in_templates(), *_keys_in_code()}
    assert len(used) > 200
    assert sorted(used - keys_of(language)) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_every_member_of_a_family_has_a_text(family: str) -> None:
    wanted = {f"{family}.{name}" for name in FAMILIES[family]}
    assert sorted(wanted - keys_of("en")) == []


def test_every_reason_of_a_decision_has_a_text() -> None:
    codes = _reason_codes()
    assert {"chosen", "new_client", "off_shift", "nothing_to_do", "internal_call"} <= codes
    assert sorted({f"reason.{code}" for code in codes} - keys_of("en")) == []


def test_every_row_of_our_presets_has_a_title_in_each_language() -> None:
    titles = set()
    for path in HUB.joinpath("presets").glob("*.toml"):
        titles |= {row["title"] for row in tomllib.loads(path.read_text(encoding="utf-8"))["matrix"] if "title" in row}
    assert sorted({f"row.{title}" for title in titles} - keys_of("ru")) == []


def test_no_text_is_left_that_nobody_uses() -> None:
    used = {*_keys_in_templates(), *_keys_in_code()}
    own = ("remark.", "reason.", "row.", "role.", "action.", "answer.crm_", "setup.bad_")
    families = (*(f"{family}." for family in FAMILIES), *own)
    assert sorted(key for key in keys_of("en") - used if not key.startswith(families)) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_places_are_the_same_in_every_language(language: Language) -> None:
    place = re.compile(r"\{[a-z_]+\}")
    mine, english = translator(language), translator("en")
    for key in keys_of("en"):
        assert set(place.findall(mine._texts.gettext(key))) == set(place.findall(english._texts.gettext(key))), key


PLURALS = [
    ("ru", 1, "1 попытка"),
    ("ru", 2, "2 попытки"),
    ("ru", 5, "5 попыток"),
    ("ru", 21, "21 попытка"),
    ("uk", 1, "1 спроба"),
    ("uk", 4, "4 спроби"),
    ("uk", 11, "11 спроб"),
    ("en", 1, "1 attempt"),
    ("en", 3, "3 attempts"),
]


@pytest.mark.parametrize(("language", "number", "text"), PLURALS)
def test_counts_take_the_form_that_the_number_asks_for(language: Language, number: int, text: str) -> None:
    assert translator(language).count("story.attempts", number) == text


def test_values_are_put_in_as_they_are_and_never_read_as_places() -> None:
    t = translator("en")
    assert "{who} {0.__class__}" in t("outcome.responsible", who="{who} {0.__class__}")
    assert t("outcome.responsible") == "Responsible: ."


def test_durations_show_two_units_at_most() -> None:
    """No line breaks between a number and its unit."""
    t = translator("en")
    assert [t.duration(seconds) for seconds in (0, 0.25, 5, 125, 3600, 3725, 90061)] == [
        "0\N{NO-BREAK SPACE}s",
        "250\N{NO-BREAK SPACE}ms",
        "5\N{NO-BREAK SPACE}s",
        "2\N{NO-BREAK SPACE}min 5\N{NO-BREAK SPACE}s",
        "1\N{NO-BREAK SPACE}h",
        "1\N{NO-BREAK SPACE}h 2\N{NO-BREAK SPACE}min",
        "1\N{NO-BREAK SPACE}d 1\N{NO-BREAK SPACE}h",
    ]


def test_a_moment_is_told_in_the_projects_zone() -> None:
    from datetime import UTC, datetime

    at = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)
    assert translator("en").minute(at, ZoneInfo("Europe/Kyiv")) == "3 Mar 2026, 01:30"


@pytest.mark.parametrize(
    ("asked", "language"),
    [("uk-UA,uk;q=0.9,en;q=0.8", "uk"), ("de, ru;q=0.5", "ru"), ("", "en"), ("xx", "en"), ("EN_us", "en")],
)
def test_the_browsers_wish_chooses_the_language(asked: str, language: Language) -> None:
    assert as_language(asked) == language
