"""The account's own origin: its pages, the widget's unpacked files, and behind them the amoCRM sandbox."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub_amocrm import sandbox as crm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from hub.widget_archive import Archive, check_archive
from tests.browser.libraries import library

__all__ = ["AccountPages", "Refused"]

PAGE = Path(__file__).parent / "page"
TYPES = {"js": "text/javascript", "json": "application/json", "css": "text/css", "png": "image/png",
         "svg": "image/svg+xml", "twig": "text/plain", "mp3": "audio/mpeg", "html": "text/html"}  # fmt: skip
#: what amoCRM itself refuses when an archive is uploaded; the rest is for moderators
REFUSED = frozenset(
    {
        *("archive-zip", "archive-root", "archive-complete", "text-bom", "text-utf8", "manifest-json"),
        *("manifest-interface", "manifest-locations", "i18n-files", "i18n-keys", "image-there", "image-size"),
        *("image-weight",),
    }
)


#: the page's own modules, each under its id
MODULES = (
    *("app", "cache", "loader", "main", "notifications", "screens", "settings", "widget"),
    *("lib/common/router", "lib/common/cookie", "lib/common/fn", "lib/components/base/modal"),
)
#: the first part of the addresses of the CRM's pages
SECTIONS = ("dashboard", "leads", "contacts", "companies", "todo", "settings", "advanced_settings", "widget_page")


class Refused(Exception):
    """amoCRM would not take the archive."""


@dataclass(slots=True)
class AccountPages:
    """Serves everything from the account's origin; wraps the sandbox's application."""

    sandbox: crm.Sandbox
    #: unpacked archives by their random folder
    _unpacked: dict[str, Archive] = field(default_factory=dict)
    #: seconds that files of widgets take, by the end of their path
    slow: dict[str, float] = field(default_factory=dict)
    #: read by the page when it is loaded: language, theme, rights, faults
    boot: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        inner = self.sandbox.app
        self.sandbox.app = Starlette(
            routes=[
                Route("/_page/all.js", self._modules),
                Route("/_page/{path:path}", self._own),
                Route("/_lib/{name}", self._library),
                Route("/_login/{user:int}", self._log_in),
                Route("/w/{folder}/{path:path}", self._widget),
                Route("/", self._screen),
                *(Route(f"/{name}{rest}", self._screen) for name in SECTIONS for rest in ("", "/{rest:path}")),
                Mount("/", app=inner),
            ],
            lifespan=inner.router.lifespan_context,
        )

    def upload(
        self,
        archive: Archive,
        *,
        code: str = "crm_hub",
        settings: Mapping[str, Any] | str = "",
        is_checked: bool = True,
    ) -> str:
        """Install an archive as amoCRM does, under a new random path; gives that path. Raises Refused."""
        broken = [found for found in check_archive(archive) if found.rule in REFUSED]
        if broken and is_checked:
            raise Refused("; ".join(f"{found.place}: {found.fault.problem}" for found in broken))
        folder = secrets.token_hex(6)
        self._unpacked[folder] = archive
        manifest = archive.json("manifest.json")
        widget, texts = manifest["widget"], archive.texts
        locale = "ru" if "ru" in archive.locales else archive.locales[0]
        spoken = texts.get(locale, {})
        kept = {"settings": settings} if settings != "" else {}
        self.sandbox.install_widget(
            code,
            src=f"/w/{folder}/script.js",
            lang=f"/w/{folder}/i18n/{locale}.json",
            path=f"/w/{folder}",
            images_path=f"/w/{folder}/images",
            installed_version=widget["version"],
            init_once="Y" if widget.get("init_once") else "N",
            name=spoken.get("widget.name", code),
            description=spoken.get("widget.description", ""),
            oauth_client_uuid=self.sandbox.integration.client_id,
            category_id=1,
            support=widget.get("support", {}),
            manifest=manifest,
            **kept,
        )
        return f"/w/{folder}"

    # --- answers --------------------------------------------------------------------------------------------------

    async def _own(self, request: Request) -> Response:
        found = PAGE / request.path_params["path"]
        if not found.is_file() or PAGE not in found.resolve().parents:
            return Response(status_code=404)
        return Response(found.read_bytes(), media_type=TYPES[found.suffix[1:]], headers={"Cache-Control": "no-store"})

    async def _modules(self, request: Request) -> Response:
        """The page's own modules in one file, each by its id: one request instead of a dozen, one after the other."""
        parts = []
        for name in MODULES:
            text = (PAGE / f"{name}.js").read_text(encoding="utf-8")
            parts.append(text.replace("define([", f"define('{name}', [", 1))
        return Response("\n".join(parts), media_type=TYPES["js"], headers={"Cache-Control": "no-store"})

    async def _library(self, request: Request) -> Response:
        return Response(
            library(request.path_params["name"]), media_type=TYPES["js"], headers={"Cache-Control": "max-age=3600"}
        )

    async def _log_in(self, request: Request) -> Response:
        answer = RedirectResponse(request.query_params.get("next", "/dashboard/"), status_code=302)
        answer.set_cookie("session_id", self.sandbox.log_in(request.path_params["user"]), httponly=True)
        return answer

    async def _widget(self, request: Request) -> Response:
        archive = self._unpacked.get(request.path_params["folder"])
        path = request.path_params["path"]
        for end, seconds in self.slow.items():
            if path.endswith(end):
                await asyncio.sleep(seconds)
        if archive is None or path not in archive.files:
            return Response(status_code=404)
        kind = TYPES.get(path.rpartition(".")[2].lower(), "application/octet-stream")
        return Response(archive.files[path], media_type=kind, headers={"Cache-Control": "max-age=3600"})

    async def _screen(self, request: Request) -> Response:
        user = self._user(request)
        if user is None:
            return Response("log in first", status_code=401)
        text = json.dumps(self._boot(user), ensure_ascii=False).replace("<", "\\u003c")
        page = (PAGE / "page.html").read_text(encoding="utf-8").replace("{{BOOT}}", text)
        return HTMLResponse(page, headers={"Cache-Control": "no-store"})

    def _user(self, request: Request) -> Any:
        world = self.sandbox.world
        grant = self.sandbox.gateway.front_end.session(request.cookies.get("session_id", ""))
        return world.users.get(grant.user_id) if grant is not None else None

    def _boot(self, user: Any) -> dict[str, Any]:
        world = self.sandbox.world
        users = list(world.users.values())
        managers = {
            str(one.id): {
                "id": one.id, "title": one.name, "option": one.name, "active": one.is_active, "login": one.email,
                "status": "", "is_admin": "Y" if one.is_admin else "N", "free_user": "N", "avatar": "",
                "group": f"group_{one.group_id}", "theme": "light",
            }
            for one in users
        }  # fmt: skip
        account = {
            "id": world.account.id,
            "subdomain": world.account.subdomain,
            "name": world.account.name,
            "timezone": world.account.timezone,
            "currency": "RUB",
            "language": self.boot.get("language", "ru"),
            "users": [{"id": one.id, "name": one.name, "login": one.email, "is_admin": one.is_admin} for one in users],
            "cf": {},
        }
        return {
            "language": self.boot.get("language", "ru"),
            "theme": self.boot.get("theme", "light"),
            "widgets_off": self.boot.get("widgets_off", False),
            "faults": self.boot.get("faults", {}),
            "pipeline_id": world.main_pipeline.id,
            "account": account,
            "constants": {
                "user": {"id": user.id, "name": user.name, "login": user.email, "api_key": "", "settings": {}},
                "user_rights": {"is_admin": user.is_admin, "is_free_user": self.boot.get("is_free_user", False)},
                "account": account,
                "managers": managers,
                "groups": {f"group_{number}": name for number, name in world.account.groups},
                "task_types": {str(number): {"id": number, "option": name} for number, name, _ in
                               world.account.task_types},
                "version": "standin",
                "widgets_cache_version": 1,
            },
        }  # fmt: skip
