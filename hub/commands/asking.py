"""Questions at the terminal: one, a yes or no, the settings of a plugin (H12)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from rich.markup import escape
from rich.prompt import Confirm, Prompt
from starlette.datastructures import FormData

from hub.commands.context import console, say, speaker
from hub.errors import ConfigurationError
from hub.web.console.form import FormField, fields_of, values_of

__all__ = ["ask", "ask_settings", "is_wanted"]


def ask(question: str, **options: Any) -> str:
    """The answer to our English ``question``; ``options`` are those of rich's prompt."""
    return str(Prompt.ask(escape(speaker().phrase(question)), console=console, **options))


def is_wanted(question: str, *, default: bool, **values: object) -> bool:
    """Yes or no to our English ``question``, its places filled."""
    return Confirm.ask(escape(speaker().phrase(question, **values)), default=default, console=console)


def ask_settings(
    model: type[BaseModel], before: Mapping[str, Any] | None = None, *, error: ConfigurationError | None = None
) -> dict[str, Any]:
    """What a person says to each setting of ``model``, for the model to check.

    As the pages ask: first what everybody has to say, then, where wanted, what has a default that suits most. Enter
    keeps what there is ``before``, or the default. ``error`` is told where it belongs, and asked for again.
    """
    before = before or {}
    while True:
        fields = fields_of(model, before, speaker(), error=error)
        if error is not None and not any(field.error for field in fields):
            console.print(speaker().theirs(str(error)), style="red", markup=False)
        told = {field.name: field.value for field in fields if field.kind != "flag" or field.value}
        for field in fields:
            if not field.is_further and not _is_learnt(model, field):
                _ask_field(field, told)
        further = [field for field in fields if field.is_further]
        at_fault = any(field.error for field in further)
        if further and is_wanted(
            "See the {count} further settings, whose defaults suit most?", default=at_fault, count=len(further)
        ):
            for field in further:
                _ask_field(field, told)
        try:
            return values_of(model, FormData(told), before)
        except ConfigurationError as err:
            error = err


def _is_learnt(model: type[BaseModel], field: FormField) -> bool:
    """Whether the connecting itself finds this out."""
    return (model.model_fields[field.name].description or "").startswith("Filled in")


def _ask_field(field: FormField, told: dict[str, str]) -> None:
    """Put the answer where a page's form would have it."""
    unit = f", {speaker()('unit.s')}" if field.kind == "seconds" else ""
    console.print(f"{escape(field.title)}{unit}  [dim]{escape(field.hint)}[/dim]", highlight=False)
    if field.error:
        console.print(field.error, style="red", markup=False)
    match field.kind:
        case "flag":
            if Confirm.ask("  ", default=field.value == "on", console=console):
                told[field.name] = "on"
            else:
                told.pop(field.name, None)
        case "password":
            if field.is_set:
                say("  Enter keeps what is stored.", style="dim")
            told[field.name] = ask("  ", default="", password=True, show_default=False)
        case "choice":
            options = [choice.value for choice in field.choices]
            told[field.name] = ask("  ", choices=options, default=field.value, show_default=bool(field.value))
        case "list" | "json":
            shown = field.value.replace("\n", ", " if field.kind == "list" else "")
            said = ask("  ", default=shown, show_default=bool(shown))
            if said != shown:
                told[field.name] = said.replace(",", "\n") if field.kind == "list" else said
        case _:
            told[field.name] = ask("  ", default=field.value, show_default=bool(field.value))
