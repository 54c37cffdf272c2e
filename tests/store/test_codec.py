"""What is stored comes back as it was."""

from __future__ import annotations

import dataclasses
import typing
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub import ports
from hub.core.interaction import Call, Chat, Form, Interaction, Message
from hub.core.merge import CallFragment
from hub.core.plan import Action, Fact, Nothing, Plan, Reason, StepKey
from hub.core.records import Catalogue, EmployeeId
from hub.core.snapshot import Snapshot
from hub.store import codec
from hub.testing.builders import answered

#: the time zones of what comes in: the instant is kept, its zone may be written differently
zones = st.sampled_from([UTC, timezone(timedelta(hours=3)), timezone(timedelta(hours=-5, minutes=-30))])
st.register_type_strategy(
    datetime,
    st.builds(
        lambda seconds, zone: (datetime(1990, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).astimezone(zone),
        st.floats(0, 3e9),
        zones,
    ),
)
# JSON has no half of a surrogate pair and no infinity; vendors' texts are cleaned of them when they are parsed
st.register_type_strategy(str, st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(int, st.integers(-(2**53), 2**53))
quick = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def any_of(type_: object) -> st.SearchStrategy[typing.Any]:
    """Values of a dataclass with every field filled, also those that have a default."""
    if dataclasses.is_dataclass(type_) and isinstance(type_, type):
        hints = typing.get_type_hints(type_)
        return st.builds(type_, **{item.name: any_of(hints[item.name]) for item in dataclasses.fields(type_)})
    origin, args = typing.get_origin(type_), typing.get_args(type_)
    if origin is tuple and args[-1] is Ellipsis:
        return st.lists(any_of(args[0]), max_size=2).map(tuple)
    if origin is not None and type(None) not in args and origin.__module__ == "collections.abc":
        return st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=4), any_of(args[1]), max_size=2
        )
    if origin is not None and (origin is typing.Union or type(type_).__name__ == "UnionType"):
        return st.one_of(*(any_of(choice) for choice in args))
    return st.from_type(type_)  # type: ignore[arg-type]  # a hint, as typing gave it


def assert_round_trip(found: codec.Codec[typing.Any], value: object) -> None:
    assert found.load(found.dump(value)) == value
    again = found.unpack(found.pack(value))
    assert again == value
    assert type(again) is type(value)


@quick
@given(any_of(Call) | any_of(Chat) | any_of(Form) | any_of(Message))
def test_every_interaction_comes_back(value: Interaction) -> None:
    assert_round_trip(codec.INTERACTION, value)


@quick
@given(any_of(CallFragment))
def test_every_fragment_comes_back(value: CallFragment) -> None:
    assert_round_trip(codec.FRAGMENT, value)


@quick
@given(any_of(Action))
def test_every_action_comes_back(value: Action) -> None:
    assert_round_trip(codec.ACTION, value)


@quick
@given(any_of(Plan))
def test_every_plan_comes_back(value: Plan) -> None:
    assert_round_trip(codec.PLAN, value)


@quick
@given(any_of(Snapshot))
def test_every_snapshot_comes_back(value: Snapshot) -> None:
    assert_round_trip(codec.SNAPSHOT, value)


@quick
@given(any_of(Catalogue))
def test_every_catalogue_comes_back(value: Catalogue) -> None:
    assert_round_trip(codec.CATALOGUE, value)


@quick
@given(any_of(ports.Changes))
def test_every_change_comes_back(value: ports.Changes) -> None:
    assert_round_trip(codec.CHANGES, value)


def test_a_read_only_mapping_is_stored_like_any() -> None:
    reason = Reason(code="matrix.none", values=MappingProxyType({"row": "Z15"}))
    value = Nothing(key=StepKey("k"), reason=reason)
    assert codec.ACTION.load(codec.ACTION.dump(value)) == value


def test_a_set_of_employees_is_stored_in_order() -> None:
    taken = datetime(2026, 3, 2, tzinfo=UTC)
    one = Snapshot(connection="amo", taken_at=taken, inactive=frozenset(EmployeeId(f"e{n}") for n in range(9)))
    two = Snapshot(connection="amo", taken_at=taken, inactive=frozenset(EmployeeId(f"e{8 - n}") for n in range(9)))
    assert codec.SNAPSHOT.dump(one) == codec.SNAPSHOT.dump(two)


def test_fields_of_a_later_release_are_filled_by_their_defaults() -> None:
    assert codec.PLAN.load(b'{"actions": [], "of_a_later_release": 1}') == Plan(actions=())


@pytest.mark.parametrize("data", [b"", b"{}", b'{"kind": "unknown"}', b"[1]", b'{"kind": "nothing", "key": 1}'])
def test_bytes_that_do_not_fit_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        codec.ACTION.load(data)


def test_a_value_that_json_does_not_know_is_refused() -> None:
    with pytest.raises(TypeError):
        codec.dump_json(Fact(name="x", value=object()))  # type: ignore[arg-type]  # on purpose


def test_an_interaction_in_another_order_or_with_a_whole_number_as_a_fraction_is_read_all_the_same() -> None:
    """What other releases or people wrote: the quick reader refuses it, the forgiving one does not."""
    call = answered()
    told = codec.load_json(codec.INTERACTION.dump(call))
    kind = told.pop("kind")
    assert codec.INTERACTION.load(codec.dump_json(told | {"kind": kind})) == call
    assert codec.INTERACTION.load(codec.dump_json({"kind": kind} | told | {"talk_seconds": 60.0})) == call


@pytest.mark.parametrize("wrong", [{"talk_seconds": "long"}, {"direction": "sideways"}, {"kind": "letter"}])
def test_an_interaction_that_fits_no_kind_is_refused(wrong: dict[str, str]) -> None:
    told = codec.load_json(codec.INTERACTION.dump(answered()))
    with pytest.raises(ValueError, match=next(iter(wrong))):
        codec.INTERACTION.load(codec.dump_json(told | wrong))
