"""Nothing exists that is not written down and used: hooks, settings, policy, errors, events, commands, numbers."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import tomllib
import typing
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import typer.main
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.core import TyperCommand, TyperGroup

import hub
from hub import errors, hookspecs, rules
from hub.cli import app
from hub.core.assign import WORDS
from hub.core.condition import _OPERATORS, Condition
from hub.core.employee import Employee
from hub.core.example_check import check_examples
from hub.core.field import FIELDS, OPEN_FIELDS
from hub.core.outcome import OutcomeSettings
from hub.core.policy import Policy, load_policy
from hub.core.rules import Considers
from hub.core.text import VALUES, Translated
from hub.hookspecs import hookspec
from hub.plugins import load_plugins
from hub.rules import AnnounceNewRecords, RepeatAsNew
from hub.settings import Settings

ROOT = Path(__file__).parents[1]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "plugins").glob("*/README.md"))]
PLUGINS = sorted(found.parent for found in (ROOT / "plugins").glob("*/pyproject.toml"))


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def every_test() -> Mapping[str, str]:
    """Every test file by its path in the repository, but this one."""
    found = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("plugins/*/tests/**/*.py")]
    # TOML in a Python string: a line's first word follows a written line break
    return {str(path.relative_to(ROOT)): read(path).replace("\\n", "\n") for path in found if path != Path(__file__)}


@cache
def product() -> Mapping[str, str]:
    """Every source file of the product by its path."""
    found = [*ROOT.glob("hub/**/*.py"), *ROOT.glob("plugins/*/hub_*/**/*.py")]
    return {str(path.relative_to(ROOT)): read(path) for path in found}


def has_word(text: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


# --- hooks, settings, errors, events ----------------------------------------------------------------------------

HOOKS = [name for name, found in inspect.getmembers(hookspecs, inspect.isfunction) if hasattr(found, "hub_spec")]


def test_there_are_hooks_and_each_is_public() -> None:
    assert HOOKS
    assert set(HOOKS) <= set(hookspecs.__all__)
    assert hookspec.project_name == "hub"


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_is_documented_and_tested(hook: str) -> None:
    assert inspect.getdoc(getattr(hookspecs, hook))
    assert f"| `{hook}` |" in read(ROOT / "docs/plugins/seams.md")
    assert any(has_word(text, hook) for text in every_test().values())


@pytest.mark.parametrize("setting", Settings.model_fields)
def test_each_setting_is_documented_and_used_in_a_test(setting: str) -> None:
    variable = f"HUB_{setting.upper()}"
    first_column = {cell for row in tables(read(ROOT / "docs/operations.md")) for cell in names_in(row[0])}
    assert variable in first_column
    assert any(has_word(text, variable) or has_word(text, setting) for text in every_test().values())


ERRORS = [name for name in errors.__all__ if issubclass(getattr(errors, name), Exception)]


@pytest.mark.parametrize("error", ERRORS)
def test_each_error_is_used_and_proven(error: str) -> None:
    """Raised or caught by the product, and named in a test."""
    kind = getattr(errors, error)
    assert inspect.getdoc(kind)
    used = [path for path, text in product().items() if path != "hub/errors.py" and has_word(text, error)]
    assert used
    tested = [path for path, text in every_test().items() if has_word(text, error)]
    assert tested or kind.__subclasses__(), "neither it nor what derives from it is in a test"


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_each_event_that_a_source_declares_has_a_payload(plugin: Path) -> None:
    name = plugin.name
    known = load_plugins().sources
    if name not in known:
        return
    bodies = {path.name.partition("__")[0] for path in (plugin / "tests/payloads").iterdir()}
    assert set(known[name].events) == bodies


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_each_plugin_owns_up_to_what_it_does_not_do(plugin: Path) -> None:
    told = tomllib.loads(read(plugin / "quality.toml"))["rules"]
    for rule, row in told.items():
        assert row["status"] in {"done", "open", "exempt"}, rule
        assert row["status"] == "done" or row.get("comment"), f"{rule}: say why"


# --- modules ----------------------------------------------------------------------------------------------------

MODULES = sorted(found.name for found in pkgutil.walk_packages(hub.__path__, "hub."))


def _sort_key(name: str) -> tuple[int, list[Any]]:
    """Constants, then classes, then the rest; numbers in names by value."""
    kind = 0 if name.isupper() else 1 if name[:1].isupper() else 2
    return kind, [(int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", name)]


@pytest.mark.parametrize("module", [name for name in MODULES if not name.endswith("__main__")])
def test_what_a_module_offers_is_there_and_in_order(module: str) -> None:
    loaded = importlib.import_module(module)
    offered = getattr(loaded, "__all__", None)
    if offered is None:
        assert hasattr(loaded, "__path__"), "only a package may offer nothing"
        return
    assert [name for name in offered if not hasattr(loaded, name)] == []
    assert list(offered) == sorted(set(offered), key=_sort_key)


# --- the policy -------------------------------------------------------------------------------------------------

Heading = str


def tables(text: str) -> Iterator[list[str]]:
    """The rows of all tables of a Markdown page, as cells, without headers."""
    for line in text.splitlines():
        if line.startswith("|") and not set(line) <= set("|- "):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@cache
def policy_page() -> Mapping[Heading, list[list[str]]]:
    """The rows of docs/policy.md by the heading above them."""
    found: dict[str, list[list[str]]] = {}
    for part in re.split(r"^#+ ", read(ROOT / "docs/policy.md"), flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        found[heading.strip().strip("`")] = list(tables(re.sub(r"```.*?```", "", body, flags=re.DOTALL)))[1:]
    return found


#: sections whose place in the file is not their name in the model
_HEADINGS = {
    "employees": "[[employees]]", "employees.absences": "[[employees.absences]]", "channels": "[channels.NAME]",
    "channels.staff": "[channels.NAME.staff.EMPLOYEE]",
    "sources": "[[sources]]", "crm": "[[crm]]", "matrix": "[[matrix]]", "rules": "[[rules]]",
    "assignment.groups": "[assignment.groups.NAME]", "schedules": "[schedules.NAME]", "tasks": "[tasks.NAME]",
    "tasks.recognise": "[tasks.NAME.recognise]", "tasks.overdue": "[[tasks.NAME.overdue]]", "notes": "[notes.NAME]",
    "example": "[[example]]", "example.interaction": "interaction", "example.client": "client",
    "example.expect": "expect", "": "Top level", "matrix.tasks": "A task", "matrix.notes": "A note",
}  # fmt: skip


def _parts_of(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from _parts_of(inner)


def sections(model: type[BaseModel] = Policy, path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every section of a policy with its path; conditions and translated texts are told in words."""
    yield path, model
    for name, field in model.model_fields.items():
        for part in _parts_of(field.annotation):
            inner = f"{path}.{name}".strip(".")
            is_outcome = name in OutcomeSettings.model_fields and issubclass(model, OutcomeSettings)
            if issubclass(part, Condition | Translated) or (is_outcome and inner not in _HEADINGS):
                continue
            yield from sections(part, inner)


