"""RetailCRM as a `hub.ports.Sink`, connected by an API key."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from pydantic import BaseModel

from hub.core.records import RecordKind, RecordRef
from hub.errors import PayloadError
from hub.ports import Changes, ConnectionContext, Pace, RawRequest, SinkCapabilities
from hub.widget_seam import PanelPlace
from hub_retailcrm.config import RetailCrmSettings

if TYPE_CHECKING:
    from hub_retailcrm.session import RetailCrmSession

__all__ = ["RetailCrmSink"]

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
_PACE_SOURCE = (
    "10 requests a second for one key, told by 503: constants of the official Go client, "
    "https://github.com/retailcrm/api-client-go; one is left for the network; telephony alone has 40, not used up here"
)
#: what a trigger of the account may name, by the parameter that our README tells to add
_NAMED = {
    "customer": RecordKind.CONTACT,
    "corporate": RecordKind.COMPANY,
    "order": RecordKind.DEAL,
    "task": RecordKind.TASK,
}


#: on which cards the hub's page may stand
_PANEL = {"customer": RecordKind.CONTACT, "order": RecordKind.DEAL}


class RetailCrmSink:
    """The plugin's sink; keeps no state."""

    name = "retailcrm"
    settings_model: type[BaseModel] = RetailCrmSettings

    def capabilities(self, settings: BaseModel) -> SinkCapabilities:
        """What RetailCRM can do: batches of customers, orders and calls; everything else one by one."""
        own = _own(settings)
        return SinkCapabilities(
            actions=_ACTIONS,
            batch_sizes={
                "create_contact": own.customer_batch_size,
                "create_deal": own.order_batch_size,
                "record_call": own.call_batch_size,
            },
            pace=Pace(requests=own.requests_per_second, per=timedelta(seconds=1), scope="account", source=_PACE_SOURCE),
            has_combined_create=False,
            has_companies=own.reads_corporate,
            has_unsorted=False,
            can_merge=False,
            # a second upload of the same externalId is told as a duplicate and changes nothing (7)
            deduplicated=frozenset({"record_call"}),
            barrier_kinds=frozenset({RecordKind.CONTACT, RecordKind.COMPANY, RecordKind.DEAL, RecordKind.TASK}),
        )

    def open(self, context: ConnectionContext) -> RetailCrmSession:
        """A session; the account is asked only when the session is used."""
        # a hub opens the CRMs that its companies have: the others' reading and writing is never loaded (DESIGN 11)
        from hub_retailcrm.session import RetailCrmSession

        return RetailCrmSession(context, _own(context.settings))

    def parse_webhook(self, request: RawRequest, context: ConnectionContext) -> Changes:
        """A trigger that the account's administrator has set up (9): it names records to read again.

        Nothing of it is trusted but their numbers, in the parameters ``customer``, ``corporate``, ``order`` and
        ``task`` of the address or the form. Raises PayloadError if there are none.
        """
        try:
            pairs = parse_qsl(request.query.decode(), max_num_fields=100)
            pairs += parse_qsl(request.body.decode(), max_num_fields=100)
        except ValueError as err:
            raise PayloadError("the trigger's parameters cannot be read", source=self.name) from err
        touched: list[RecordRef] = []
        for name, value in pairs:
            kind, text = _NAMED.get(name), value.strip()
            if kind is None:
                continue
            if not (text.isascii() and text.isdigit()):
                raise PayloadError(
                    f"{name} is to be the record's number", source=self.name, field=name, raw=value[:100]
                )
            touched.append(RecordRef(kind=kind, id=str(int(text))))
        if not touched:
            names = ", ".join(_NAMED)
            raise PayloadError(f"the trigger names no record: one of {names} is expected", source=self.name)
        return Changes(touched=tuple(dict.fromkeys(touched)))

    # --- the hub's page beside a card (U1) --------------------------------------------------------------------------

    def panel_origins(self, settings: BaseModel) -> tuple[str, ...]:
        """The account's own pages."""
        return (_own(settings).address,) if _own(settings).address else ()

    def panel_places(self, settings: BaseModel) -> tuple[PanelPlace, ...]:
        """A link on a customer's or an order's card."""
        own = _own(settings)
        return tuple(
            PanelPlace(
                entity=name, id_field=own.panel_id_field.replace("{record}", name), user_field=own.panel_user_field
            )
            for name in _PANEL
        )

    def panel_record(self, entity: str, id: str) -> RecordRef | None:
        """The customer or order with this number."""
        return _panel_record(entity, id)


def _panel_record(entity: str, id: str) -> RecordRef | None:
    kind = _PANEL.get(entity)
    return RecordRef(kind=kind, id=str(int(id))) if kind and id.isascii() and id.isdigit() and len(id) < 19 else None


def _own(settings: BaseModel) -> RetailCrmSettings:
    """The connection's settings as this plugin's; the hub hands them over as a plain model."""
    if not isinstance(settings, RetailCrmSettings):
        raise TypeError(f"RetailCRM needs RetailCrmSettings, not {type(settings).__name__}")
    return settings
