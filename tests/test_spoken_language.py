"""The command line, faults of policies and settings are read in the reader's language (U3, U4, H11)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError
from typer.testing import CliRunner

from hub.cli import app
from hub.core.complaint import SENTENCES, sentence
from hub.core.example_check import load_checked
from hub.core.policy import load_policy
from hub.core.text import Language
from hub.errors import ConfigurationError
from hub.language import translator
from hub.settings import spoken_language

HUB = Path(__file__).parent.parent / "hub"
OTHERS: list[Language] = ["ru", "uk"]
_VARIABLES = ("HUB_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


def _said(node: ast.expr) -> str:
    """The text of a literal, with 7 in each of its places; "" if it is none."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            # a quoted value is told with its quotes
            str(part.value) if isinstance(part, ast.Constant) else ("'7'" if _is_quoted(part) else "7")
            for part in node.values
        )
    return ""


def _is_quoted(part: ast.expr) -> bool:
    return isinstance(part, ast.FormattedValue) and part.conversion == ord("r")


def _modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(HUB.rglob("*.py")):
        if path.relative_to(HUB).parts[0] not in {"testing", "demo", "scaffold"}:
            yield path.relative_to(HUB), ast.parse(path.read_text(encoding="utf-8"))


def _faults() -> set[str]:
    """What the host's errors for administrators say, and what its policy's models and checks say."""
    found = set()
    for path, module in _modules():
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and node.args:
                name = ast.unparse(node.func)
                if name in {"ConfigurationError", "fail"} or (name == "ValueError" and str(path) in _POLICY):
                    found.add(_said(node.args[0]))
            if isinstance(node, ast.Yield) and path.name == "consistency.py" and isinstance(node.value, ast.Tuple):
                found.add(_said(node.value.elts[-1]))
    return {text for text in found if re.search("[a-z]{2}", text)}


#: modules whose ValueErrors pydantic hands to who wrote the policy or the settings
_POLICY = {
    "settings.py",
    *(f"core/{name}.py" for name in ("part", "pattern", "schedule", "rules", "employee", "condition", "text")),
}


def _phrases() -> set[str]:
    """What the commands print, ask and call their columns; a text is given to `say` whole, or as ``told`` before it."""
    found = set()
    for path, module in _modules():
        if path.parts[0] != "commands":
            continue
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {
                *("say", "_ask", "_is_wanted", "speaker().phrase", "t.phrase"),
            }:
                found |= {_said(argument) for argument in node.args[:1]}
                found |= {_said(word.value) for word in node.keywords if word.arg == "lead"}
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "_title":
                found.add(_said(node.args[1]))
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"Line", "line"}:
                found |= {_said(word.value) for word in node.keywords if word.arg == "kind"}
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in {"told", "said"}:
                found.add(_said(node.value))
    # what is made of places only is the same in every language
    return {text for text in found if re.search("[a-z]{2}", re.sub(r"\{[a-z_]+\}", "", text))}


@pytest.mark.parametrize("language", OTHERS)
def test_every_error_for_an_administrator_is_told_in_the_readers_language(language: Language) -> None:
    """H11, U4: read from the source, so that a new one cannot stay in English only."""
    faults = _faults()
    assert len(faults) > 130
    t = translator(language)
    assert sorted(text for text in faults if t.theirs(text) == text and not text.startswith("pg_dump: ")) == []