SECTIONS = dict(sections())


def _default(field: FieldInfo) -> str | None:
    """The default as one writes it in TOML; "" where leaving it out has a meaning of its own, None: told elsewhere."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return ""
    return "" if value is None else f"`{_written(value)}`"


def _written(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return '"' + value.replace("\n", "\\n") + '"'
        case timedelta():
            seconds = value.total_seconds()
            for unit, size in (("days", 86400), ("hours", 3600), ("seconds", 1)):
                if seconds >= size and seconds % size == 0:
                    return f'"{seconds / size:g} {unit}"'
            return f'"{seconds * 1000:g} milliseconds"' if seconds else '"0 seconds"'
        case tuple():
            return f"[{', '.join(_written(item) for item in value)}]"
        case dict():
            return "{}"
    return str(value)


@pytest.mark.parametrize("path", SECTIONS, ids=lambda path: path or "policy")
def test_each_field_of_the_policy_is_documented_with_its_default(path: str) -> None:
    model = SECTIONS[path]
    heading = _HEADINGS.get(path, f"[{path}]")
    told = {names_in(row[0])[0]: row[1] for row in policy_page()[heading]}
    if issubclass(model, OutcomeSettings):
        told |= {names_in(row[0])[0]: row[1] for row in policy_page()["Outcome"]}
    wanted = {field.alias or name: _default(field) for name, field in model.model_fields.items()}
    assert told == wanted


def test_no_section_is_documented_that_there_is_not() -> None:
    known = {_HEADINGS.get(path, f"[{path}]") for path in SECTIONS}
    told = {heading for heading in policy_page() if heading.startswith("[")}
    assert told <= known


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("Fields", [*FIELDS, *(f"{prefix}.NAME" for prefix in OPEN_FIELDS)]),
        ("Words for somebody", list(WORDS)),
        ("Values of texts", list(VALUES)),
        ("Conditions", list(_OPERATORS)),
    ],
    ids=["fields", "words", "values", "operators"],
)
def test_each_word_of_a_policy_is_documented(heading: str, names: list[str]) -> None:
    assert [names_in(row[0])[0] for row in policy_page()[heading]] == names


@pytest.mark.parametrize("path", SECTIONS, ids=lambda path: path or "policy")
def test_each_field_of_the_policy_is_used_in_a_test_or_preset(path: str) -> None:
    presets = "".join(read(Path(str(preset))) for preset in PRESETS.values())
    everything = presets + "".join(every_test().values())
    told_unused = {name for row in policy_page()[_HEADINGS.get(path, f"[{path}]")] if row[0].startswith("*")
                   for name in names_in(row[0])}  # fmt: skip
    unused = {
        name
        for name, field in SECTIONS[path].model_fields.items()
        if not has_word(everything, field.alias or name) and name not in told_unused
    }
    assert unused == set()


@pytest.mark.parametrize("path", SECTIONS, ids=lambda path: path or "policy")
def test_a_field_without_effect_says_so_and_no_other_does(path: str) -> None:
    """What nothing reads is in italics on the page; whatever becomes read loses them."""
    whole = "".join(text for name, text in product().items() if name not in {"hub/core/section.py"})
    italic = {
        name
        for row in policy_page()[_HEADINGS.get(path, f"[{path}]")]
        if row[0].startswith("*")
        for name in names_in(row[0])
    }
    assert {name for name in italic if re.search(rf"\.{name}\b", whole) and name not in {"source", "plugin"}} == set()


# --- examples ---------------------------------------------------------------------------------------------------

OWN_RULES: list[Considers] = [AnnounceNewRecords(), RepeatAsNew()]
PRESETS = {found.name: found for found in files("hub.presets").iterdir() if found.name.endswith(".toml")}


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_each_preset_loads_and_its_examples_hold(preset: str) -> None:
    """X3."""
    policy = load_policy(
        PRESETS[preset].read_text(encoding="utf-8"), preset, rules=[AnnounceNewRecords(), RepeatAsNew()]
    )
    assert check_examples(policy) == []
    assert any(has_word(text, preset.removesuffix(".toml")) for text in every_test().values())


BLOCKS = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")
    for page in DOCS
    for number, block in enumerate(re.findall(r"```toml\n(.*?)```", read(page), flags=re.DOTALL), 1)
]


@pytest.mark.parametrize("block", BLOCKS)
def test_each_toml_example_of_the_docs_loads(block: str) -> None:
    data = tomllib.loads(block)
    if "entry-points" in data.get("project", {}):
        return
    if set(data) <= set(Policy.model_fields):
        policy = load_policy(block, rules=OWN_RULES)
        assert check_examples(policy) == []


def test_the_policy_page_has_an_example_with_an_example() -> None:
    block = re.findall(r"```toml\n(.*?)```", read(ROOT / "docs/policy.md"), flags=re.DOTALL)[0]
    policy = load_policy(block)
    assert policy.example
    assert policy.matrix
    assert all(isinstance(one, Employee) for one in policy.employees)


def test_each_link_between_our_pages_leads_somewhere() -> None:
    broken = []
    for page in DOCS:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", read(page)):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


# --- the command line -------------------------------------------------------------------------------------------


def commands(found: object, path: str = "hub") -> Iterator[tuple[str, TyperCommand]]:
    """Every command with the words that call it."""
    if isinstance(found, TyperGroup):
        for name, inner in found.commands.items():
            yield from commands(inner, f"{path} {name}")
    else:
        assert isinstance(found, TyperCommand)
        yield path, found


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_all_commands_are_found() -> None:
    assert {"hub run", "hub policy check", "hub user add"} <= set(COMMANDS)


@pytest.mark.parametrize("words", COMMANDS)
def test_each_command_has_help_and_is_documented(words: str) -> None:
    command = COMMANDS[words]
    assert command.help
    options = [option for option in command.params if option.name not in {"install_completion", "show_completion"}]
    silent = [
        option.name for option in options if option.param_type_name == "option" and not getattr(option, "help", "")
    ]
    assert set(silent) <= {"password"}
    assert any(words in read(page) or _in_a_list(words, read(page)) for page in DOCS)


def _in_a_list(words: str, text: str) -> bool:
    """``hub policy export / check / import`` names three commands."""
    *group, last = words.split(" ")
    lists = re.findall(rf"{' '.join(group)} ((?:[a-z-]+ / )+[a-z-]+)", text)
    return any(last in found.split(" / ") for found in lists)


def test_the_rules_of_the_hub_come_by_its_own_hooks() -> None:
    """H1: no second-class door."""
    assert {rule.name for rule in load_plugins([], found=[], builtin=(("hub", rules),)).rules.values()} == {
        "announce_new_records",
        "repeat_as_new",
    }


# --- requirements -----------------------------------------------------------------------------------------------

#: how many numbers each part has
NUMBERS = {"R": 11, "A": 18, "Z": 19, "C": 9, "J": 11, "W": 12, "H": 12, "U": 5, "X": 13}
REQUIREMENTS = {row[0]: row for row in tables(read(ROOT / "docs/requirements.md")) if re.fullmatch(r"[A-Z]\d+", row[0])}


def test_every_requirement_has_its_line_in_order() -> None:
    assert list(REQUIREMENTS) == [f"{part}{number}" for part, last in NUMBERS.items() for number in range(1, last + 1)]


@pytest.mark.parametrize("number", REQUIREMENTS)
def test_a_requirement_is_cited_where_it_is_proven_or_is_open(number: str) -> None:
    _, what, state, where, missing = REQUIREMENTS[number]
    assert what
    assert state in {"proven", "part", "open"}
    assert bool(missing) or state != "part", "say what is missing"
    assert not missing or state != "proven"
    named = names_in(where)
    assert bool(named) is (state != "open")
    for path in named:
        assert Path(path).name.startswith("test_")
        assert has_word(read(ROOT / path), number), f"{path} does not cite it"
