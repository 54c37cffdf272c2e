"""Core values as the bytes that the store keeps: JSON, and zstd of it where it is large.

``INTERACTION.dump(call)`` and ``INTERACTION.load(data)`` are exact opposites for every value of the type. Values are
written by orjson, which knows dataclasses, and read by msgspec, which checks them at half of pydantic's cost; what
it cannot read, pydantic can. A field that a later release adds with a default is read from older bytes; one that it
drops is ignored.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from types import UnionType
from typing import Any, Final, Generic, TypeVar, get_args, get_type_hints

import msgspec
import orjson
import zstandard
from pydantic import TypeAdapter
from pydantic_core import SchemaValidator

from hub import ports
from hub.core.chat import ChatFragment
from hub.core.interaction import Identity, Interaction
from hub.core.merge import CallFragment
from hub.core.plan import Action, Plan
from hub.core.records import Catalogue, Company, Contact, Deal, RecordRef, Task
from hub.core.snapshot import Snapshot

__all__ = [
    "ACTION",
    "CATALOGUE",
    "CHANGES",
    "COMPANY",
    "CONTACT",
    "DEAL",
    "FRAGMENT",
    "IDENTITY",
    "INTERACTION",
    "PLAN",
    "RECORD_REFS",
    "SNAPSHOT",
    "TASK",
    "Codec",
    "compress",
    "decompress",
    "dump_action",
    "dump_catalogue",
    "dump_changes",
    "dump_fragment",
    "dump_identity",
    "dump_interaction",
    "dump_json",
    "dump_plan",
    "dump_snapshot",
    "excerpt",
    "load_action",
    "load_catalogue",
    "load_changes",
    "load_fragment",
    "load_identity",
    "load_interaction",
    "load_json",
    "load_plan",
    "load_snapshot",
]

T = TypeVar("T")

_local = threading.local()


def _plain(value: object) -> object:
    if isinstance(value, frozenset | set):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be stored as JSON")


def dump_json(value: object) -> bytes:
    """``value`` (plain data, dataclasses, aware datetimes, sets of text) as JSON."""
    # ids are subclasses of str in places, and orjson wants to be told that such keys are meant
    return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS)


def load_json(data: bytes) -> Any:
    """The plain data in ``data``."""
    return orjson.loads(data)


def excerpt(type_: type[T]) -> Callable[[bytes], T]:
    """Reads of JSON only what ``type_``, a `msgspec.Struct`, names, and skips the rest; else raises ValueError."""
    decode = msgspec.json.Decoder(type_).decode

    def load(data: bytes) -> T:
        try:
            return decode(data)
        except msgspec.MsgspecError as err:
            raise ValueError(str(err)) from err

    return load


def compress(data: bytes) -> bytes:
    """``data`` as one zstd frame."""
    # compressors must not be shared between threads, and making one costs more than using it
    compressor: zstandard.ZstdCompressor | None = getattr(_local, "compressor", None)
    if compressor is None:
        compressor = _local.compressor = zstandard.ZstdCompressor(level=3)
    return compressor.compress(data)


def decompress(data: bytes) -> bytes:
    """What `compress` was given. Raises ValueError for bytes that it never made."""
    decompressor: zstandard.ZstdDecompressor | None = getattr(_local, "decompressor", None)
    if decompressor is None:
        decompressor = _local.decompressor = zstandard.ZstdDecompressor()
    try:
        return decompressor.decompress(data)
    except zstandard.ZstdError as err:
        raise ValueError(f"these bytes cannot be unpacked: {err}") from err


class Codec(Generic[T]):
    """The bytes of one core type; a union of dataclasses is told apart by their ``kind``."""

    def __init__(self, type_: Any, *, has_refs: bool = False) -> None:
        """``has_refs`` tells that a `hub.core.plan.Ref` lies within: two dataclasses that only pydantic tells apart."""
        self._type, self._has_refs = type_, has_refs

    @cached_property
    def _quick(self) -> Callable[[bytes], T] | None:
        if self._has_refs:
            return None
        if isinstance(self._type, UnionType):
            return _by_kind(get_args(self._type))
        return msgspec.json.Decoder(self._type).decode

    @cached_property
    def _validator(self) -> SchemaValidator:
        # built at the first use, so that starting the hub does not pay for types that it may not need
        return SchemaValidator(_tag_unions(TypeAdapter(self._type).core_schema))

    def dump(self, value: T) -> bytes:
        """``value`` as JSON."""
        return dump_json(value)

    def load(self, data: bytes) -> T:
        """The value in ``data``. Raises ValueError if it does not fit the type."""
        if self._quick is not None:
            try:
                return self._quick(data)
            except msgspec.MsgspecError:
                # pydantic forgives more, and says better what is wrong
                pass
        found: T = self._validator.validate_json(data)
        return found

    def pack(self, value: T) -> bytes:
        """``value`` as compressed JSON."""
        return compress(dump_json(value))

    def unpack(self, data: bytes) -> T:
        """The value in what `pack` made."""
        return self.load(decompress(data))


#: how `dump_json` begins a dataclass that is told apart by its ``kind``, and what ends the kind
_KIND, _QUOTE = b'{"kind":"', b'"'


def _by_kind(choices: Iterable[Any]) -> Callable[[bytes], Any]:
    """Reads one of several dataclasses; msgspec wants to be told which."""
    decoders = {
        get_args(get_type_hints(choice)["kind"])[0].encode(): msgspec.json.Decoder(choice).decode for choice in choices
    }

    def load(data: bytes) -> Any:
        decode = decoders.get(data[len(_KIND) : data.find(_QUOTE, len(_KIND))]) if data.startswith(_KIND) else None
        if decode is None:
            raise msgspec.DecodeError("the kind does not stand first, or is none of these")
        return decode(data)

    return load


def _tag_unions(schema: Any) -> Any:
    """``schema`` where each union of dataclasses is chosen by ``kind`` instead of by trying one after the other.

    The core's unions carry no pydantic mark (the core knows no pydantic), and trying eleven actions each time costs
    ten times as much.
    """
    definitions = {
        found["ref"]: found for found in _definitions(schema)
    }  # shared types stand once, elsewhere by reference

    def kind_of(choice: Any) -> str | None:
        while choice["type"] == "definition-ref":
            choice = definitions[choice["schema_ref"]]
        while choice["type"] not in {"dataclass", "dataclass-args"}:
            if "schema" not in choice:
                return None
            choice = choice["schema"]
        if choice["type"] == "dataclass":
            choice = choice["schema"]
        for item in choice.get("fields", ()):
            if item["name"] == "kind":
                literal = item["schema"]
                literal = literal.get("schema", literal)
                if literal["type"] == "literal" and len(literal["expected"]) == 1:
                    return str(literal["expected"][0])
        return None

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(item) for item in node]
        if not isinstance(node, dict):
            return node
        walked = {key: walk(value) if key != "metadata" else value for key, value in node.items()}
        if walked.get("type") == "union":
            kinds = [kind_of(choice) for choice in node["choices"] if isinstance(choice, dict)]
            if len(kinds) == len(node["choices"]) and None not in kinds and len(set(kinds)) == len(kinds):
                choices = dict(zip(kinds, walked["choices"], strict=True))
                return {"type": "tagged-union", "discriminator": "kind", "choices": choices} | (
                    {"ref": walked["ref"]} if "ref" in walked else {}
                )
        return walked

    return walk(schema)


def _definitions(node: Any) -> list[Any]:
    if isinstance(node, list):
        return [found for item in node for found in _definitions(item)]
    if not isinstance(node, dict):
        return []
    own = [node] if "ref" in node and "type" in node else []
    return own + [found for key, value in node.items() if key != "metadata" for found in _definitions(value)]


INTERACTION: Final[Codec[Interaction]] = Codec(Interaction)
FRAGMENT: Final[Codec[CallFragment | ChatFragment]] = Codec(CallFragment | ChatFragment)
IDENTITY: Final[Codec[Identity]] = Codec(Identity)
ACTION: Final[Codec[Action]] = Codec(Action, has_refs=True)
PLAN: Final[Codec[Plan]] = Codec(Plan, has_refs=True)
SNAPSHOT: Final[Codec[Snapshot]] = Codec(Snapshot)
CATALOGUE: Final[Codec[Catalogue]] = Codec(Catalogue)
CHANGES: Final[Codec[ports.Changes]] = Codec(ports.Changes)
RECORD_REFS: Final[Codec[tuple[RecordRef, ...]]] = Codec(tuple[RecordRef, ...])
CONTACT: Final[Codec[Contact]] = Codec(Contact)
COMPANY: Final[Codec[Company]] = Codec(Company)
DEAL: Final[Codec[Deal]] = Codec(Deal)
TASK: Final[Codec[Task]] = Codec(Task)

dump_interaction, load_interaction = INTERACTION.dump, INTERACTION.load
dump_fragment, load_fragment = FRAGMENT.dump, FRAGMENT.load
dump_identity, load_identity = IDENTITY.dump, IDENTITY.load
dump_action, load_action = ACTION.dump, ACTION.load
dump_catalogue, load_catalogue = CATALOGUE.dump, CATALOGUE.load
dump_changes, load_changes = CHANGES.dump, CHANGES.load
# large, and kept for each decision: compressed
dump_plan, load_plan = PLAN.pack, PLAN.unpack
dump_snapshot, load_snapshot = SNAPSHOT.pack, SNAPSHOT.unpack
