"""Requests as they should never come: hypothesis takes a vendor's good ones apart."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from hub.ports import RawRequest
from hub.testing.check import NotConforming

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

__all__ = ["garbage"]

#: what is put where a text, a number or an object was
_STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 10**30, 1.5, 1e308, "", " ", "\0", "null", "-", "nan", "9" * 400, "0001-01-01 00:00:00",
    "9999-99-99", "9999-12-31 23:59:59", "1²", "\ud800", "<b>", "{", "[]", "Олена", [], [[]], {}, {"id": {}}, [None],
    [{}, 1],
)  # fmt: skip


def garbage(known: Sequence[RawRequest], judge: Callable[[RawRequest], None], *, examples: int = 200) -> None:
    """Let ``judge`` see bytes, and good requests with values changed, missing, doubled and cut off.

    The same ones in every run, so that what was found is found again. Needs hypothesis (extra ``testing``).
    """
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st

    found: list[NotConforming] = []

    @st.composite
    def broken(draw: DrawFn) -> RawRequest:
        base = draw(st.sampled_from(list(known)))
        match draw(st.sampled_from(("bytes", "value", "drop", "cut", "query", "kind", "wrapped"))):
            case "bytes":
                return replace(base, body=draw(st.binary(max_size=200)), query=draw(st.binary(max_size=60)))
            case "value":
                return _edited(base, lambda tree: _put(tree, draw, st))
            case "drop":
                return _edited(base, lambda tree: _drop(tree, draw, st))
            case "cut":
                keep = draw(st.integers(0, max(0, len(base.body) - 1)))
                return replace(base, body=base.body[:keep])
            case "query":
                return replace(base, query=draw(st.binary(max_size=80)))
            case "wrapped":
                return replace(base, body=b"[" + base.body + b"," + base.body + b"]")
        kind = draw(st.sampled_from(("", "application/json", "text/html", "application/x-www-form-urlencoded", "\xff")))
        return replace(base, headers=(("content-type", kind),))

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        # what fails is shown as it was found: shrinking a stranger's parser may take minutes
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(request=broken())
    def trial(request: RawRequest) -> None:
        if found:
            return
        try:
            judge(request)
        except NotConforming as err:
            # told below: hypothesis would try it again, and a plugin with a memory answers differently then
            found.append(err)

    for base in known:
        judge(replace(base, headers=()))
        for body in (
            b"[" * 50_000,
            b'{"a":' * 2_000,
            b"\xff\xfe\x00",
            b"null",
            b"[]",
            b'""',
            b"1e400",
            b"a=1&" * 5_000,
        ):
            judge(replace(base, body=body))
    trial()
    if found:
        raise found[0]


def _edited(base: RawRequest, edit: Callable[[Any], Any]) -> RawRequest:
    """``base`` with its JSON body, form body or query taken apart, changed and put together again."""
    if base.body:
        try:
            tree = json.loads(base.body)
        except ValueError:
            return replace(base, body=_form(base.body, edit))
        return replace(base, body=_bytes(edit(tree)))
    return replace(base, query=_form(base.query, edit))


def _form(data: bytes, edit: Callable[[Any], Any]) -> bytes:
    tree = edit(dict(parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True)))
    if not isinstance(tree, dict):
        return str(tree).encode("utf-8", "replace")
    texts = {str(key): value if isinstance(value, str) else json.dumps(value) for key, value in tree.items()}
    return urlencode(texts, errors="surrogatepass").encode()


def _bytes(tree: Any) -> bytes:
    return json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _put(tree: Any, draw: DrawFn, st: Any) -> Any:
    """``tree`` with one value, at any depth, replaced by a strange one."""
    value = draw(st.one_of(st.sampled_from(_STRANGE), st.text(max_size=12), st.integers()))
    places = list(_places(tree))
    if not places:
        return value
    inner, key = draw(st.sampled_from(places))
    inner[key] = value
    return tree


def _drop(tree: Any, draw: DrawFn, st: Any) -> Any:
    places = list(_places(tree))
    if not places:
        return {}
    inner, key = draw(st.sampled_from(places))
    del inner[key]
    return tree


def _places(tree: Any) -> Any:
    """Every (container, key) of a JSON tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(items):
        yield tree, key
        yield from _places(value)
