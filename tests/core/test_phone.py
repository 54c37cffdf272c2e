"""Every spelling of a number is one Phone (C4, W7), and the fast path says what the library says."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hub.core import phone as numbers
from hub.core.phone import mask_phone, parse_phone

#: a busy machine is no fault of what is tested
steady = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
HOME_REGIONS = ("UA", "RU", "KZ", "PL", "MD", "GE", "US", "GB", "DE", "AR", "MX", "BR", "IT", "HU")


@pytest.mark.parametrize(
    ("text", "region", "phone"),
    [
        ("0981234567", "UA", "+380981234567"),
        ("380981234567", "UA", "+380981234567"),
        ("+380 98 123-45-67", "UA", "+380981234567"),
        ("+380981234567", "RU", "+380981234567"),
        ("00380981234567", "UA", "+380981234567"),
        ("00380981234567", "RU", "+380981234567"),
        ("(098) 123 45 67", "UA", "+380981234567"),
        ("8 098 123 45 67", "UA", "+380981234567"),
        ("80981234567", "UA", "+380981234567"),
        (" 380981234567 ", "UA", "+380981234567"),
        ("380981234567", "PL", "+380981234567"),
        ("٠٩٨١٢٣٤٥٦٧", "UA", "+380981234567"),
        ("+380441234567;ext=12", "UA", "+380441234567"),
        ("84951234567", "RU", "+74951234567"),
        ("74951234567", "UA", "+74951234567"),
        ("48501234567", "UA", "+48501234567"),
        ("+77011234567", "KZ", "+77011234567"),
    ],
)
def test_each_spelling_of_a_number_is_the_same_phone(text: str, region: str, phone: str) -> None:
    """C4: the vendors' known weakness."""
    assert parse_phone(text, region) == phone


@pytest.mark.parametrize(
    "text",
    ["", "anonymous", "101", "examplecom_olena", "+", "380", "000000000000", "1" * 40, "²³4567890", "\0", "+38098"],
)
def test_what_is_no_number_is_none(text: str) -> None:
    assert parse_phone(text, "UA") is None


def test_an_endless_text_is_no_number_and_is_not_remembered() -> None:
    """H8: a megabyte in the place of a number, again and again, would fill the memory of every project's hub."""
    before = numbers._parse.cache_info().currsize
    assert parse_phone("+" + " " * 300 + "380501112233", "UA") is None
    assert parse_phone("+" + " " * 200 + "380501112233", "UA") == "+380501112233"
    assert numbers._parse.cache_info().currsize <= before + 1


def test_unknown_region_still_reads_international_numbers() -> None:
    assert parse_phone("+380981234567", "XX") == "+380981234567"
    assert parse_phone("0981234567", "XX") is None


def test_eight_means_seven_only_where_the_project_says_so() -> None:
    """W7: 11 digits that begin with 8."""
    assert parse_phone("89161234567", "KZ", eight_is_seven=True) == "+79161234567"
    assert parse_phone("8 (916) 123-45-67", "UA", eight_is_seven=True) == "+79161234567"
    assert parse_phone("+85221234567", "RU", eight_is_seven=True) == "+85221234567"
    assert parse_phone("85221234567", "UA") == "+85221234567"


def test_masked_phone_keeps_the_country_and_the_last_digits() -> None:
    assert mask_phone("+380981234567") == "+380***67"
    assert mask_phone("101") == "101"


@steady
@given(st.text(max_size=40), st.sampled_from([*HOME_REGIONS, "XX"]), st.booleans())
def test_any_text_is_read_without_an_error(text: str, region: str, eight_is_seven: bool) -> None:
    found = parse_phone(text, region, eight_is_seven=eight_is_seven)
    assert found is None or found.startswith("+")


def by_the_library(text: str, region: str) -> str | None:
    """What `phonenumbers` says of ``text`` as it stands, else of its digits after a plus."""
    for candidate in (text, f"+{text}"):
        try:
            parsed = phonenumbers.parse(candidate, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_possible_number(parsed) and phonenumbers.is_valid_number(parsed):
            return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return None


@st.composite
def international_digits(draw: st.DrawFn) -> str:
    """Numbers like those of a real region: its example with some digits changed, added or cut."""
    region = draw(st.sampled_from(REGIONS) | st.sampled_from(HOME_REGIONS))
    kind = draw(st.sampled_from([phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE]))
    model = phonenumbers.example_number_for_type(region, kind) or phonenumbers.example_number(region)
    assert model is not None
    digits = list(phonenumbers.format_number(model, phonenumbers.PhoneNumberFormat.E164)[1:])
    for _ in range(draw(st.integers(0, 6))):
        digits[draw(st.integers(0, len(digits) - 1))] = draw(st.sampled_from("0123456789"))
    cut = draw(st.integers(-2, 2))
    return "".join(digits[:cut] if cut < 0 else [*digits, *draw(st.lists(st.sampled_from("0123456789"), max_size=cut))])


@steady
@given(international_digits() | st.text("0123456789", min_size=5, max_size=17), st.sampled_from(HOME_REGIONS))
@example("380501112233", "UA")
@example("3800501112233", "UA")
@example("79161234567", "KZ")
@example("77011234567", "RU")
@example("5491112345678", "AR")
@example("390612345678", "IT")
def test_fast_path_says_what_the_library_says(digits: str, region: str) -> None:
    """The differential proof that DESIGN 5 asks for."""
    assert parse_phone(f"+{digits}", region) == by_the_library(f"+{digits}", region)
    if not digits.startswith("00"):
        assert parse_phone(digits, region) == by_the_library(digits, region)


def test_international_digits_of_the_home_region_do_not_wake_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The forwarding answer reads a caller in microseconds."""

    def refuse(*_: object) -> None:
        raise AssertionError("the library was asked")

    monkeypatch.setattr(phonenumbers, "parse", refuse)
    for last in range(100):
        assert parse_phone(f"3805077788{last:02}", "UA") == f"+3805077788{last:02}"
        assert parse_phone(f"+7916777880{last:02}"[:12], "UA") is not None


@pytest.mark.parametrize(
    ("written", "region"),
    [("38050777{:04}", "UA"), ("7916777{:04}", "RU"), ("7701234{:04}", "KZ"), ("1201555{:04}", "US")],
)
def test_numbers_of_the_home_region_are_read_by_its_own_pattern(written: str, region: str) -> None:
    """An import reads hundreds of thousands; the regions of +7 are told apart by their leading digits (DESIGN 11)."""
    before = numbers._parse.cache_info()
    for last in range(100):
        assert parse_phone(written.format(last), region) == f"+{written.format(last)}"
        assert parse_phone(f"+{written.format(last)}", region) == f"+{written.format(last)}"
    assert numbers._parse.cache_info() == before
