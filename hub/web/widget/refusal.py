"""How the widget is refused: one shape, one sentence in the reader's language that says what to do (H11)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

from starlette.responses import JSONResponse

from hub.errors import AccessError, ConfigurationError, HubError, PayloadError, Rejected, Stale, VendorError
from hub.language import Translator

__all__ = ["Code", "Refusal", "refusal_of", "show_refusal"]

Code: TypeAlias = Literal[
    "no_token",
    "bad_token",
    "unknown_client",
    "wrong_audience",
    "expired",
    "wrong_issuer",
    "bad_ticket",
    "other_account",
    "other_origin",
    "not_connected",
    "unknown_user",
    "may_not",
    "colleagues_client",
    "not_found",
    "no_method",
    "no_policy",
    "held_back",
    "no_history",
    "no_call_back_kind",
    "no_messenger",
    "unknown_number",
    "no_telephony",
    "no_destination",
    "not_yours",
    "in_file",
    "not_now",
    "bad_field",
    "too_large",
    "too_many",
    "not_set_up",
    "vendor",
    "broken",
]

#: 401 asks for another token, 403 says that no token would help
_STATUS: Mapping[str, int] = {
    "other_account": 403,
    "other_origin": 403,
    "not_connected": 403,
    "unknown_user": 403,
    "may_not": 403,
    "colleagues_client": 403,
    "not_found": 404,
    "no_method": 405,
    "no_policy": 409,
    "held_back": 409,
    "no_history": 409,
    "no_call_back_kind": 409,
    "no_messenger": 409,
    "unknown_number": 404,
    "no_telephony": 409,
    "no_destination": 409,
    "not_yours": 403,
    "in_file": 409,
    "not_now": 409,
    "bad_field": 422,
    "too_large": 413,
    "too_many": 429,
    "not_set_up": 503,
    "vendor": 503,
    "broken": 500,
}


class Refusal(HubError):
    """The widget is refused; `code` has a sentence in every language, `detail` is added to it as it is."""

    def __init__(self, code: Code, *, field: str = "", detail: str = "") -> None:
        assert code in get_args(Code)
        self.code, self.field, self.detail = code, field, detail
        super().__init__(": ".join(part for part in (code, field, detail) if part))

    @property
    def status(self) -> int:
        """The HTTP status that goes with it."""
        return _STATUS.get(self.code, 401)


def refusal_of(err: HubError) -> Refusal:
    """What the widget is told when ``err`` ended its request."""
    match err:
        case Refusal():
            return err
        case AccessError():
            return Refusal("may_not", detail=str(err))
        case PayloadError():
            return Refusal("bad_field", field=err.field, detail=str(err))
        case ConfigurationError():
            return Refusal("not_now", detail=err.problem)
        case Stale() | Rejected():
            return Refusal("not_now", detail=str(err))
        case VendorError():
            # what went wrong on the wire is for the log
            return Refusal("vendor")
    return Refusal("broken")


def show_refusal(refusal: Refusal, t: Translator) -> JSONResponse:
    """``{"error": {code, message, field?}}``; where it is about a field, its name stands beside the sentence."""
    said = t(f"widget_refusal.{refusal.code}", field=refusal.field)
    message = f"{said} ({refusal.detail})" if refusal.detail else said
    error = {"code": refusal.code, "message": message}
    if refusal.field:
        error["field"] = refusal.field
    headers = {"Retry-After": "60"} if refusal.status == 429 else {}
    return JSONResponse({"error": error}, status_code=refusal.status, headers=headers)
