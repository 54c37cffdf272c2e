"""Conditions as data: field, operator, value, joined by all, any and not; for the matrix and for rules alike (C1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, get_args

from pydantic import ConfigDict, model_validator
from pydantic import Field as ModelField

from hub.core.field import Field, find_field, near_names
from hub.core.part import Part
from hub.core.pattern import compile_pattern
from hub.core.phone import Phone
from hub.core.plan import Check
from hub.core.schedule import Hours, parse_times

if TYPE_CHECKING:
    from hub.core.facts import Facts

__all__ = ["Condition", "Operator", "Surroundings", "compile_condition"]

Operator = Literal[
    "equals", "not_equals", "one_of", "none_of", "contains", "starts_with", "ends_with", "matches", "exists",
    "less", "at_most", "greater", "at_least", "between", "time_of_day", "weekday", "working_hours",
]  # fmt: skip
_OPERATORS: tuple[str, ...] = get_args(Operator)
_KEYS = {"field", "operator", "value", "all", "any", "not"}
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NUMERIC = {"less", "at_most", "greater", "at_least", "between"}
#: a check of each value seen is kept, so that fifty failed rows cost no fifty new objects
_REMEMBERED = 64
#: fields that hold telephone numbers
_PHONES = frozenset({"line", "phone", "phones"})
_WHOLE = frozenset({"equals", "not_equals", "one_of", "none_of"})

Failure = TypeVar("Failure")


class Surroundings(Protocol):
    """What conditions need of the policy."""

    @property
    def company_hours(self) -> Hours: ...
    def hours_of(self, schedule: str) -> Hours | None: ...
    def phone(self, text: str) -> Phone | None: ...


class Condition(Part):
    """Either one test (field, operator, value), or several joined by all, any or not.

    Short form: a table whose keys are fields, all of which must hold: ``{direction = "inbound", line = ["+38044…",
    "+38067…"], talk_seconds = {less = 10}}``. A list means one of.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "additionalProperties": True,
            "description": "field/operator/value, or all/any/not, or fields as keys with the value each must have",
        }
    )

    field: str = ""
    operator: Operator = "equals"
    value: Any = None
    all: tuple[Condition, ...] | None = None
    any: tuple[Condition, ...] | None = None
    not_: Condition | None = ModelField(default=None, alias="not")

    @model_validator(mode="before")
    @classmethod
    def _read_short_form(cls, data: Any) -> Any:
        if isinstance(data, list):
            return {"all": data}
        if not isinstance(data, dict) or _is_long(data):
            return data
        tests: list[Any] = []
        for key, value in data.items():
            if key in {"all", "any", "not"}:
                tests.append({key: value})
            else:
                tests += _tests(key, value)
        return tests[0] if len(tests) == 1 else {"all": tests}

    @model_validator(mode="after")
    def _is_one_thing(self) -> Condition:
        forms = [bool(self.field), self.all is not None, self.any is not None, self.not_ is not None]
        if sum(forms) > 1:
            raise ValueError("a condition is one of: a field with its value, all, any, not")
        if self.any is not None and not self.any:
            raise ValueError("any without conditions never holds")
        if self.field:
            self._check_test()
        elif not any(forms):
            raise ValueError("a condition needs a field, or all, any, not")
        return self

    def _check_test(self) -> None:
        found = find_field(self.field)
        if found is None:
            raise ValueError(f"{self.field!r} is no field; near: {', '.join(near_names(self.field))}")
        if self.operator in _NUMERIC and found.type != "number" and not found.is_open:
            raise ValueError(f"{self.operator} compares numbers, {self.field!r} is a {found.type}")
        if (self.operator in {"time_of_day", "weekday", "working_hours"}) != (found.type == "moment"):
            raise ValueError("time_of_day, weekday and working_hours are asked of the field 'moment', and nothing else")
        if found.type == "flag" and self.operator in {"equals", "not_equals"} and not isinstance(self.value, bool):
            raise ValueError(f"{self.field!r} is true or false, not {self.value!r}")
        _predicate(found, self.operator, self.value, None)


def _is_long(data: Mapping[str, Any]) -> bool:
    return not set(data) - _KEYS and ("field" in data or len(data) == 1)


