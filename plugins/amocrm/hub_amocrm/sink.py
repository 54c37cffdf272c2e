"""amoCRM as a `hub.ports.Sink`, connected by OAuth in the browser or by a long-lived token."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

import httpx
from pydantic import BaseModel

from hub.address import is_loopback
from hub.core.records import RecordKind
from hub.errors import AccessError, ConfigurationError, NeedsCredentials
from hub.ports import Changes, ConnectionContext, OAuthGrant, Pace, RawRequest, SinkCapabilities
from hub.widget_seam import WidgetClient
from hub_amocrm.auth import TOKEN_PATH, Credentials, read_claims, read_pair, to_unavailable
from hub_amocrm.config import AmoCrmSettings
from hub_amocrm.problem import Sent, raise_for
from hub_amocrm.profile import Profile
from hub_amocrm.webhook import check_account, decode, read_changes

if TYPE_CHECKING:
    from hub_amocrm.session import AmoCrmSession

__all__ = ["AmoCrmSink"]

_ACTIONS = frozenset(
    {
        "create_contact",
        "update_contact",
        "create_deal",
        "update_deal",
        "create_task",
        "update_task",
        "complete_task",
        "record_call",
        "add_note",
        "notify",
    }
)
#: the vendor's keys have 64 characters; a key that can be guessed signs nothing
_SHORTEST_SECRET = 16

_PACE_SOURCE = (
    "7 requests a second for one integration: https://www.amocrm.ru/developers/content/api/recommendations, "
    "https://developers.kommo.com/docs/limitations; one is left for the account's other uses"
)


class AmoCrmSink:
    """The plugin's sink; keeps nothing but which account each connection turned out to be."""

    name = "amocrm"
    settings_model: type[BaseModel] = AmoCrmSettings

    def __init__(self) -> None:
        #: account id and sub-domain by project and connection, for webhooks of a long-lived token
        self._accounts: dict[tuple[str, str], tuple[str, str]] = {}

    def capabilities(self, settings: BaseModel) -> SinkCapabilities:
        """What amoCRM can do; it can neither merge nor delete."""
        own = _own(settings)
        sizes = dict.fromkeys(_ACTIONS, own.batch_size) | {"notify": own.popup_batch_size}
        return SinkCapabilities(
            actions=_ACTIONS,
            batch_sizes=sizes,
            pace=Pace(
                requests=own.requests_per_second,
                per=timedelta(seconds=1),
                scope="integration",
                shared_by=_sharing_limit(own),
                source=_PACE_SOURCE,
            ),
            has_combined_create=True,
            has_companies=True,
            has_unsorted=True,
            can_merge=False,
            can_take_back=True,
            barrier_kinds=frozenset({RecordKind.CONTACT, RecordKind.COMPANY, RecordKind.DEAL, RecordKind.TASK}),
        )

    def open(self, context: ConnectionContext) -> AmoCrmSession:
        """A session; the account is asked only when the session is used."""
        # a hub opens the CRMs that its companies have: the others' reading and writing is never loaded (DESIGN 11)
        from hub_amocrm.session import AmoCrmSession

        def remember(profile: Profile) -> None:
            self._accounts[context.project, context.name] = (profile.account_id, profile.subdomain)

        return AmoCrmSession(context, _own(context.settings), remember)

    def parse_webhook(self, request: RawRequest, context: ConnectionContext) -> Changes:
        """Records to read again, and records that are gone; contents are not trusted (20.2)."""
        tree = decode(request.body)
        check_account(tree, *self._account(context.project, context.name, _own(context.settings)))
        return read_changes(tree)

    def _account(self, project: str, connection: str, settings: AmoCrmSettings) -> tuple[str, str]:
        """Id and sub-domain of the account, each "" while it is not known."""
        known_id, known_name = self._accounts.get((project, connection), ("", ""))
        host = urlsplit(settings.address).hostname or ""
        name = known_name or ("" if is_loopback(host) else host.split(".", 1)[0])
        return settings.account_id or known_id, name

    def widget_client(self, project: str, connection: str, settings: BaseModel) -> WidgetClient | None:
        """Tokens of the widget are signed with the integration's secret key.

        https://www.amocrm.ru/developers/content/oauth/disposable-tokens
        """
        own = _own(settings)
        if not own.client_id or len(own.client_secret.get_secret_value()) < _SHORTEST_SECRET:
            return None
        account_id, subdomain = self._account(project, connection, own)
        return WidgetClient(
            client_id=own.client_id,
            secret=own.client_secret,
            account_id=account_id,
            subdomain=subdomain,
            domains=own.allowed_hosts,
            is_sandbox=own.is_loopback_allowed and is_loopback(own.address),
        )

    # --- OAuth (4.1, 4.2) ---------------------------------------------------------------------------------------

    def consent_url(self, settings: BaseModel, redirect_uri: str, state: str) -> str:
        """GET https://www.amocrm.ru/oauth?client_id=…&state=…; amoCRM knows the redirect address from the card.

        https://www.amocrm.ru/developers/content/oauth/step-by-step
        """
        own = _own(settings)
        if not own.client_id:
            raise ConfigurationError("the integration's ID is missing", path="client_id")
        query = {"client_id": own.client_id, "state": state}
        if own.consent_mode:
            query["mode"] = own.consent_mode
        return f"{own.consent_address}?{urlencode(query)}"

    async def exchange(self, context: ConnectionContext, grant: OAuthGrant) -> AmoCrmSettings:
        """POST /oauth2/access_token on the host in ``referer``, once that host proved to be the vendor's.

        The code lives 20 minutes and works once; the pair is stored before anything else is done with it.
        """
        own = _own(context.settings)
        host = grant.parameters.get("referer", "").strip().lower()
        if not host or not own.allows_host(host):
            raise AccessError("the redirect names a host that is not amoCRM's", endpoint="oauth callback")
        told = grant.parameters.get("client_id", "")
        if told and told != own.client_id:
            raise AccessError("the redirect belongs to another integration", endpoint="oauth callback")
        if not grant.code:
            raise NeedsCredentials(f"access was not granted: {grant.parameters.get('error', 'no code')}")
        address = own.address_of(host)
        body = {
            "client_id": own.client_id,
            "client_secret": own.client_secret.get_secret_value(),
            "grant_type": "authorization_code",
            "code": grant.code,
            "redirect_uri": grant.redirect_uri,
        }
        sent = Sent(operation=f"POST {TOKEN_PATH}")
        try:
            request = context.http.build_request("POST", f"{address}{TOKEN_PATH}", json=body)
            response = await context.http.send(request, auth=None, follow_redirects=False)
        except httpx.TransportError as err:
            raise to_unavailable(err, sent) from err
        if response.status_code in (400, 401, 404, 422):
            raise NeedsCredentials(
                f"amoCRM refused the code ({response.status_code}): check the ID, the secret key and the redirect "
                "address in the integration's card, then connect again",
                operation=sent.operation,
            )
        if not response.is_success:
            raise_for(response.status_code, response.headers, response.content, sent)
        pair = read_pair(response)
        await Credentials(context, own).store(pair, address=address, redirect_uri=grant.redirect_uri)
        account_id = str(read_claims(pair.access_token).get("account_id") or "")
        return own.model_copy(update={"address": address, "account_id": account_id or own.account_id})

    def is_disconnected(self, settings: BaseModel, parameters: Mapping[str, str]) -> bool:
        """Whether amoCRM itself says that the integration was switched off (4.4).

        ``signature`` is HMAC-SHA256, hex, of ``client_id|account_id`` by the secret key: names from the vendor's
        documents, the formula from one independent implementation (?).
        """
        own = _own(settings)
        secret = own.client_secret.get_secret_value()
        account_id = parameters.get("account_id", "")
        if not secret or parameters.get("client_uuid") != own.client_id:
            return False
        if own.account_id and account_id != own.account_id:
            return False
        expected = hmac.new(secret.encode(), f"{own.client_id}|{account_id}".encode(), hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected.encode(), parameters.get("signature", "").lower().encode())


def _own(settings: BaseModel) -> AmoCrmSettings:
    """The connection's settings as this plugin's; the hub hands them over as a plain model."""
    if not isinstance(settings, AmoCrmSettings):
        raise TypeError(f"amoCRM needs AmoCrmSettings, not {type(settings).__name__}")
    return settings


def _sharing_limit(own: AmoCrmSettings) -> str:
    """Which connections share amoCRM's limit with this one; empty for all of the hub.

    7 requests a second for one integration, or for one IP address as Kommo words it (both as in `_PACE_SOURCE`): a
    doubt that `AmoCrmSettings.is_limit_per_address` decides. A long-lived token is a private integration's, which
    this account alone has.
    """
    if own.is_limit_per_address:
        return ""
    return own.address if own.long_lived_token.get_secret_value() else own.client_id
