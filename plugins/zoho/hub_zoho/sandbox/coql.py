"""``POST /coql``: a small SELECT that never lags (section 4)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from .ask import Ask
from .reply import Refusal, Reply, answer, nothing
from .value import parse_moment
from .world import Record, World

MOST_ROWS, MOST_IN_LIST, MOST_COLUMNS = 200, 50, 50
_TOKEN = re.compile(r"\s*('(?:[^']|'')*'|[A-Za-z_$][\w$.]*|-?\d+(?:\.\d+)?|<=|>=|!=|[=<>(),])")
_OPERATORS = frozenset({"=", "!=", "<", "<=", ">", ">=", "like", "in", "not", "is", "between"})
Test = Callable[[Record], bool]


class _Syntax(Exception):
    """Near this text it is no longer COQL."""


class _Reader:
    """Reads tokens one after the other."""

    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        position = 0
        while text[position:].strip():
            found = _TOKEN.match(text, position)
            if found is None:
                raise _Syntax(text[position : position + 20])
            self.tokens.append(found.group(1))
            position = found.end()
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at].lower() if self.at < len(self.tokens) else ""

    def take(self, *expected: str) -> str:
        if self.at >= len(self.tokens) or (expected and self.peek() not in expected):
            raise _Syntax(self.tokens[self.at] if self.at < len(self.tokens) else "end")
        self.at += 1
        return self.tokens[self.at - 1]

    def has(self, word: str) -> bool:
        if self.peek() == word:
            self.at += 1
            return True
        return False


def query(world: World, ask: Ask) -> Reply:
    text = ask.json().get("select_query")
    if not isinstance(text, str):
        raise Refusal(400, "MANDATORY_NOT_FOUND", "required field not found", {"api_name": "select_query"})
    try:
        return _run(world, _Reader(text))
    except _Syntax as near:
        details = {"line": 1, "column": 1, "near": str(near), "clause": "select_query"}
        raise Refusal(400, "SYNTAX_ERROR", "error occurred while parsing the query", details) from None


def _run(world: World, reader: _Reader) -> Reply:
    reader.take("select")
    columns = [reader.take()]
    while reader.has(","):
        columns.append(reader.take())
    reader.take("from")
    module = reader.take()
    if module not in world.modules:
        raise Refusal(400, "INVALID_QUERY", "invalid query formed", {"reason": "module", "module": module})
    if len(columns) > MOST_COLUMNS:
        raise Refusal(400, "LIMIT_EXCEEDED", "too many columns", {"limit": MOST_COLUMNS})
    for column in columns:
        _known(world, module, column)
    reader.take("where")  # compulsory
    test = _any(world, module, reader, inside=False)
    order: list[tuple[str, bool]] = []
    if reader.has("order"):
        reader.take("by")
        while True:
            column = reader.take()
            _known(world, module, column)
            descending = reader.has("desc")
            if not descending:
                reader.has("asc")
            order.append((column, descending))
            if not reader.has(","):
                break
    offset, count = 0, MOST_ROWS
    if reader.has("limit"):
        first = int(reader.take())
        offset, count = (first, int(reader.take())) if reader.has(",") else (0, first)
    if reader.peek():
        raise _Syntax(reader.peek())
    if count > MOST_ROWS:
        raise Refusal(400, "LIMIT_EXCEEDED", "row limit exceeded", {"limit": MOST_ROWS})
    found = [record for record in world.of(module) if test(record)]
    found.sort(key=lambda record: int(record.id))
    for column, descending in reversed(order):
        found.sort(key=lambda record: _sortable(_value(world, record, column)), reverse=descending)
    chunk = found[offset : offset + count]
    if not chunk:
        return nothing()
    more = len(found) > offset + count
    shown = [_shown(world, record, columns) for record in chunk]
    return answer({"data": shown, "info": {"count": len(chunk), "more_records": more}})


def _known(world: World, module: str, column: str) -> None:
    if column == "$se_module" or column.split(".")[0] in world.modules[module].fields:
        return
    details = {"column_name": column, "reason": "column given seems to be invalid"}
    raise Refusal(400, "INVALID_QUERY", "invalid query formed", details)


def _shown(world: World, record: Record, columns: list[str]) -> dict[str, Any]:
    """Lookups show id and name only."""
    shown = world.show(record, [*columns])
    for name, value in shown.items():
        if isinstance(value, dict) and "id" in value and "ALARM" not in value:
            shown[name] = {key: value[key] for key in ("name", "id") if key in value}
    shown.pop("$se_module", None)
    return shown


# --- where --------------------------------------------------------------------------------------------------------


def _any(world: World, module: str, reader: _Reader, *, inside: bool) -> Test:
    """``A and B``, ``A or B``; more than two have to be bracketed in pairs."""
    first = _term(world, module, reader)
    if reader.peek() not in ("and", "or"):
        return first
    word = reader.take().lower()
    second = _term(world, module, reader)
    if reader.peek() in ("and", "or"):
        raise _Syntax(reader.peek())
    if word == "and":
        return lambda record: first(record) and second(record)
    return lambda record: first(record) or second(record)


def _term(world: World, module: str, reader: _Reader) -> Test:
    if reader.has("("):
        found = _any(world, module, reader, inside=True)
        reader.take(")")
        return found
    column = reader.take()
    _known(world, module, column)
    operator = reader.take().lower()
    if operator not in _OPERATORS:
        raise _Syntax(operator)
    return _comparison(world, column, operator, reader)


def _comparison(world: World, column: str, operator: str, reader: _Reader) -> Test:
    def value(record: Record) -> Any:
        return _value(world, record, column)

    match operator:
        case "is":
            negated = reader.has("not")
            reader.take("null")
            return lambda record: (value(record) is None) != negated
        case "not":
            inner = _comparison(world, column, reader.take("in", "like").lower(), reader)
            return lambda record: not inner(record)
        case "in":
            wanted = _listed(reader)
            return lambda record: str(value(record)) in wanted
        case "like":
            pattern = _literal(reader)
            regex = re.compile("".join(".*" if c == "%" else re.escape(c) for c in str(pattern)), re.I | re.S)
            return lambda record: value(record) is not None and bool(regex.fullmatch(str(value(record))))
        case "between":
            low = _literal(reader)
            reader.take("and")
            high = _literal(reader)
            return lambda record: _compare(value(record), low) >= 0 >= _compare(value(record), high)
    wanted_one = _literal(reader)
    tests: dict[str, Callable[[int], bool]] = {
        "=": lambda sign: sign == 0,
        "!=": lambda sign: sign != 0,
        "<": lambda sign: sign < 0,
        "<=": lambda sign: sign <= 0,
        ">": lambda sign: sign > 0,
        ">=": lambda sign: sign >= 0,
    }
    test = tests[operator]
    return lambda record: value(record) is not None and test(_compare(value(record), wanted_one))


def _listed(reader: _Reader) -> set[str]:
    reader.take("(")
    wanted = {str(_literal(reader))}
    while reader.has(","):
        wanted.add(str(_literal(reader)))
    reader.take(")")
    if len(wanted) > MOST_IN_LIST:
        raise Refusal(400, "LIMIT_EXCEEDED", "too many values", {"limit": MOST_IN_LIST})
    return wanted


def _literal(reader: _Reader) -> str:
    token = reader.take()
    if token.startswith("'"):
        return token[1:-1].replace("''", "'")
    return token


def _compare(held: Any, wanted: str) -> int:
    left: Any = held
    right: Any = wanted
    if isinstance(held, int | float) and not isinstance(held, bool):
        moment = parse_moment(wanted)
        right = moment if moment is not None else float(wanted)
        left = int(held) if moment is not None else float(held)
    elif str(held).isdigit() and wanted.isdigit():
        left, right = int(held), int(wanted)
    else:
        left, right = str(held).casefold(), wanted.casefold()
    return int(left > right) - int(left < right)


def _value(world: World, record: Record, column: str) -> Any:
    """The plain value of a column; one join by a dot through a lookup."""
    name, _, rest = column.partition(".")
    match name:
        case "id":
            return record.id
        case "Created_Time":
            return float(int(record.created))
        case "Modified_Time":
            return float(int(record.modified))
    value = record.values.get(name)
    if rest and value is not None:
        target = world.modules[record.module].fields[name].target
        found = world.find(target, str(value))
        return _value(world, found, rest) if found else None
    return value


def _sortable(value: Any) -> tuple[int, Any]:
    if value is None:
        return 0, 0
    if isinstance(value, datetime):
        return 1, value.timestamp()
    if isinstance(value, int | float):
        return 1, value
    return (1, int(value)) if str(value).isdigit() else (2, str(value).casefold())