def _tests(name: str, value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        operators = [key for key in value if key in _OPERATORS]
        if find_field(name) is not None and len(operators) == len(value) and value:
            return [{"field": name, "operator": key, "value": value[key]} for key in operators]
        if find_field(name) is not None:
            raise ValueError(f"{name!r} allows these operators: {', '.join(_OPERATORS)}")
        return [test for key, inner in value.items() for test in _tests(f"{name}.{key}", inner)]
    return [{"field": name, "operator": "one_of" if isinstance(value, list) else "equals", "value": value}]


def compile_condition(
    condition: Condition | None, around: Surroundings, wrap: Callable[[Check], Failure]
) -> Callable[[Facts], Failure | None]:
    """A function that answers None where ``condition`` holds, else what ``wrap`` makes of the check that failed."""
    if condition is None:
        return lambda facts: None
    if condition.all is not None:
        parts = tuple(compile_condition(part, around, wrap) for part in condition.all)
        return parts[0] if len(parts) == 1 else _all(parts)
    if condition.any is not None:
        return _any(tuple(compile_condition(part, around, wrap) for part in condition.any))
    if condition.not_ is not None:
        return _not(compile_condition(condition.not_, around, wrap), wrap, _said(condition.not_))
    return _test(condition, around, wrap)


def _all(parts: tuple[Callable[[Facts], Failure | None], ...]) -> Callable[[Facts], Failure | None]:
    def failed(facts: Facts) -> Failure | None:
        for part in parts:
            failure = part(facts)
            if failure is not None:
                return failure
        return None

    return failed


def _any(parts: tuple[Callable[[Facts], Failure | None], ...]) -> Callable[[Facts], Failure | None]:
    def failed(facts: Facts) -> Failure | None:
        first: Failure | None = None
        for part in parts:
            failure = part(facts)
            if failure is None:
                return None
            first = first if first is not None else failure
        return first

    return failed


def _not(
    inner: Callable[[Facts], Failure | None], wrap: Callable[[Check], Failure], said: str
) -> Callable[[Facts], Failure | None]:
    failure = wrap(Check(field="", operator="not", expected=said, seen="true", is_met=False))
    return lambda facts: failure if inner(facts) is None else None


def _test(
    condition: Condition, around: Surroundings, wrap: Callable[[Check], Failure]
) -> Callable[[Facts], Failure | None]:
    field = find_field(condition.field)
    assert field is not None, "validated when the policy was read"
    is_number = condition.field in _PHONES and condition.operator in _WHOLE
    value = _as_numbers(condition.value, around) if is_number else condition.value
    holds, read = _predicate(field, condition.operator, value, around), field.read
    name, operator, expected = condition.field, condition.operator, _show(value)
    failures: dict[Any, Failure] = {}

    def failure_of(seen: Any) -> Failure:
        failure = failures.get(seen)
        if failure is None:
            failure = wrap(Check(field=name, operator=operator, expected=expected, seen=_show(seen), is_met=False))
            if len(failures) < _REMEMBERED:
                failures[seen] = failure
        return failure

    if operator == "equals" and field.type in {"flag", "number", "text"}:
        return _equality(field, value, failure_of)

    def failed(facts: Facts) -> Failure | None:
        seen = read(facts)
        return None if holds(seen) else failure_of(seen)

    return failed


def _as_numbers(value: Any, around: Surroundings) -> Any:
    """Whole telephone numbers as they are compared, however they were typed; beginnings and parts as they are (C4)."""
    if isinstance(value, list | tuple):
        return [_as_numbers(item, around) for item in value]
    return (around.phone(value) or value) if isinstance(value, str) else value


def _equality(field: Field, value: Any, failure_of: Callable[[Any], Failure]) -> Callable[[Facts], Failure | None]:
    """By far the most frequent test, in as few calls as can be."""
    read = field.read
    if field.type != "text":

        def differs(facts: Facts) -> Failure | None:
            seen = read(facts)
            return None if seen == value else failure_of(seen)

        return differs
    text, folded = str(value), str(value).casefold()

    def reads_differently(facts: Facts) -> Failure | None:
        seen = read(facts)
        if seen == text or (seen or "").casefold() == folded:
            return None
        return failure_of(seen)

    return reads_differently


def _predicate(field: Field, operator: str, value: Any, around: Surroundings | None) -> Callable[[Any], bool]:
    """The test as a function of the value seen; raises ValueError if ``value`` does not suit ``operator``."""
    if field.type == "moment":
        return _moment(operator, value, around)
    if operator in _NUMERIC:
        return _numeric(operator, value)
    if operator == "exists":
        if not isinstance(value, bool):
            raise ValueError("exists wants true or false")
        return bool if value else (lambda seen: not seen)
    if operator in {"one_of", "none_of"}:
        return _membership(field, operator, value)
    if isinstance(value, dict | list) or value is None:
        raise ValueError(f"{operator} wants one value, not {value!r}")
    if operator in {"equals", "not_equals"} and field.type in {"flag", "number"}:
        return (lambda seen: seen == value) if operator == "equals" else (lambda seen: seen != value)
    return _textual(field, operator, str(value))


def _membership(field: Field, operator: str, value: Any) -> Callable[[Any], bool]:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"{operator} wants a list, not {value!r}")
    if field.type in {"flag", "number"}:
        allowed: frozenset[Any] = frozenset(value)
        found: Callable[[Any], bool] = lambda seen: seen in allowed  # noqa: E731 - one line says it
    else:
        wanted = frozenset(str(item).casefold() for item in value)
        if field.type == "list":
            found = lambda seen: any(str(item).casefold() in wanted for item in seen)  # noqa: E731
        else:
            found = lambda seen: str(seen or "").casefold() in wanted  # noqa: E731
    return found if operator == "one_of" else (lambda seen: not found(seen))


