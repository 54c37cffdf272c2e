"""Notification channels and what they tell (section 8)."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from typing import Any

import httpx

from .ask import Ask
from .reply import Json, Refusal, Reply, answer, nothing, told
from .value import parse_moment
from .world import Channel, Notice, World

_WORDS = {"insert": "create", "update": "edit", "delete": "delete"}
_WEEK, _HOUR = 7 * 86400, 3600
log = logging.getLogger(__name__)


def watch(world: World, ask: Ask) -> Reply:
    """POST makes channels, PUT replaces their details, PATCH changes those that are given or drops events."""
    outcomes = [_watch_one(world, ask, item) for item in ask.data("watch")]
    good = all(one["status"] == "success" for one in outcomes)
    return answer({"watch": outcomes}, (201 if ask.method == "POST" else 200) if good else 400)


def _watch_one(world: World, ask: Ask, item: Json) -> Json:
    channel_id = str(item.get("channel_id", ""))
    if not channel_id.isdigit():
        return _refused("MANDATORY_NOT_FOUND", "required field not found", "channel_id")
    held = world.channels.get(channel_id)
    if ask.method == "PATCH":
        if held is None:
            return _refused("NOT_SUBSCRIBED", "not subscribed", "channel_id")
        known: Json = {"events": held.events, "notify_url": held.notify_url, "token": held.token}
        item = known | item
        if item.get("_delete_events") is True:
            held.events = [event for event in held.events if event not in item["events"]]
            return _subscribed(world, held)
    if ask.method == "PUT" and held is None:
        return _refused("NOT_SUBSCRIBED", "not subscribed", "channel_id")
    for name in ("events", "notify_url"):
        if not item.get(name):
            return _refused("MANDATORY_NOT_FOUND", "required field not found", name)
    for event in item["events"]:
        module, _, action = str(event).partition(".")
        if module not in world.modules or action not in ("create", "edit", "delete", "all"):
            return _refused("INVALID_DATA", "invalid data", "events")
    token = str(item.get("token", ""))
    if len(token) > 50:
        return _refused("INVALID_DATA", "invalid data", "token")
    now = world.clock.now()
    text = item.get("channel_expiry")
    wanted = parse_moment(text) if isinstance(text, str) else None
    # absent, or later than a week: the channel lives one hour
    expiry = now + _HOUR if wanted is None or wanted > now + _WEEK or wanted <= now else wanted
    made = Channel(
        channel_id,
        [str(event) for event in item["events"]],
        expiry,
        token,
        str(item["notify_url"]),
        bool(item.get("return_affected_field_values")),
    )
    world.channels[channel_id] = made
    return _subscribed(world, made)


def _refused(code: str, message: str, api_name: str) -> Json:
    return told(code, message, {"api_name": api_name})


def _subscribed(world: World, channel: Channel) -> Json:
    names = dict.fromkeys(event.partition(".")[0] for event in channel.events)
    events = [
        {
            "channel_expiry": world.moment(channel.expiry),
            "resource_uri": f"https://www.zohoapis.com/crm/v2/{name}",
            "resource_id": "5725767000000002175",
            "resource_name": name,
            "channel_id": channel.channel_id,
        }
        for name in names
    ]
    message = "Successfully subscribed for actions-watch of the given module"
    return told("SUCCESS", message, {"events": events}, "success")


def list_channels(world: World, ask: Ask) -> Reply:
    wanted = ask.query.get("channel_id")
    live = [one for one in world.channels.values() if one.expiry > world.clock.now()]
    shown = [
        {
            "channel_id": one.channel_id,
            "events": one.events,
            "channel_expiry": world.moment(one.expiry),
            "notify_url": one.notify_url,
            "token": one.token,
            "resource_name": one.events[0].partition(".")[0] if one.events else None,
        }
        for one in live
        if wanted in (None, one.channel_id)
    ]
    info = {"per_page": 200, "count": len(shown), "page": 1, "more_records": False}
    return answer({"watch": shown, "info": info}) if shown else nothing()


def unwatch(world: World, ask: Ask) -> Reply:
    ids = [one for one in ask.query.get("channel_ids", "").split(",") if one]
    if not ids:
        details = {"param_name": "channel_ids"}
        raise Refusal(400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", details)
    if not any(world.channels.pop(one, None) for one in ids):
        raise Refusal(400, "NOT_SUBSCRIBED", "not subscribed", {})
    return answer({"watch": [told("SUCCESS", "Successfully unsubscribed", {"channel_id": i}, "success") for i in ids]})


def bodies(world: World, notices: list[Notice]) -> list[tuple[str, Json]]:
    """(address, body) of what the channels tell of ``notices``."""
    found: list[tuple[str, Json]] = []
    now = world.clock.now()
    for notice in notices:
        for channel in world.channels.values():
            wanted = {f"{notice.module}.{_WORDS[notice.operation]}", f"{notice.module}.all"}
            if channel.expiry <= now or wanted.isdisjoint(channel.events):
                continue
            body: Json = {
                "server_time": int(now * 1000),
                "query_params": {},
                "module": notice.module,
                "resource_uri": f"https://www.zohoapis.com/crm/v2/{notice.module}",
                "ids": list(notice.ids),
                "affected_fields": [{one: notice.fields} for one in notice.ids] if notice.operation == "update" else [],
                "operation": notice.operation,
                "channel_id": channel.channel_id,
                "token": channel.token,
            }
            if channel.tells_values and notice.operation == "update":
                body["affected_values"] = [{"record_id": one, "values": {}} for one in notice.ids]
            found.append((channel.notify_url, body))
    return found


class Deliverer:
    """Sends notifications, once each, in the order of the changes; nothing is repeated after a failure."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._waiting: asyncio.Queue[tuple[str, Json]] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unsent = 0
        self.log: deque[Json] = deque(maxlen=2000)

    def take(self) -> None:
        """Queue what happened; the world's lock is held. From any thread."""
        notices = self._world.take_notices()
        switches = self._world.switches
        if not switches.notifications_enabled or self._loop is None or self._waiting is None:
            return
        for found in bodies(self._world, notices):
            for _ in range(2 if switches.notification_duplicates else 1):
                self._unsent += 1
                self._loop.call_soon_threadsafe(self._waiting.put_nowait, found)

    @property
    def waiting(self) -> int:
        return self._unsent

    def forget(self) -> None:
        """Drop the log."""
        self.log.clear()

    async def run(self) -> None:
        """Deliver until cancelled."""
        self._loop, self._waiting = asyncio.get_running_loop(), asyncio.Queue()
        try:
            async with httpx.AsyncClient(trust_env=False) as http:
                while True:
                    address, body = await self._waiting.get()
                    await self._send(http, address, body)
                    self._unsent -= 1
                    self._waiting.task_done()
        finally:
            self._loop = self._waiting = None

    async def settle(self) -> None:
        """Until everything that waits was sent."""
        await asyncio.sleep(0)  # what other threads queued has to arrive first
        if self._waiting is not None:
            await self._waiting.join()

    async def _send(self, http: httpx.AsyncClient, address: str, body: Json) -> None:
        entry: dict[str, Any] = {"at": time.monotonic(), "address": address, "body": body}
        try:
            timeout = self._world.switches.notification_timeout_seconds
            content = json.dumps(body).encode()
            headers = {"content-type": "application/json"}
            reply = await http.post(address, content=content, headers=headers, timeout=timeout)
            entry["status"] = reply.status_code
        except httpx.HTTPError as err:
            entry["error"] = type(err).__name__
            log.info("a notification was not taken: %s", type(err).__name__)
        self.log.append(entry)
