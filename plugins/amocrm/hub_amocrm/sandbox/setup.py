"""Account, users, pipelines, custom fields: what the administrator set up (reference 5, 11, 18.1)."""

from __future__ import annotations

import uuid

from .account import Choice, Field, Pipeline, User
from .ask import Ask, Form, forms, save_batch
from .bracket import texts
from .reply import Json, Reply, hal, link, listing, nothing, problem, totalled
from .world import World

FIELD_PAGE = 50
_FIELD_TYPES = frozenset(
    [
        "text",
        "numeric",
        "checkbox",
        "select",
        "multiselect",
        "date",
        "url",
        "textarea",
        "radiobutton",
        "streetaddress",
        "smart_address",
        "birthday",
        "legal_entity",
        "date_time",
        "monetary",
        "tracking_data",
        "chained_list",
        "file",
    ]
)
_CHOICES = ("select", "multiselect", "radiobutton")


def get_account(world: World, ask: Ask) -> Reply:
    """GET /api/v4/account"""
    account, with_ = world.account, ask.with_
    body: Json = {
        "id": account.id,
        "name": account.name,
        "subdomain": account.subdomain,
        "created_at": 1500000000,
        "created_by": 0,
        "updated_at": 1600000000,
        "updated_by": 0,
        "current_user_id": ask.user_id,
        "country": "RU",
        "currency": "RUB",
        "currency_symbol": "₽",
        "customers_mode": "disabled",
        "is_unsorted_on": any(p.is_unsorted_on for p in world.pipelines.values()),
        "mobile_feature_version": 0,
        "is_loss_reason_enabled": True,
        "is_helpbot_enabled": False,
        "is_technical_account": False,
        "contact_name_display_order": 1,
    }
    values: Json = {
        "amojo_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"amojo/{account.id}")),
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_OID, f"account/{account.id}")),
        "version": 14,
        "drive_url": "https://drive-b.amocrm.ru",
        "is_api_filter_enabled": world.switches.is_api_filter_enabled,
        "invoices_settings": {"lang": None, "invoices_catalog_id": None},
    }
    body |= {name: value for name, value in values.items() if name in with_}
    task_types = [
        {"id": i, "name": name, "color": None, "icon_id": None, "code": code} for i, name, code in account.task_types
    ]
    embedded: Json = {
        "amojo_rights": {"can_direct": True, "can_create_groups": True},
        "users_groups": [{"id": i, "name": name, "uuid": None} for i, name in account.groups],
        "task_types": task_types,
        "entity_names": {"leads": {"ru": {"gender": "f"}}},
        "datetime_settings": {
            "date_pattern": "d.m.Y H:i",
            "short_date_pattern": "d.m.Y",
            "short_time_pattern": "H:i",
            "date_formant": "d.m.Y",
            "time_format": "H:i:s",
            "timezone": account.timezone,
            "timezone_offset": account.timezone_offset,
        },
    }
    body["_links"] = link(ask.origin + ask.path)
    body["_embedded"] = {name: value for name, value in embedded.items() if name in with_}
    return hal(body)


