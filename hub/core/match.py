"""Who of the telephony is who in the CRM: by e-mail, then by number, then by name (H12).

Pure. Nobody is guessed: where two could be meant, a person chooses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from hub.core.phone import parse_phone
from hub.core.records import CrmUser

__all__ = ["Listed", "Matching", "Pair", "match", "new_id"]

By = Literal["email", "number", "name", "chosen"]

_LETTERS = re.compile(r"[^\W\d_]+")
#: letters that people write one way in the telephony and another way in the CRM
_ALIKE = str.maketrans({"ё": "е", "ґ": "г", "’": "", "'": "", "ʼ": "", "`": ""})
_LATIN = {
    "а": "a", "б": "b", "в": "v", "г": "h", "ґ": "g", "д": "d", "е": "e", "є": "ie", "ё": "e", "ж": "zh", "з": "z",
    "и": "y", "і": "i", "ї": "i", "й": "i", "к": "k", "л": "l", "м": "m", "н": "n", "о": "o", "п": "p", "р": "r",
    "с": "s", "т": "t", "у": "u", "ф": "f", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ъ": "",
    "ы": "y", "ь": "", "э": "e", "ю": "iu", "я": "ia",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """An employee as the telephony lists them."""

    staff_id: str
    name: str = ""
    email: str = ""
    extension: str = ""
    #: where calls for them may be sent: SIP logins or numbers, the preferred first
    destinations: tuple[str, ...] = ()
    #: further numbers by which they are recognised
    numbers: tuple[str, ...] = ()
    departments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One employee and the CRM user that they are."""

    listed: Listed
    user: CrmUser
    by: By


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """Who was found, and who was not, on either side."""

    pairs: tuple[Pair, ...] = ()
    unmatched: tuple[Listed, ...] = ()
    #: active users of the CRM whom nobody of the telephony is
    left: tuple[CrmUser, ...] = ()


def match(listed: Sequence[Listed], users: Sequence[CrmUser], region: str, *, eight_is_seven: bool = False) -> Matching:
    """Pair ``listed`` with the active ``users``, the surest sign first; each is used once."""

    def phones(texts: Iterable[str]) -> frozenset[str]:
        found = (parse_phone(text, region, eight_is_seven=eight_is_seven) for text in texts)
        return frozenset(phone for phone in found if phone)

    signs: tuple[tuple[By, Callable[[Listed], frozenset[str]], Callable[[CrmUser], frozenset[str]]], ...] = (
        ("email", lambda one: _mail(one.email), lambda user: _mail(user.email)),
        ("number", lambda one: phones((*one.destinations, *one.numbers)), lambda user: phones((user.phone,))),
        ("name", lambda one: _name(one.name), lambda user: _name(user.name)),
    )
    open_listed, open_users = list(listed), [user for user in users if user.is_active]
    pairs: dict[str, Pair] = {}
    for by, of_listed, of_user in signs:
        their = [(user, of_user(user)) for user in open_users]
        ours = [(one, of_listed(one)) for one in open_listed]
        for one, sign in ours:
            fits = [user for user, other in their if sign & other]
            if len(fits) == 1 and sum(1 for _, other in ours if other & of_user(fits[0])) == 1:
                pairs[one.staff_id] = Pair(listed=one, user=fits[0], by=by)
        open_listed = [one for one in open_listed if one.staff_id not in pairs]
        taken = {pair.user.id for pair in pairs.values()}
        open_users = [user for user in open_users if user.id not in taken]
    return Matching(
        pairs=tuple(pairs[one.staff_id] for one in listed if one.staff_id in pairs),
        unmatched=tuple(open_listed),
        left=tuple(open_users),
    )


def _mail(text: str) -> frozenset[str]:
    return frozenset({text.strip().casefold()}) if "@" in text else frozenset()


def _name(text: str) -> frozenset[str]:
    """The name as a sign: its words in any order; a single word says too little."""
    words = sorted({word for word in _LETTERS.findall(text.casefold().translate(_ALIKE)) if len(word) > 1})
    if len(words) < 2:
        return frozenset()
    # "Olena Koval" is "Koval Olena Petrivna" too, so any two of the words will do
    return frozenset(f"{one} {other}" for at, one in enumerate(words) for other in words[at + 1 :])


def new_id(mailbox: str, name: str, taken: Iterable[str]) -> str:
    """A short lasting id for an employee, such as ``olena`` or ``olena-koval``: Latin, and not yet ``taken``.

    ``mailbox`` is what stands before the @ of their e-mail: the company's own Latin name for them, if it has one.
    """
    used = set(taken)
    words = ["".join(_LATIN.get(char, char) for char in word) for word in _LETTERS.findall(name.casefold())]
    latin = [word for word in words if word.isascii() and word]
    plain = re.sub(r"[^a-z0-9_-]+", "-", mailbox.casefold()).strip("-_")
    for candidate in (plain, *latin[:1], "-".join(latin[:2]), "-".join(latin)):
        if candidate and candidate[:60] not in used:
            return candidate[:60]
    stem, number = plain or "-".join(latin) or "employee", 2
    if stem == "employee" and stem not in used:
        return stem
    while f"{stem[:56]}-{number}" in used:
        number += 1
    return f"{stem[:56]}-{number}"
