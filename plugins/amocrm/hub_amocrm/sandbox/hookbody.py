"""Payloads of webhooks, in the shapes of reference 20.2 (values become text when encoded)."""

from __future__ import annotations

import html
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from .record import Card, Incoming, Lead, Note, Task, Values
from .reply import Json

if TYPE_CHECKING:
    from .world import World

NUMERIC = {"contacts": 1, "leads": 2, "companies": 3, "customers": 12}
#: note_type words of v4 to the numbers of webhooks; system notes are 12 and above.
_NOTE_TYPES = {"common": 4, "attachment": 5, "call_in": 10, "call_out": 11, "service_message": 25}
#: Fields whose values come as bare scalars in webhooks.
_SCALAR = ("numeric", "date", "birthday", "date_time", "checkbox")


def lead(world: World, record: Lead) -> Json:
    """``leads[…]``: price is absent when it is 0."""
    return {
        "id": record.id,
        "name": html.escape(record.name, quote=False),
        "status_id": record.status_id,
        "price": record.price or None,
        "responsible_user_id": record.responsible_user_id,
        "last_modified": record.updated_at,
        "modified_user_id": record.updated_by,
        "created_user_id": record.created_by,
        "date_create": record.created_at,
        "pipeline_id": record.pipeline_id,
        "loss_reason_id": record.loss_reason_id,
        "tags": _tags(world, "leads", record.tags),
        "account_id": world.account.id,
        "custom_fields": _fields(world, "leads", record.values),
        "created_at": record.created_at,
        "updated_at": record.updated_at,
    }


def card(world: World, record: Card) -> Json:
    """``contacts[…]``, companies too, told apart by ``type``."""
    company = world.companies.get(record.company_id) if record.company_id else None
    return {
        "id": record.id,
        "name": html.escape(record.name, quote=False),
        "responsible_user_id": record.responsible_user_id,
        "group_id": world.group_of(record.responsible_user_id) or None,
        "date_create": record.created_at,
        "last_modified": record.updated_at,
        "created_user_id": record.created_by,
        "modified_user_id": record.updated_by,
        "company_name": html.escape(company.name, quote=False) if company else None,
        "linked_company_id": record.company_id,
        "account_id": world.account.id,
        "custom_fields": _fields(world, record.kind, record.values),
        "tags": _tags(world, record.kind, record.tags),
        "linked_leads_id": {str(lead_id): {"ID": lead_id} for lead_id in record.lead_ids},
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "type": "company" if record.kind == "companies" else "contact",
    }


def task(world: World, record: Task) -> Json:
    """``task[…]``: times both as text in the account's zone and as unix seconds."""
    return {
        "id": record.id,
        "element_id": record.entity_id,
        "element_type": NUMERIC.get(record.entity_type or ""),
        "task_type": record.task_type_id,
        "date_create": _local(world, record.created_at),
        "text": html.escape(record.text, quote=False),
        "status": "1" if record.is_completed else "0",
        "action_close": "1" if record.is_completed else None,
        "account_id": world.account.id,
        "created_user_id": record.created_by,
        "modified_user_id": record.updated_by,
        "last_modified": _local(world, record.updated_at),
        "responsible_user_id": record.responsible_user_id,
        "complete_till": _local(world, record.complete_till),
        "complete_before": record.complete_till,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
    }


def note(world: World, record: Note) -> Json:
    """``leads[note][0][note][…]``: a call's text is a JSON string."""
    owner = world.card_or_lead(record.entity_type, record.entity_id)
    return {
        "id": record.id,
        "note_type": _NOTE_TYPES.get(record.note_type, 12),
        "element_type": NUMERIC[record.entity_type],
        "element_id": record.entity_id,
        "text": _note_text(record),
        "attachement": "",
        "created_by": record.created_by,
        "modified_by": record.updated_by,
        "metadata": json.dumps({"event_source": {"type": 4, "author_name": ""}}),
        "account_id": world.account.id,
        "main_user_id": owner.responsible_user_id if owner else None,
        "date_create": _local(world, record.created_at),
        "created_at": record.created_at,
        "updated_at": record.updated_at,
    }


def incoming(world: World, record: Incoming) -> Json:
    """``unsorted[add][…]``."""
    contacts = [{"id": record.contact_id}] if record.contact_id else []
    return {
        "uid": record.uid,
        "source": record.source_name,
        "source_uid": record.source_uid,
        "category": record.category,
        "source_data": record.metadata,
        "date_create": record.created_at,
        "created_at": record.created_at,
        "pipeline_id": record.pipeline_id,
        "account_id": world.account.id,
        "lead_id": record.lead_id,
        "data": {"leads": [{"id": record.lead_id}], "contacts": contacts},
    }


def account(world: World, origin: str) -> Json:
    """The block that ends every body."""
    return {"subdomain": world.account.subdomain, "id": world.account.id, "_links": {"self": origin}}


def _note_text(record: Note) -> str:
    params = record.params
    if record.note_type not in ("call_in", "call_out"):
        return html.escape(str(params.get("text", "")), quote=False)
    call = {
        "UNIQ": params.get("uniq", ""),
        "LINK": params.get("link", ""),
        "PHONE": params.get("phone", ""),
        "DURATION": params.get("duration", 0),
        "SRC": params.get("source", ""),
        "call_status": str(params.get("call_status") or ""),
        "call_result": params.get("call_result") or "",
    }
    return json.dumps(call, ensure_ascii=False)


def _tags(world: World, kind: str, tag_ids: tuple[int, ...]) -> list[Json]:
    return [{"id": tag["id"], "name": tag["name"]} for tag in world.tag_list(kind, tag_ids)]


def _fields(world: World, kind: str, values: dict[int, Values]) -> list[Json]:
    shown: list[Json] = []
    for field_id, stored in values.items():
        field = world.fields.get(kind, field_id)
        if field is None or not stored:
            continue
        texts: list[Any]
        if field.type in _SCALAR:
            texts = [value for value, _ in stored]
        else:
            texts = [
                {"value": html.escape(value, quote=False) if isinstance(value, str) else value, "enum": enum}
                for value, enum in stored
            ]
        shown.append({"id": field.id, "name": field.name, "code": field.code, "values": texts})
    return shown


def _local(world: World, moment: int) -> str:
    sign, hours, minutes = world.account.timezone_offset[0], *world.account.timezone_offset[1:].split(":")
    offset = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
    return datetime.fromtimestamp(moment, UTC).astimezone(timezone(offset)).strftime("%Y-%m-%d %H:%M:%S")