def list_users(world: World, ask: Ask) -> Reply:
    """GET /api/v4/users: deactivated users stay in the list."""
    page, limit = ask.paging()
    users = sorted(world.users.values(), key=lambda user: user.id)
    cut = users[(page - 1) * limit : page * limit]
    if not cut:
        return nothing()
    more = len(users) > page * limit
    links = link(f"{ask.origin}{ask.path}?page={page}&limit={limit}")
    if more:
        links["next"] = {"href": f"{ask.origin}{ask.path}?page={page + 1}&limit={limit}"}
    body = {
        "_total_items": len(users),
        "_page": page,
        "_page_count": -(-len(users) // limit),
        "_links": links,
        "_embedded": {"users": [show_user(world, ask, user) for user in cut]},
    }
    return hal(body)


def get_user(world: World, ask: Ask) -> Reply:
    """GET /api/v4/users/{id}"""
    user = world.users.get(ask.id())
    return hal(show_user(world, ask, user)) if user else problem(404, "User not found")


def list_roles(world: World, ask: Ask) -> Reply:
    """GET /api/v4/roles: one role, enough for clients that ask."""
    role: Json = {"id": 55, "name": "Менеджер", "rights": _rights(), "_links": link(f"{ask.origin}{ask.path}/55")}
    return totalled("roles", [role], origin=ask.origin, path=ask.path, page_count=1)


def list_pipelines(world: World, ask: Ask) -> Reply:
    """GET /api/v4/leads/pipelines"""
    items = [show_pipeline(world, ask, pipeline) for pipeline in world.pipelines.values()]
    return totalled("pipelines", items, origin=ask.origin, path=ask.path)


def get_pipeline(world: World, ask: Ask) -> Reply:
    """GET /api/v4/leads/pipelines/{id}"""
    pipeline = world.pipelines.get(ask.id())
    return hal(show_pipeline(world, ask, pipeline)) if pipeline else problem(404, "Pipeline not found")


def list_statuses(world: World, ask: Ask) -> Reply:
    """GET /api/v4/leads/pipelines/{id}/statuses"""
    pipeline = world.pipelines.get(ask.id())
    if pipeline is None:
        return problem(404, "Pipeline not found")
    return totalled("statuses", _statuses(world, ask, pipeline), origin=ask.origin, path=ask.path)


def get_status(world: World, ask: Ask) -> Reply:
    """GET /api/v4/leads/pipelines/{id}/statuses/{id}"""
    pipeline = world.pipelines.get(ask.id())
    shown = _statuses(world, ask, pipeline) if pipeline else []
    status = next((status for status in shown if status["id"] == ask.id(1)), None)
    return hal(status) if status else problem(404, "Status not found")


def list_loss_reasons(world: World, ask: Ask) -> Reply:
    """GET /api/v4/leads/loss_reasons"""
    items: list[Json] = [
        {"id": i, "name": name, "sort": 10 * place, "created_at": 1500000000, "updated_at": 1500000000}
        for place, (i, name) in enumerate(world.account.loss_reasons, 1)
    ]
    return totalled("loss_reasons", items, origin=ask.origin, path=ask.path)


def list_fields(world: World, ask: Ask, entity: str) -> Reply:
    """GET /api/v4/{entity}/custom_fields: fifty a page whatever is asked."""
    page, limit = ask.paging(FIELD_PAGE)
    node = ask.query.get("filter")
    kinds = texts(node.get("type")) if isinstance(node, dict) else []
    fields = [field for field in world.fields.of(entity) if not kinds or field.type in kinds]
    start = (page - 1) * limit
    reply = listing(
        "custom_fields",
        [show_field(world, ask, field) for field in fields[start : start + limit]],
        origin=ask.origin,
        path=ask.path,
        query=ask.pairs,
        page=page,
        limit=limit,
        more=len(fields) > start + limit,
    )
    if reply.status == 200:
        totals = f'{{"_total_items":{len(fields)},"_page_count":{-(-len(fields) // limit)},'
        reply.body = totals.encode() + reply.body[1:]
    return reply


def get_field(world: World, ask: Ask, entity: str) -> Reply:
    """GET /api/v4/{entity}/custom_fields/{id}"""
    field = world.fields.get(entity, ask.id())
    return hal(show_field(world, ask, field)) if field else problem(404, "Custom field not found")


def post_fields(world: World, ask: Ask, entity: str) -> Reply:
    """POST /api/v4/{entity}/custom_fields: 201 with the full objects."""
    batch = forms(ask.items())
    for form in batch:
        _read_field(world, form, entity)

    def apply(form: Form) -> Field:
        item = form.item
        return world.fields.add(
            Field(
                id=world.ids.next("fields"),
                entity=entity,
                name=item["name"],
                type=item["type"],
                code=item.get("code"),
                sort=item.get("sort") or 500,
                is_api_only=bool(item.get("is_api_only")),
                group_id=item.get("group_id"),
                choices=_choices(world, item),
            )
        )

    saved = save_batch(batch, apply)
    items = [show_field(world, ask, field) | {"request_id": form.request_id} for form, field in saved]
    return totalled("custom_fields", items, origin=ask.origin, path=ask.path, status=201)


def patch_fields(world: World, ask: Ask, entity: str) -> Reply:
    """PATCH /api/v4/{entity}/custom_fields[/{id}]: name, sort and flags."""
    single = bool(ask.params)
    batch = [Form(ask.object(), "0")] if single else forms(ask.items())

    def target(form: Form) -> Field | None:
        return world.fields.get(entity, ask.id() if single else form.item.get("id", -1))

    for form in batch:
        form.texts("name")
        form.whole("sort")
        form.flags("is_api_only")
        if target(form) is None:
            form.no_choice("id")

    def apply(form: Form) -> Field:
        field = target(form)
        assert field is not None
        for name, value in form.draft.items():
            setattr(field, name, value)
        return field

    saved = save_batch(batch, apply)
    items = [show_field(world, ask, field) | {"request_id": form.request_id} for form, field in saved]
    return hal(items[0]) if single else totalled("custom_fields", items, origin=ask.origin, path=ask.path)


def delete_field(world: World, ask: Ask, entity: str) -> Reply:
    """DELETE /api/v4/{entity}/custom_fields/{id}: predefined ones stay."""
    field = world.fields.get(entity, ask.id())
    if field is None:
        return problem(404, "Custom field not found")
    if field.is_predefined:
        return problem(400, "A predefined field cannot be deleted")
    world.fields.remove(field)
    return nothing()


def show_user(world: World, ask: Ask, user: User) -> Json:
    """A user as answers show it."""
    with_ = ask.with_
    shown: Json = {"id": user.id, "name": user.name, "email": user.email, "lang": "ru"}
    if "phone_number" in with_:
        shown["phone_number"] = user.phone_number
    for name in ("uuid", "amojo_id"):
        if name in with_:
            shown[name] = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{name}/{user.id}"))
    if "user_rank" in with_:
        shown["user_rank"] = None
    shown["rights"] = _rights() | {
        "is_admin": user.is_admin,
        "is_free": False,
        "is_active": user.is_active,
        "group_id": user.group_id or None,
        "role_id": None,
    }
    embedded: Json = {}
    if "role" in with_:
        embedded["roles"] = []
    if "group" in with_:
        groups = dict(world.account.groups)
        embedded["groups"] = [{"id": user.group_id, "name": groups.get(user.group_id, "")}]
    shown["_links"] = link(f"{ask.origin}/api/v4/users/{user.id}/?page=1&limit=50")
    return shown | ({"_embedded": embedded} if embedded else {})


def show_pipeline(world: World, ask: Ask, pipeline: Pipeline) -> Json:
    """A pipeline with its stages."""
    return {
        "id": pipeline.id,
        "name": pipeline.name,
        "sort": pipeline.sort,
        "is_main": pipeline.is_main,
        "is_unsorted_on": pipeline.is_unsorted_on,
        "is_archive": pipeline.is_archive,
        "account_id": world.account.id,
        "_links": link(f"{ask.origin}/api/v4/leads/pipelines/{pipeline.id}"),
        "_embedded": {"statuses": _statuses(world, ask, pipeline)},
    }


def show_field(world: World, ask: Ask, field: Field) -> Json:
    """A custom field's definition."""
    enums = [
        {"id": choice.id, "value": choice.value, "sort": 10 * place, "code": choice.code}
        for place, choice in enumerate(field.choices, 1)
    ]
    return {
        "id": field.id,
        "name": field.name,
        "type": field.type,
        "account_id": world.account.id,
        "code": field.code,
        "sort": field.sort,
        "is_api_only": field.is_api_only,
        "enums": enums or None,
        "group_id": field.group_id,
        "required_statuses": [],
        "is_deletable": not field.is_predefined,
        "is_predefined": field.is_predefined,
        "is_computed": False,
        "is_visible": True,
        "is_required": False,
        "entity_type": field.entity,
        "remind": None,
        "_links": link(f"{ask.origin}/api/v4/{field.entity}/custom_fields/{field.id}"),
    }


def _statuses(world: World, ask: Ask, pipeline: Pipeline) -> list[Json]:
    base = f"{ask.origin}/api/v4/leads/pipelines/{pipeline.id}/statuses"
    return [
        {
            "id": status.id,
            "name": status.name,
            "sort": status.sort,
            "is_editable": status.type == 0 and status.id not in (142, 143),
            "pipeline_id": pipeline.id,
            "color": status.color,
            "type": status.type,
            "account_id": world.account.id,
            "_links": link(f"{base}/{status.id}"),
        }
        for status in pipeline.statuses
    ]


def _rights() -> Json:
    cards = {"view": "A", "edit": "A", "add": "A", "delete": "A", "export": "A"}
    return {
        "leads": cards,
        "contacts": cards,
        "companies": cards,
        "tasks": {"edit": "A", "delete": "A"},
        "mail_access": False,
        "catalog_access": False,
        "status_rights": None,
        "catalog_rights": None,
    }


def _read_field(world: World, form: Form, entity: str) -> None:
    form.texts("name", "type")
    for name in ("name", "type"):
        if form.item.get(name) is None:
            form.missing(name)
    kind, code = form.draft.get("type"), form.item.get("code")
    if kind is not None and kind not in _FIELD_TYPES:
        form.no_choice("type")
    if kind in _CHOICES and not form.item.get("enums"):
        form.missing("enums")
    if isinstance(code, str) and world.fields.coded(entity, code) is not None:
        form.fail("InvalidValue", "code", "A field with this code exists already.")


def _choices(world: World, item: Json) -> list[Choice]:
    return [
        Choice(id=world.ids.next("fields"), value=str(enum.get("value")), code=enum.get("code"))
        for enum in item.get("enums") or []
    ]