def _numeric(operator: str, value: Any) -> Callable[[Any], bool]:
    bounds = value if operator == "between" else [value]
    numbers = isinstance(bounds, list | tuple) and all(
        isinstance(item, int | float) and not isinstance(item, bool) for item in bounds
    )
    if not numbers or (operator == "between" and len(bounds) != 2):
        raise ValueError(f"{operator} wants {'two numbers' if operator == 'between' else 'a number'}, not {value!r}")
    low, high = float(bounds[0]), float(bounds[-1])
    compare: dict[str, Callable[[float], bool]] = {
        "less": lambda seen: seen < high,
        "at_most": lambda seen: seen <= high,
        "greater": lambda seen: seen > low,
        "at_least": lambda seen: seen >= low,
        "between": lambda seen: low <= seen <= high,
    }
    holds = compare[operator]

    def met(seen: Any) -> bool:
        try:
            return holds(float(seen))
        except (TypeError, ValueError):
            return False

    return met


def _textual(field: Field, operator: str, value: str) -> Callable[[Any], bool]:
    wanted = value.casefold()
    if operator == "matches":
        single = compile_pattern(value)
    else:
        single = {
            "equals": lambda seen: seen.casefold() == wanted,
            "not_equals": lambda seen: seen.casefold() != wanted,
            "contains": lambda seen: wanted in seen.casefold(),
            "starts_with": lambda seen: seen.casefold().startswith(wanted),
            "ends_with": lambda seen: seen.casefold().endswith(wanted),
        }[operator]
    if field.type != "list":
        return lambda seen: single("" if seen is None else str(seen))
    if operator == "not_equals":
        return lambda seen: all(single(str(item)) for item in seen)
    return lambda seen: any(single(str(item)) for item in seen)


def _moment(operator: str, value: Any, around: Surroundings | None) -> Callable[[datetime], bool]:
    if operator == "time_of_day":
        first, last = parse_times(str(value))

        def in_time(seen: datetime) -> bool:
            local = seen.astimezone(around.company_hours.zone) if around else seen
            minute = local.hour * 60 + local.minute
            return first <= minute < last if first <= last else minute >= first or minute < last

        return in_time
    if operator == "weekday":
        days = [value] if isinstance(value, str) else value
        if not isinstance(days, list | tuple) or not days or any(day not in _WEEKDAYS for day in days):
            raise ValueError(f"weekday wants some of {', '.join(_WEEKDAYS)}, not {value!r}")
        wanted = frozenset(_WEEKDAYS.index(day) for day in days)
        return lambda seen: (seen.astimezone(around.company_hours.zone) if around else seen).weekday() in wanted
    if not isinstance(value, str | bool):
        raise ValueError(f"working_hours wants true, false or the name of a schedule, not {value!r}")
    if around is None:
        return lambda seen: True
    hours = around.company_hours if isinstance(value, bool) else around.hours_of(value)
    if hours is None:
        raise ValueError(f"{value!r} is no schedule")
    return (lambda seen: not hours.is_open(seen)) if value is False else hours.is_open


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(_show(item) for item in value)
    return "" if value is None else str(value)


def _said(condition: Condition) -> str:
    if condition.field:
        return f"{condition.field} {condition.operator} {_show(condition.value)}"
    for word, parts in (("all", condition.all), ("any", condition.any)):
        if parts is not None:
            return f"{word}({'; '.join(_said(part) for part in parts)})"
    return f"not({_said(condition.not_)})" if condition.not_ else ""
