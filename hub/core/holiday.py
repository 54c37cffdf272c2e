"""Public holidays of the country that is asked for; the library's own way imports those of two hundred (A4, X11)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from datetime import date
from functools import lru_cache
from importlib.util import find_spec, module_from_spec
from threading import Lock

__all__ = ["countries", "public_holidays"]

_PACKAGE = "holidays.countries"
#: while one country is imported, others see a package that is not the real one
_importing = Lock()


@lru_cache(1)
def countries() -> frozenset[str]:
    """The codes of all countries that are known, as ``holidays.list_supported_countries`` tells them."""
    return frozenset(_modules())


@lru_cache(512)
def public_holidays(country: str, year: int) -> frozenset[date]:
    """The days of ``year`` on which nobody works in ``country``, one of `countries`."""
    return frozenset(_calendar(country)(years=year))


@lru_cache(1)
def _modules() -> dict[str, str]:
    """By code, the module that has the country's class of that name."""
    from holidays.registry import COUNTRIES

    return {code: name for name, codes in COUNTRIES.items() for code in codes[1:] if code.isupper()}


def _calendar(country: str) -> Callable[..., Iterable[date]]:
    name = f"{_PACKAGE}.{_modules()[country]}"
    with _importing:
        # the package's own code imports every country: 8 MB, and a fifth of a second of a start on a busy machine
        is_whole = _PACKAGE in sys.modules
        if not is_whole and (spec := find_spec(_PACKAGE)) is not None:
            sys.modules[_PACKAGE] = module_from_spec(spec)
        try:
            module = importlib.import_module(name)
        finally:
            if not is_whole:
                # whoever wants the package itself gets the whole one
                sys.modules.pop(_PACKAGE, None)
    found: Callable[..., Iterable[date]] = getattr(module, country)
    return found
