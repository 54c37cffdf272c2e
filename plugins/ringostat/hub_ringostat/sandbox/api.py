"""The vendor's API (reference part C) as a Starlette app, and the sandbox's own ``/_sandbox`` paths."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from .call_log import BadQuery, parse_query, read_log, to_csv
from .fault import FaultGate
from .forwarding import Answer, Question, ReplyForm, RequestForm, WebhookNumber
from .parameters import recording_url
from .recording import tiny_wav

if TYPE_CHECKING:
    from .server import Sandbox

_STAFF_METHOD = "getProjectStaffListAndDirections"
_CALLBACK_METHOD = "Api\\V2\\Callback.external"

_SWITCHES = ("split", "plain_dates", "repeat_rows", "is_forbidden")


def build_app(sandbox: Sandbox) -> Starlette:
    """The whole server of one sandbox."""
    api = VendorApi(sandbox)
    control = Control(sandbox)
    return Starlette(
        routes=[
            Route("/calls/list", api.calls_list, methods=["GET"]),
            Route("/api/json-rpc", api.json_rpc, methods=["POST"]),
            Route("/callback/outward_call", api.callback_simple, methods=["POST"]),
            Route("/a/v2", api.callback_extended, methods=["POST"]),
            Route("/sipstatus/online", api.sip_online, methods=["GET"]),
            Route("/sipstatus/speaking", api.sip_speaking, methods=["GET"]),
            Route("/recordings/{name}", api.recording, methods=["GET"]),
            Route("/_sandbox/faults", control.order_fault, methods=["POST"]),
            Route("/_sandbox/switches", control.set_switches, methods=["POST"]),
            Route("/_sandbox/traffic", control.load_traffic, methods=["POST"]),
            Route("/_sandbox/webhooks", control.set_webhooks, methods=["POST"]),
            Route("/_sandbox/play", control.play, methods=["POST"]),
            Route("/_sandbox/webhook_number", control.set_webhook_number, methods=["POST"]),
            Route("/_sandbox/ask", control.ask, methods=["POST"]),
            Route("/_sandbox/deliveries", control.deliveries, methods=["GET"]),
            Route("/_sandbox/callbacks", control.callbacks, methods=["GET"]),
        ],
        middleware=[Middleware(FaultGate, take=sandbox.take_fault)],
    )


class VendorApi:
    """Every path of the vendor's that the hub may use."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def _refusal(self, request: Request) -> Response | None:
        """401 for a wrong Auth-key, 403 when the project has no access; the bodies are not documented (?)."""
        if request.headers.get("auth-key") != self._sandbox.auth_key:
            return JSONResponse({"message": "Unauthorized"}, status_code=401)
        if self._sandbox.is_forbidden:
            return JSONResponse({"message": "Forbidden"}, status_code=403)
        return None

    async def calls_list(self, request: Request) -> Response:
        """GET /calls/list (C.2)."""
        if (refusal := self._refusal(request)) is not None:
            return refusal
        sandbox = self._sandbox
        sandbox.requests.append(("GET", str(request.url)))
        export = request.query_params.get("export_type", "json")
        now = sandbox.clock.now()
        try:
            if export not in {"json", "csv"}:
                raise BadQuery(f"export_type must be json or csv, not {export!r}")
            query = parse_query(request.query_params, now=now, zone=sandbox.query_zone)
            rows = read_log(
                sandbox.calls.values(),
                query,
                now=now,
                project=sandbox.project,
                zone=sandbox.zone,
                plain_dates=sandbox.plain_dates,
                repeat_rows=sandbox.repeat_rows,
            )
        except BadQuery as problem:
            return JSONResponse({"message": str(problem)}, status_code=400)
        if export == "csv":
            return PlainTextResponse(to_csv(rows, query.fields), media_type="text/csv")
        return JSONResponse(rows)

    async def json_rpc(self, request: Request) -> Response:
        """POST /api/json-rpc: the staff list (C.6); errors come as ``error`` in a 200 answer."""
        if (refusal := self._refusal(request)) is not None:
            return refusal
        call = await _rpc_call(request)
        if call is None:
            return _rpc_error(None, -32700, "Parse error")
        if call.get("method") != _STAFF_METHOD:
            return _rpc_error(call.get("id"), -32601, "Method not found")
        params = call.get("params")
        if not isinstance(params, dict) or str(params.get("projectId")) != str(self._sandbox.project_id):
            return _rpc_error(call.get("id"), -32000, "Access denied to this project")
        staff = {
            employee.id: {
                "id": int(employee.id),
                "staffId": int(employee.id),
                "fio": employee.name,
                "email": employee.email,
                "phone": employee.mobile,
                "extensionNumber": employee.extension,
                "departments": [employee.department] if employee.department else [],
                "directions": {
                    "main": _directions(employee.destination),
                    "additional": _directions(employee.mobile if employee.login else ""),
                },
            }
            for employee in self._sandbox.staff
        }
        return JSONResponse({"jsonrpc": "2.0", "id": call.get("id"), "result": staff})

    async def callback_simple(self, request: Request) -> Response:
        """POST /callback/outward_call (C.3), recorded; the success body is not documented (?)."""
        if (refusal := self._refusal(request)) is not None:
            return refusal
        asked = dict(parse_qsl((await request.body()).decode(errors="replace")))
        if not asked.get("extension") or not asked.get("destination"):
            return JSONResponse({"message": "extension and destination are required"}, status_code=400)
        self._sandbox.callbacks.append({"kind": "simple", **asked})
        return JSONResponse({"status": "ok"})

    async def callback_extended(self, request: Request) -> Response:
        """POST /a/v2, method Api\\V2\\Callback.external (C.4), recorded; refusals are ``error`` in a 200."""
        if (refusal := self._refusal(request)) is not None:
            return refusal
        call = await _rpc_call(request)
        if call is None:
            return _rpc_error(None, -32700, "Parse error")
        if call.get("method") != _CALLBACK_METHOD:
            return _rpc_error(call.get("id"), -32601, "Method not found")
        params = call.get("params")
        if not isinstance(params, dict) or str(params.get("projectId")) != str(self._sandbox.project_id):
            return _rpc_error(call.get("id"), -32000, "Access denied to this project")
        for side in ("caller", "callee"):
            text = str(params.get(side, ""))
            is_known = self._sandbox.staff.find_by_contact(text) is not None
            if params.get(f"{side}_type") != "scheme" and not is_known and not text.isdigit():
                return _rpc_error(call.get("id"), -32602, f"Invalid number in {side}")
        self._sandbox.callbacks.append({"kind": "extended", **params})
        return JSONResponse({"jsonrpc": "2.0", "id": call.get("id"), "result": True})

    async def sip_online(self, request: Request) -> Response:
        """GET /sipstatus/online (C.5)."""
        return self._refusal(request) or JSONResponse(sorted(self._sandbox.online))

    async def sip_speaking(self, request: Request) -> Response:
        """GET /sipstatus/speaking (C.5)."""
        return self._refusal(request) or JSONResponse(sorted(self._sandbox.speaking))

    async def recording(self, request: Request) -> Response:
        """GET /recordings/<uniqueid>.wav?token=…: needs no header, only the token (section 0)."""
        name = request.path_params["name"]
        wanted = recording_url("", name).rpartition("=")[2]
        if request.query_params.get("token") != wanted:
            return PlainTextResponse("Forbidden", status_code=403)
        if name.endswith(".vtt"):
            call_id = name.removesuffix(".vtt")
            call = self._sandbox.calls.get(call_id)
            text = call.summary.text if call is not None and call.summary is not None else ""
            return PlainTextResponse(
                f"WEBVTT\n\n00:00.000 --> 00:05.000\n{text}\n", media_type="text/vtt; charset=utf-8"
            )
        return Response(tiny_wav(), media_type="audio/wav")


