"""What the hub's conformance kit needs to try this plugin (X4)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from pathlib import Path

from hub.ports import RawRequest
from hub.testing.outfit import ARRIVED, SourceOutfit, payloads_of, request_of
from hub_parrot.source import ParrotSource

__all__ = ["OUTFIT"]

_KEY = "a-secret-of-the-tests"


def _signed(path: Path) -> RawRequest:
    """A payload file as Parrot sends it."""
    request = request_of(path)
    signature = hmac.new(_KEY.encode(), request.body, hashlib.sha256).hexdigest()
    return replace(request, headers=(*request.headers, ("x-signature", signature)))


def _forged(request: RawRequest) -> RawRequest:
    return replace(request, body=request.body + b" ")


OUTFIT = SourceOutfit(
    source=ParrotSource(),
    payloads=payloads_of(__file__),
    settings={"secret": _KEY},
    to_request=_signed,
    forged=_forged,
    refused={"ended__without_call.json": "call"},
    questions={
        "a known number": RawRequest(method="GET", query=b"caller=0501112233&call=p-1", received_at=ARRIVED),
        "typed otherwise": RawRequest(method="GET", query=b"caller=%2B380501112233&call=p-2", received_at=ARRIVED),
    },
)
