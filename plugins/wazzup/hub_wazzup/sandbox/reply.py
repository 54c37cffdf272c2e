"""The error bodies of the vendor (reference 2.1)."""

from __future__ import annotations

import secrets
from typing import Any

from starlette.responses import JSONResponse, Response

__all__ = ["Refusal", "camel"]


class Refusal(Exception):
    """An error answer of the API."""

    def __init__(self, status: int, code: str = "", description: str = "", data: Any = None) -> None:
        self.status, self.code, self.description, self.data = status, code, description, data
        super().__init__(code)

    def response(self, *, is_camel: bool, is_message_route: bool) -> Response:
        """Empty where the vendor says nothing; codes come in either case style."""
        if not self.code:
            return Response(status_code=self.status)
        body: dict[str, Any] = {"error": camel(self.code) if is_camel else self.code}
        if self.description:
            body["description"] = self.description
        if self.data is not None:
            body["data"] = self.data
        if is_message_route:
            body |= {"status": self.status, "requestId": secrets.token_hex(8)}
        return JSONResponse(body, status_code=self.status)


def camel(code: str) -> str:
    """``INVALID_MESSAGE_DATA`` as ``invalidMessageData``."""
    head, *rest = code.lower().split("_")
    return head + "".join(part.capitalize() for part in rest)