class Control:
    """``/_sandbox/…``: what a person or another process orders from outside."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def order_fault(self, request: Request) -> Response:
        """``{"method", "path", "status" | "slow" | "hang" | "disconnect", "times"}`` as in ``fail_next``."""
        order = await request.json()
        try:
            self._sandbox.fail_next(order.pop("method", "*"), order.pop("path", "*"), **order)
        except (TypeError, ValueError) as problem:
            return JSONResponse({"message": str(problem)}, status_code=400)
        return Response(status_code=204)

    async def set_switches(self, request: Request) -> Response:
        """``{"split", "plain_dates", "repeat_rows", "is_forbidden"}`` (booleans) and ``"now"`` (ISO, null = real)."""
        order = await request.json()
        try:
            if "now" in order:
                now = order.pop("now")
                self._sandbox.clock.set(None if now is None else datetime.fromisoformat(now))
            for name, value in order.items():
                if name not in _SWITCHES or not isinstance(value, bool):
                    raise ValueError(f"not a switch: {name}={value!r}; there are {', '.join(_SWITCHES)}")
                setattr(self._sandbox, name, value)
        except (TypeError, ValueError) as problem:
            return JSONResponse({"message": str(problem)}, status_code=400)
        return Response(status_code=204)

    async def load_traffic(self, request: Request) -> Response:
        """A traffic file: its employees, numbers and calls become the project's."""
        try:
            self._sandbox.load_traffic(await request.json())
        except (ValueError, KeyError) as problem:
            return JSONResponse({"message": f"unreadable traffic file: {problem}"}, status_code=400)
        return JSONResponse({"calls": len(self._sandbox.calls), "forms": len(self._sandbox.forms)})

    async def set_webhooks(self, request: Request) -> Response:
        """``{"url", "mixed": true}`` or ``{"url", "shape", "plain"}``: the project's webhooks, all moments."""
        order = await request.json()
        try:
            count = self._sandbox.set_up(**order)
        except (TypeError, ValueError) as problem:
            return JSONResponse({"message": str(problem)}, status_code=400)
        return JSONResponse({"webhooks": count})

    async def play(self, request: Request) -> Response:
        """``{"ids": [...]}``: send the webhooks of these events, of all loaded ones without ids."""
        text = await request.body()
        order = json.loads(text) if text else {}
        wanted = order.get("ids")
        events = [event for event in self._sandbox.events() if wanted is None or event.id in wanted]
        deliveries = await self._sandbox.deliver(*events, at_once=order.get("at_once", 1))
        return JSONResponse(
            {
                "sent": len(deliveries),
                "failed": sum(not each.is_ok for each in deliveries),
                # of these, without any answer in the vendor's time
                "unanswered": sum(each.status is None for each in deliveries),
            }
        )

    async def set_webhook_number(self, request: Request) -> Response:
        """``{"url"}``, and what else a `WebhookNumber` has: whom to ask before a call rings anybody."""
        order = await request.json()
        try:
            for name, form in (("request_form", RequestForm), ("reply_form", ReplyForm)):
                if name in order:
                    order[name] = form(order[name])
            self._sandbox.webhook_number = WebhookNumber(**order)
        except (TypeError, ValueError) as problem:
            return JSONResponse({"message": str(problem)}, status_code=400)
        return JSONResponse({"id": self._sandbox.webhook_number.id})

    async def ask(self, request: Request) -> Response:
        """``{"ids": [...], "at_once"}``: ask whom to ring for these calls; the answers in the calls' order."""
        order = await request.json()
        number = self._sandbox.webhook_number
        unknown = [id for id in order["ids"] if id not in self._sandbox.calls]
        if number is None or unknown:
            why = f"no such calls: {', '.join(unknown)}" if unknown else "there is no webhook number yet"
            return JSONResponse({"message": why}, status_code=400)
        slots = asyncio.Semaphore(order.get("at_once", 1))

        async def asked(id: str) -> Answer:
            call = self._sandbox.calls[id]
            question = Question(
                call_id=call.id,
                caller=call.client_number or "anonymous",
                dst=call.company_number,
                others={"scheme_name": call.scheme, "pool_name": call.attribution.pool},
            )
            async with slots:
                return await self._sandbox.ask(question, number)

        answers = await asyncio.gather(*map(asked, order["ids"]))
        return JSONResponse([self._told(answer) for answer in answers])

    def _told(self, answer: Answer) -> dict[str, Any]:
        employee = self._sandbox.staff.find_by_contact(answer.destination) if answer.destination else None
        return {
            "call": answer.question.call_id,
            "destination": answer.destination,
            "employee": employee.name if employee else "",
            "status": answer.status,
            "error": answer.error,
            "seconds": answer.seconds,
        }

    async def deliveries(self, request: Request) -> Response:
        """Every webhook sent so far with what became of it, as on the vendor's error page."""
        return JSONResponse(
            [
                {
                    "event": each.request.event_id,
                    "moment": each.request.moment.value,
                    "method": each.request.method,
                    "status": each.status,
                    "error": each.error,
                }
                for each in self._sandbox.deliveries
            ]
        )

    async def callbacks(self, request: Request) -> Response:
        """Call-backs that were asked for, oldest first."""
        return JSONResponse(self._sandbox.callbacks)


def _directions(direction: str) -> list[dict[str, str]]:
    return [{"direction": direction, "type": "sip" if "_" in direction else "phone"}] if direction else []


async def _rpc_call(request: Request) -> dict[str, Any] | None:
    try:
        call = json.loads(await request.body())
    except ValueError:
        return None
    return call if isinstance(call, dict) else None


def _rpc_error(call_id: object, code: int, message: str) -> Response:
    return JSONResponse({"jsonrpc": "2.0", "id": call_id, "error": {"code": code, "message": message}})
