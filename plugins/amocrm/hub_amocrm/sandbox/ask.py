"""One request to the vendor's API, as the handlers see it, and the reading of its body."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from .bracket import decode
from .reply import Json, Problem, Reply, bad_request, invalid

T = TypeVar("T")
#: Items in one write (reference 3).
MAX_BATCH = 250
MAX_PAGE = 250
DEFAULT_PAGE = 50


@dataclass(slots=True)
class Ask:
    """Method, path and body with who asks; ``params`` are the variable parts of the path."""

    method: str
    path: str
    raw_query: str
    raw_body: bytes
    origin: str
    params: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    #: The user whose rights the token carries, and the integration that it was given to.
    user_id: int = 0
    client_id: str = ""
    query: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.query = decode(self.raw_query)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The query as it was sent, for self and next links."""
        return parse_qsl(self.raw_query, keep_blank_values=True)

    @property
    def with_(self) -> set[str]:
        """The parts of ``with=``; unknown ones are ignored."""
        value = self.query.get("with")
        return set(value.split(",")) if isinstance(value, str) else set()

    def id(self, place: int = 0) -> int:
        """A numeric part of the path; what is not a number names nothing (-1)."""
        text = self.params[place]
        return int(text) if text.isdigit() else -1

    def number(self, name: str, default: int) -> int:
        """A whole number of the query; 400 for anything else."""
        value = self.query.get(name)
        if value is None or value == "":
            return default
        if not isinstance(value, str) or not value.lstrip("-").isdigit():
            raise bad_request(f"Invalid value of the parameter {name}")
        return int(value)

    def paging(self, cap: int = MAX_PAGE) -> tuple[int, int]:
        """(page, limit), the limit cut to what the vendor gives at most."""
        page = max(1, self.number("page", 1))
        limit = self.number("limit", min(DEFAULT_PAGE, cap))
        if limit < 1:
            raise bad_request("Invalid value of the parameter limit")
        return page, min(limit, cap)

    def json(self) -> Any:
        """The body; 400 when it is not JSON."""
        try:
            return json.loads(self.raw_body)
        except ValueError as err:
            raise bad_request("Invalid body: it is not JSON") from err

    def object(self) -> Json:
        """The body where one object is wanted; an array there is refused (#329)."""
        body = self.json()
        if not isinstance(body, dict):
            raise bad_request("Invalid body: an object is expected")
        return body

    def items(self, most: int = MAX_BATCH) -> list[Json]:
        """The body where an array of objects is wanted, even for one item (reference 1.3)."""
        body = self.json()
        if not isinstance(body, list) or not body or not all(isinstance(item, dict) for item in body):
            raise bad_request("Invalid body: an array of objects is expected")
        if len(body) > most:
            raise bad_request(f"Too many items in one request: {len(body)}, at most {most}")
        return body


@dataclass(slots=True)
class Form:
    """One item of a write, read field by field; collects what is wrong with it.

    A field that was not sent is absent from ``draft``: unsent fields stay as they are.
    """

    item: Json
    request_id: Any
    prefix: str = ""
    draft: Json = field(default_factory=dict)
    errors: list[Json] = field(default_factory=list)

    def fail(self, code: str, path: str, detail: str) -> None:
        """Note one fault; ``path`` is the field's, relative to the item."""
        self.errors.append({"code": code, "path": self.prefix + path, "detail": detail})

    def missing(self, path: str) -> None:
        """The field must be there."""
        self.fail("FieldMissing", path, "This field is missing.")

    def no_choice(self, path: str) -> None:
        """The value is unknown here: a foreign id, a deactivated user."""
        self.fail("NotSupportedChoice", path, "The value you selected is not a valid choice.")

    def wrong_type(self, path: str, wanted: str) -> None:
        """The value has another JSON type than the field."""
        self.fail("InvalidType", path, f"This value should be of type {wanted}.")

    def take(self, *names: str, kind: Callable[[Any], bool], wanted: str, nullable: bool = False) -> None:
        """Read fields of one kind."""
        for name in names:
            if name not in self.item:
                continue
            value = self.item[name]
            if (value is None and nullable) or (value is not None and kind(value)):
                self.draft[name] = value
            else:
                self.wrong_type(name, wanted)

    def texts(self, *names: str) -> None:
        """Text fields."""
        self.take(*names, kind=lambda value: isinstance(value, str), wanted="string")

    def whole(self, *names: str, nullable: bool = False) -> None:
        """Whole numbers."""
        self.take(*names, kind=is_whole, wanted="int", nullable=nullable)

    def flags(self, *names: str) -> None:
        """Booleans."""
        self.take(*names, kind=lambda value: isinstance(value, bool), wanted="bool")

    def users(self, known: Callable[[int], bool], *names: str) -> None:
        """Users: unknown and deactivated ones are refused; 0, where it stands, is the robot."""
        for name in names:
            if name not in self.item:
                continue
            value: Any = self.item[name]
            if not is_whole(value):
                self.wrong_type(name, "int")
            elif (value == 0 and name != "responsible_user_id") or known(value):
                self.draft[name] = value
            else:
                self.no_choice(name)


def is_whole(value: Any) -> bool:
    """A JSON whole number (true and false are not)."""
    return isinstance(value, int) and not isinstance(value, bool)


def forms(items: list[Json]) -> list[Form]:
    """A form for each item, with the request_id that the answer will carry (reference 1.3)."""
    return [Form(item, item.get("request_id", str(index))) for index, item in enumerate(items)]


def save_batch(batch: list[Form], apply: Callable[[Form], T], *, partial: bool = False) -> list[tuple[Form, T]]:
    """Apply a checked batch: all of it or, for one bad item, nothing.

    With ``partial`` the good items are saved although the answer is 400 (a switch, reference 25).
    """
    bad = [form for form in batch if form.errors]
    good = [form for form in batch if not form.errors]
    if bad and not partial:
        raise Problem(refusal(bad))
    done = [(form, apply(form)) for form in good]
    if bad:
        raise Problem(refusal(bad))
    return done


def refusal(bad: Iterable[Form]) -> Reply:
    """The 400 that names each bad item by its request_id."""
    return invalid([{"request_id": form.request_id, "errors": form.errors} for form in bad])
