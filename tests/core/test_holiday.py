"""Public holidays are the library's own, without its two hundred countries (A4, X11)."""

from __future__ import annotations

import subprocess
import sys

import holidays

from hub.core.holiday import countries, public_holidays

_ASKS_ONE = """
import sys
from hub.core.holiday import public_holidays
assert public_holidays("PL", 2026)
whole = sys.modules.get("holidays.countries")
others = {name for name in sys.modules if name.startswith("holidays.countries.")} - {"holidays.countries.poland"}
assert whole is None, "everybody else would see a package without countries"
assert not others, others
import holidays
assert holidays.country_holidays("DE", years=2026)
assert public_holidays("FR", 2026) == frozenset(holidays.country_holidays("FR", years=2026))
"""


def test_every_country_whose_holidays_are_known_may_be_named() -> None:
    """X11: also those that the hub lists itself, without loading them."""
    assert countries() == frozenset(holidays.list_supported_countries())


def test_each_country_has_the_holidays_that_the_library_tells() -> None:
    """X11: a class that rests on another country's is found as well."""
    differing = {
        code
        for code in countries()
        if public_holidays(code, 2026) != frozenset(holidays.country_holidays(code, years=2026))
    }
    assert not differing


def test_whoever_asks_for_one_country_does_not_load_the_others() -> None:
    """DESIGN 11: they are a fifth of a second of a start and 8 MB for as long as it runs."""
    subprocess.run([sys.executable, "-c", _ASKS_ONE], check=True, timeout=60)
