"""The token by which amoCRM vouches for whoever looks at the widget; checked claim by claim (H8).

https://www.amocrm.ru/developers/content/oauth/disposable-tokens. The vendor calls it disposable and yet hands out the
same one for half an hour, so a repeated ``jti`` is no reason to refuse.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from hub.web.widget.refusal import Refusal
from hub.widget_seam import WidgetClient

__all__ = ["LEEWAY", "Claims", "audience_of", "peek", "read_token"]

#: how far the vendor's clock and ours may be apart
LEEWAY = timedelta(seconds=60)
#: tokens have about 600 characters
_LONGEST = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a good token says."""

    client_id: str
    account_id: str
    user_id: str
    subdomain: str
    is_admin: bool


def audience_of(public_url: str) -> str:
    """What the vendor makes of our redirect address: scheme and host, neither port nor path."""
    parts = urlsplit(public_url)
    host = parts.hostname or ""
    return f"{parts.scheme}://{host}" if host else ""


def peek(token: str) -> str:
    """Which integration ``token`` claims to be of, unverified: only to find the key. Raises Refusal.

    The algorithm is looked at before any key is: exactly HS256, so neither an unsigned token nor another method gets
    as far as a signature.
    """
    parts = token.split(".")
    if len(token) > _LONGEST or len(parts) != 3:
        raise Refusal("bad_token")
    if _decode(parts[0]).get("alg") != "HS256":
        raise Refusal("bad_token")
    return str(_decode(parts[1]).get("client_uuid") or "")


def read_token(token: str, client: WidgetClient, audience: str, now: datetime) -> Claims:
    """What ``token`` says, every claim checked in the vendor's order. Raises Refusal."""
    claims = _verified(token, client)
    if claims.get("aud") != audience:
        raise Refusal("wrong_audience")
    begins, ends = claims.get("nbf"), claims.get("exp")
    if not isinstance(begins, int | float) or not isinstance(ends, int | float):
        raise Refusal("bad_token")
    at, leeway = now.timestamp(), LEEWAY.total_seconds()
    if not begins - leeway <= at < ends + leeway:
        raise Refusal("expired")
    if claims.get("client_uuid") != client.client_id:
        raise Refusal("unknown_client")
    subdomain, account_id, user_id = (claims.get(name) for name in ("subdomain", "account_id", "user_id"))
    if not isinstance(subdomain, str) or not subdomain or not _is_id(account_id) or not _is_id(user_id):
        raise Refusal("bad_token")
    if claims.get("iss") not in {f"https://{subdomain}{domain}" for domain in client.domains}:
        raise Refusal("wrong_issuer")
    return Claims(
        client_id=client.client_id,
        account_id=str(account_id),
        user_id=str(user_id),
        subdomain=subdomain,
        is_admin=claims.get("is_admin") is True,
    )


def _verified(token: str, client: WidgetClient) -> Mapping[str, Any]:
    # only here: it brings the kinds of keys that nobody uses, and a start would wait a twentieth longer for them
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import OctKey

    key = OctKey.import_key(client.secret.get_secret_value())
    try:
        return jwt.decode(token, key, algorithms=["HS256"]).claims
    except (JoseError, ValueError):
        raise Refusal("bad_token") from None


def _decode(part: str) -> Mapping[str, Any]:
    try:
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        raise Refusal("bad_token") from None
    if not isinstance(found, dict):
        raise Refusal("bad_token")
    return found


def _is_id(value: object) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, str) and value != "")
