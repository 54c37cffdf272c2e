"""``/telephony``, ``/integration-modules`` and ``/notifications`` (7, 8)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .form import Ask
from .listing import digits, shown
from .reply import Json, Problem, Reply, not_found, ok, wrong_entity, wrong_input
from .world import World

_BATCH = 50
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}")
_TYPES = ("in", "out", "hangup")
_HANGUPS = ("answered", "busy", "cancel", "failed", "no answered")
_RESULTS = ("answered", "busy", "failed", "no answer", "not allowed", "unknown")
_ACTIONS = ("activity", "settings")


def post_event(world: World, ask: Ask) -> Reply:
    """POST /telephony/call/event: the card pops up for those listed, if a module announced such events."""
    event = ask.entity("event")
    if not event.get("phone"):
        raise wrong_entity(phone="This value should not be blank.")
    if event.get("type") not in _TYPES:
        raise wrong_entity(type="The value you selected is not a valid choice.")
    if not event.get("codes") and not event.get("userIds"):
        raise wrong_entity(userIds="Set one of the following fields: codes, userIds")
    if event["type"] == "hangup" and event.get("hangupStatus") not in _HANGUPS:
        raise wrong_entity(hangupStatus="The value you selected is not a valid choice.")
    modules = [module for module in world.modules.values() if module.get("active")]
    settings = [module.get("integrations", {}).get("telephony", {}) for module in modules]
    codes = {str(one["code"]): one["userId"] for found in settings for one in found.get("additionalCodes") or ()}
    active = {user["id"] for user in world.account.users if user["active"]}
    wanted = list(event.get("userIds") or ())
    shown_to = [user for user in wanted if user in active]
    shown_to += [codes[code] for code in map(str, event.get("codes") or ()) if codes.get(code) in active]
    told: Json = {}
    if gone := [user for user in wanted if user not in active]:
        told["notExistUsers"] = gone
    if unknown := [str(code) for code in event.get("codes") or () if str(code) not in codes]:
        told["notExistCodes"] = unknown
    world.call_events.append({**event, "at": world.clock.told()})
    announced = {"in": "inputEventSupported", "out": "outputEventSupported", "hangup": "hangupEventSupported"}
    if event["type"] != "hangup" and any(found.get(announced[event["type"]]) for found in settings):
        world.popups += [{"user": user, "phone": event["phone"], "at": world.clock.told()} for user in shown_to]
    return ok(**told)


def post_calls(world: World, ask: Ask) -> Reply:
    """POST /telephony/calls/upload: a repeated ``externalId`` is told and changes nothing."""
    calls = ask.entities("calls", _BATCH)
    for call in calls:
        _check_call(world, call)
    duplicates: list[str] = []
    for call in calls:
        external_id = str(call["externalId"])
        if external_id in world.calls:
            duplicates.append(external_id)
        else:
            world.calls[external_id] = {**call, "customer": _caller(world, str(call["phone"]))}
    return ok(processedCallsCount=len(calls) - len(duplicates), duplicateCalls=duplicates)


def _check_call(world: World, call: Json) -> None:
    for name in ("date", "type", "phone", "result", "externalId"):
        if not call.get(name):
            raise wrong_entity(**{name: "This value should not be blank."})
    if not _MOMENT.fullmatch(str(call["date"])):
        raise wrong_entity(date="This value is not a valid datetime.")
    if call["type"] not in ("in", "out"):
        raise wrong_entity(type="The value you selected is not a valid choice.")
    if call["result"] not in _RESULTS:
        raise wrong_entity(result="The value you selected is not a valid choice.")
    if call["result"] == "answered" and not isinstance(call.get("duration"), int):
        raise wrong_entity(duration="This value should not be blank.")
    if call.get("userId") is not None:
        world.check_user(call["userId"], "userId")


def _caller(world: World, phone: str) -> int | None:
    """The customer whose number it is, as the CRM shows the call on a card."""
    plain = digits(phone)
    for customer in world.records["customers"].values():
        if any(plain and digits(one["number"])[-9:] == plain[-9:] for one in customer["phones"]):
            return int(customer["id"])
    return None


def get_manager(world: World, ask: Ask) -> Reply:
    """GET /telephony/manager: who is responsible for a number."""
    phone = ask.parameter("phone")
    if not phone:
        raise Problem(400, "Parameter 'phone' is missing")
    told: Json = {}
    customer = world.records["customers"].get(_caller(world, phone) or 0)
    users = {user["id"]: user for user in world.account.users if user["active"]}
    manager = users.get((customer or {}).get("managerId", 0))
    if manager is not None and (
        ask.parameter("ignoreStatus") == "1" or (manager["online"] and manager["status"] == "free")
    ):
        told["manager"] = {key: manager[key] for key in ("id", "firstName", "lastName", "email")}
    if ask.parameter("details") == "1" and customer is not None:
        told["customer"] = {
            key: value for key, value in shown(customer).items() if key in ("id", "firstName", "phones")
        }
        told["links"] = {"customerLink": f"https://{world.account.name}.example/customers/{customer['id']}"}
    return ok(**told)


def get_module(world: World, ask: Ask) -> Reply:
    """GET /integration-modules/{code}."""
    found = world.modules.get(ask.parts[0])
    if found is None:
        raise not_found()
    return ok(integrationModule=found)


def post_module(world: World, ask: Ask) -> Reply:
    """POST /integration-modules/{code}/edit: makes the module if it is new."""
    code, values = ask.parts[0], ask.entity("integrationModule")
    if values.get("code") != code:
        raise wrong_entity(code="This value is not valid.")
    for name in ("integrationCode", "clientId", "baseUrl", "name"):
        if not values.get(name):
            raise wrong_entity(**{name: "This value should not be blank."})
    if values.get("logo") and not str(values["logo"]).split("?")[0].endswith(".svg"):
        raise wrong_entity(logo="The logo has to be an SVG.")
    actions = values.get("actions") or {}
    unknown = sorted(set(actions) - set(_ACTIONS)) if isinstance(actions, Mapping) else ["actions"]
    if unknown:
        raise wrong_entity(actions=f"Unknown actions: {', '.join(unknown)}")
    telephony = (values.get("integrations") or {}).get("telephony") or {}
    known = {user["id"] for user in world.account.users}
    gone = [one["userId"] for one in telephony.get("additionalCodes") or () if one["userId"] not in known]
    sites = {site["code"] for site in world.account.sites}
    unknown_sites = [one["siteCode"] for one in telephony.get("externalPhones") or () if one["siteCode"] not in sites]
    is_new = code not in world.modules
    world.modules[code] = values
    info = {"notExistUsersIds": gone, "notExistSiteCodes": unknown_sites}
    return ok(201 if is_new else 200, info=info)


def post_notification(world: World, ask: Ask) -> Reply:
    """POST /notifications/send."""
    notice = ask.entity("notification")
    if notice.get("type") not in ("api.info", "api.error"):
        raise wrong_entity(type="The value you selected is not a valid choice.")
    if not notice.get("message"):
        raise wrong_entity(message="This value should not be blank.")
    if not notice.get("userIds") and not notice.get("userGroups"):
        raise wrong_entity(userIds="Set one of the following fields: userIds, userGroups")
    world.notices.append({**notice, "at": world.clock.told()})
    return ok()


def post_client_ids(world: World, ask: Ask) -> Reply:
    """POST /web-analytics/client-ids/upload."""
    for item in ask.entities("clientIds", _BATCH):
        if not item.get("value"):
            raise wrong_input("clientIds: value is missing")
        held = dict(item)
        customer = (
            world.resolve("customers", held["customer"], str(item.get("site", "")), "customer")
            if held.get("customer")
            else None
        )
        if customer is not None:
            customer.setdefault("firstClientId", str(held["value"]))
            customer["lastClientId"] = str(held["value"])
        world.client_ids.append(held)
    return ok(201)
