"""Zoho CRM as a `hub.ports.Sink`, connected by OAuth in the browser or by a self-client's refresh token."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from pydantic import BaseModel

from hub.core.records import RecordKind, RecordRef
from hub.errors import AccessError, ConfigurationError, NeedsCredentials
from hub.ports import Changes, ConnectionContext, OAuthGrant, Pace, RawRequest, SinkCapabilities
from hub.widget_seam import PanelPlace
from hub_zoho.auth import Credentials, ask_token
from hub_zoho.config import ZohoSettings
from hub_zoho.mapping import refs_of
from hub_zoho.webhook import channel_token, read_notification

if TYPE_CHECKING:
    from hub_zoho.session import ZohoSession

__all__ = ["ZohoSink"]

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
    }
)
_PACE_SOURCE = (
    "calls in flight for one organisation and client, by edition (Free 5 ... Ultimate 25), 10 for searches, COQL, "
    "conversions and large writes: https://www.zoho.com/crm/developer/docs/api/v8/api-limits.html; no limit a second"
)
#: only to keep a burst even; Zoho has no limit a second
_PER_SECOND = 50


#: module, and what one record of it is called in merge fields
_PANEL_MODULES = {"Contacts": "Contact", "Leads": "Lead", "Deals": "Deal", "Accounts": "Account"}


class ZohoSink:
    """The plugin's sink; keeps nothing."""

    name = "zoho"
    settings_model: type[BaseModel] = ZohoSettings

    def capabilities(self, settings: BaseModel) -> SinkCapabilities:
        """What Zoho CRM can do; its API neither merges nor shows popups without a registered telephony."""
        own = _own(settings)
        return SinkCapabilities(
            actions=_ACTIONS,
            batch_sizes=dict.fromkeys(_ACTIONS, own.batch_size),
            pace=Pace(requests=_PER_SECOND, in_flight=own.in_flight, scope="account", source=_PACE_SOURCE),
            # a lead is both in one record; a contact and a deal take two requests
            has_combined_create=own.new_enquiries == "leads",
            has_companies=own.uses_accounts,
            can_merge=False,
            barrier_kinds=frozenset({RecordKind.CONTACT, RecordKind.COMPANY, RecordKind.DEAL, RecordKind.TASK}),
            poll_every=(own.poll_every, own.poll_alone_every),
        )

    def open(self, context: ConnectionContext) -> ZohoSession:
        """A session; the organisation is asked only when the session is used."""
        # a hub opens the CRMs that its companies have: the others' reading and writing is never loaded (DESIGN 11)
        from hub_zoho.session import ZohoSession

        return ZohoSession(context, _own(context.settings))

    def parse_webhook(self, request: RawRequest, context: ConnectionContext) -> Changes:
        """Records to read again, and records that are gone; contents are not trusted (8)."""
        settings = _own(context.settings)
        return read_notification(request.body, channel_token(settings, context.project, context.name))

    # --- the hub's page beside a card (U1) --------------------------------------------------------------------------

    def panel_origins(self, settings: BaseModel) -> tuple[str, ...]:
        """Zoho's pages live beside its accounts' server, in the same data centre."""
        return (_own(settings).site,)

    def panel_places(self, settings: BaseModel) -> tuple[PanelPlace, ...]:
        """A web tab or a link of each module."""
        own = _own(settings)
        return tuple(
            PanelPlace(
                entity=module,
                id_field=own.panel_id_field.replace("{module}", module).replace("{record}", record),
                user_field=own.panel_user_field,
            )
            for module, record in _PANEL_MODULES.items()
        )

    def panel_record(self, entity: str, id: str) -> RecordRef | None:
        """What a record of a module is to the hub; a lead is looked at as the contact that it is too."""
        if entity not in _PANEL_MODULES or not (id.isascii() and id.isdigit()):
            return None
        return next(iter(refs_of(entity, id)), None)

    # --- OAuth (1) ------------------------------------------------------------------------------------------------

    def consent_url(self, settings: BaseModel, redirect_uri: str, state: str) -> str:
        """GET {accounts}/oauth/v2/auth: without ``access_type=offline`` there would be no refresh token.

        https://www.zoho.com/crm/developer/docs/api/v8/auth-request.html
        """
        own = _own(settings)
        if not own.client_id:
            raise ConfigurationError("the client ID is missing", path="client_id")
        query = {
            "scope": ",".join(own.scopes),
            "client_id": own.client_id,
            "response_type": "code",
            "access_type": "offline",
            "prompt": "consent",
            "redirect_uri": redirect_uri,
            "state": state,
        }
        return f"{own.accounts}/oauth/v2/auth?{urlencode(query)}"

    async def exchange(self, context: ConnectionContext, grant: OAuthGrant) -> ZohoSettings:
        """POST /oauth/v2/token on the accounts server that the redirect names, once that proved to be Zoho's.

        The code lives three minutes and works once; the tokens are stored before anything else is done with them.
        """
        own = _own(context.settings)
        accounts = grant.parameters.get("accounts-server", "").strip().rstrip("/") or own.accounts
        if not own.allows_accounts(accounts):
            raise AccessError("the redirect names a server that is not Zoho's", endpoint="oauth callback")
        if not grant.code:
            raise NeedsCredentials(f"access was not granted: {grant.parameters.get('error', 'no code')}")
        form = {
            "grant_type": "authorization_code",
            "client_id": own.client_id,
            "client_secret": own.client_secret.get_secret_value(),
            "redirect_uri": grant.redirect_uri,
            "code": grant.code,
        }
        pair = await ask_token(context.http, accounts, form)
        if not pair.refresh_token:
            raise NeedsCredentials("Zoho gave no refresh token: remove the hub from the connected apps, connect again")
        api = pair.api_domain.rstrip("/") or own.api
        if not own.allows_api(api):
            raise AccessError("the API address in Zoho's answer is not Zoho's", endpoint="oauth callback")
        await Credentials(context, own).store(pair, accounts=accounts, api=api)
        # a sandbox or developer edition is set by hand: the answer may name the production host (1)
        return own.model_copy(update={"accounts_address": accounts, "api_address": own.api_address or api})


def _own(settings: BaseModel) -> ZohoSettings:
    """The connection's settings as this plugin's; the hub hands them over as a plain model."""
    if not isinstance(settings, ZohoSettings):
        raise TypeError(f"Zoho needs ZohoSettings, not {type(settings).__name__}")
    return settings