@pytest.mark.parametrize("language", OTHERS)
def test_everything_that_a_command_prints_has_a_text(language: Language) -> None:
    phrases = _phrases()
    assert len(phrases) > 60
    t = translator(language)
    # a name stays a name
    assert (
        sorted(text for text in phrases if t.phrase(text) == text and not text.startswith(("CRM {", "    export")))
        == []
    )


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "uk_UA.UTF-8"}, "uk"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "uk_UA.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "uk_UA.UTF-8", "LC_MESSAGES": "ru_RU.UTF-8"}, "ru"),
        ({"HUB_LANGUAGE": "ru", "LC_ALL": "uk_UA.UTF-8", "LANG": "en_GB.UTF-8"}, "ru"),
    ],
)
def test_the_setting_comes_before_the_machines_language_and_english_is_the_last_resort(
    environment: dict[str, str], language: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert spoken_language() == language


@pytest.mark.parametrize(
    ("language", "error", "nobody"),
    [
        ("ru", "ошибка нет пользователя «olena»", "Пока никого"),
        ("uk", "помилка немає користувача «olena»", "Поки нікого"),
        ("en", "error there is no user 'olena'", "Nobody yet"),
    ],
)
def test_a_command_says_what_is_wrong_and_what_came_of_it_in_the_language_of_the_settings(
    language: Language, error: str, nobody: str, tmp_path: Path
) -> None:
    environment = {
        "HUB_ENVIRONMENT": "development",
        "HUB_DATA_DIRECTORY": str(tmp_path / "var"),
        "HUB_LANGUAGE": language,
    }
    runner = CliRunner()
    refused = runner.invoke(app, ["user", "remove", "olena"], env=environment)
    assert (refused.exit_code, refused.stderr.strip()) == (2, error)
    assert runner.invoke(app, ["user", "list"], env=environment).stdout.startswith(nobody)


def test_programs_read_the_same_json_in_every_language(tmp_path: Path) -> None:
    environment = {"HUB_ENVIRONMENT": "development", "HUB_DATA_DIRECTORY": str(tmp_path / "var")}
    told = {
        CliRunner().invoke(app, ["check", "--json"], env={**environment, "HUB_LANGUAGE": language}).stdout
        for language in ("ru", "uk", "en")
    }
    assert len(told) == 1


def test_a_language_that_there_is_not_is_named_before_anything_is_done() -> None:
    refused = CliRunner().invoke(app, ["explain", "7", "--language", "de"])
    assert refused.exit_code == 2
    assert "ru, uk, en" in refused.stderr


class _Colour(Enum):
    RED = "red"


class _Part(BaseModel, extra="forbid"):
    whole: int = 0
    number: float = 0
    truth: bool = False
    parts: list[int] = []
    table: dict[str, int] = {}
    day: date = date(2026, 1, 1)
    at: datetime = datetime(2026, 1, 1)  # noqa: DTZ001 - only its type counts
    clock: time = time(9)
    length: timedelta = timedelta(0)
    text: str = ""
    short: Annotated[str, Field(min_length=3)] = "abc"
    long: Annotated[str, Field(max_length=3)] = "abc"
    shaped: Annotated[str, Field(pattern="^a+$")] = "a"
    few: Annotated[list[int], Field(min_length=1)] = [1]
    many: Annotated[list[int], Field(max_length=1)] = [1]
    word: Literal["keep", "answerer"] = "keep"
    colour: _Colour = _Colour.RED
    above: Annotated[int, Field(gt=5)] = 6
    least: Annotated[int, Field(ge=5)] = 5
    below: Annotated[int, Field(lt=5)] = 4
    most: Annotated[int, Field(le=5)] = 5
    even: Annotated[int, Field(multiple_of=2)] = 2


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"whole": "x"}, "нужно целое число"),
    ({"number": "x"}, "нужно число"),
    ({"truth": "maybe"}, "нужно true или false"),
    ({"parts": "x"}, "нужен список"),
    ({"table": "x"}, "нужна таблица имён и значений"),
    ({"day": "x"}, "нужна дата, например 2026-12-31"),
    ({"at": "x"}, "нужны дата и время, например 2026-12-31T09:30"),
    ({"clock": "x"}, "нужно время суток, например 09:30"),
    ({"length": "x"}, "нужна длительность в секундах"),
    ({"text": 5}, "нужен текст"),
    ({"short": "a"}, "не меньше 3 знаков"),
    ({"long": "abcd"}, "не больше 3 знаков"),
    ({"shaped": "b"}, "не подходит по виду: ^a+$"),
    ({"few": []}, "записей должно быть не меньше 1, а здесь 0"),
    ({"many": [1, 2]}, "записей должно быть не больше 1, а здесь 2"),
    ({"word": "x"}, "допустимо: 'keep', 'answerer'"),
    ({"colour": "x"}, "допустимо: 'red'"),
    ({"above": 5}, "должно быть больше 5"),
    ({"least": 4}, "должно быть не меньше 5"),
    ({"below": 5}, "должно быть меньше 5"),
    ({"most": 6}, "должно быть не больше 5"),
    ({"even": 3}, "должно делиться на 2"),
    ({"else": 1}, "такого поля нет"),
]


@pytest.mark.parametrize(("values", "told"), WRONG)
def test_the_commonest_faults_of_a_value_are_told_by_their_kind(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as refused:
        _Part.model_validate(values)
    error = refused.value.errors()[0]
    assert error["type"] in SENTENCES
    said = sentence(error)
    assert translator("ru").theirs(said) == told
    assert translator("uk").theirs(said) not in (said, told)


BROKEN = [
    ('[assignment]\nexisting_answered = "x"', "'x' не подходит: допустимо: 'keep', 'answerer'"),
    ('senior = "ghost"', "нет такого значения (сотрудник): «ghost»; есть: ничего"),
    (
        '[[employees]]\nid = "olena"\nname = "O"\n[[employees]]\nid = "olena"\nname = "O"',
        "«olena» указано дважды",
    ),
    ('[project]\ntime_zone = "Kyiv"', "«Kyiv» не часовой пояс"),
    (
        '[[matrix]]\nname = "a"\n[[matrix]]\nname = "a"',
        "две строки называются «a»",
    ),
]


@pytest.mark.parametrize(("text", "told"), BROKEN)
def test_contradictions_of_a_policy_are_told_in_the_readers_language(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_policy(text, "policy.toml")
    said = translator("ru").theirs(str(refused.value))
    assert said.startswith("policy.toml")
    assert told in said


def test_each_failing_example_of_a_policy_is_told_on_a_line_of_its_own() -> None:
    """X3: what was expected, and what comes."""
    text = """
[[example]]
name = "a new client"
interaction = { kind = "call", phone = "+380501234567", disposition = "missed" }
expect = { row = "missed", responsible = "olena" }
"""
    with pytest.raises(ConfigurationError) as refused:
        load_checked(text, "policy.toml")
    lines = translator("uk").theirs(str(refused.value)).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("policy.toml example: приклад «a new client»: рядок матриці: очікується missed")
    assert lines[1] == "приклад «a new client»: відповідальний: очікується olena, а виходить ніхто"
