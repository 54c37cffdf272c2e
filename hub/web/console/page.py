"""Turns a dataclass and a template into an HTML page in the reader's language."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from hub.core.phone import phone_text
from hub.core.text import Language
from hub.language import LANGUAGE_NAMES, Translator
from hub.runtime import telling

__all__ = ["Choice", "Frame", "page", "render_text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One entry of a list to choose from."""

    value: str
    label: str
    is_chosen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What stands around every page: who reads it, in which project, and the anti-forgery token."""

    t: Translator
    now: datetime
    #: anti-forgery token of every form on the page
    csrf: str = ""
    login: str = ""
    is_admin: bool = False
    #: the part of the console that is open
    section: str = ""
    project: str = ""
    project_title: str = ""
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    projects: tuple[Choice, ...] = ()
    #: shadow, paused or "" if everything is written
    held_back: str = ""
    attention: int = 0
    #: where the language switch leads back to
    here: str = "/console/"

    @property
    def language(self) -> Language:
        return self.t.language

    @property
    def languages(self) -> tuple[Choice, ...]:
        return tuple(
            Choice(value=code, label=name, is_chosen=code == self.language) for code, name in LANGUAGE_NAMES.items()
        )

    def ago(self, at: datetime) -> str:
        """How long ago, for people: a second at least."""
        return self.t("ago", time=self.t.duration(max(self.now - at, timedelta(seconds=1))))

    def when(self, at: datetime) -> str:
        """Day and time in the project's zone."""
        return self.t.moment(at, self.zone)


@lru_cache
def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("hub.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    words: dict[str, Callable[..., str]] = {
        "reason_text": telling.reason_text,
        "action_text": telling.action_text,
        "check_text": telling.check_text,
        "trial_text": telling.trial_text,
        "fact_name": telling.fact_name,
        "fact_value": telling.fact_value,
        "row_title": telling.row_title,
        "role_name": telling.role_name,
        "note_text": telling.note_text,
        "age_text": telling.age_text,
        "answer_line": telling.answer_line,
        "phone_text": phone_text,
    }
    found.globals.update(words)
    return found


def render_text(template: str, frame: Frame, model: object) -> str:
    """The template with ``page`` (the model), ``frame`` and ``t``."""
    return _environment().get_template(template).render(page=model, frame=frame, t=frame.t)


def page(template: str, frame: Frame, model: object = None, *, status: int = 200) -> HTMLResponse:
    """An HTML answer."""
    return HTMLResponse(render_text(template, frame, model), status_code=status)
