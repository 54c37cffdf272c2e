"""Rules about ``manifest.json`` (vendor: "manifest.json", "widget locations", "field types")."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hub.widget_archive.archive import MANIFEST, Archive
from hub.widget_archive.files import scripts_in_use
from hub.widget_archive.finding import Fault

__all__ = [
    "must_be_json",
    "must_carry_its_blocks",
    "must_carry_no_secret",
    "must_describe_settings",
    "must_have_interface_2",
    "must_have_its_keys",
    "must_know_its_keys",
    "must_know_its_locales",
    "must_know_its_locations",
    "must_name_translations",
    "must_show_a_tour",
    "must_use_its_locations",
]

#: of the block ``widget``: key -> (JSON type, may it be left out)
WIDGET_KEYS: Mapping[str, tuple[type, bool]] = {
    "name": (str, False),
    "description": (str, False),
    "short_description": (str, False),
    "version": (str, False),
    "interface_version": (int, False),
    "init_once": (bool, True),
    "locale": (list, False),
    "installation": (bool, False),
    "support": (dict, True),
}
BLOCKS: Mapping[str, type] = {
    "widget": dict,
    "locations": list,
    "settings": dict,
    "tour": dict,
    "advanced": dict,
    "dp": dict,
    "salesbot_designer": dict,
    "left_menu": dict,
    "sms": dict,
    "mobile": dict,
}
#: those of both vendors; `uk` is in neither list
LOCALES = ("ru", "en", "es", "pt", "tr", "id")
FIELD_TYPES = ("text", "pass", "users", "users_lp", "custom")
MOST_SLIDES = 5

_CARD = r"current_card|isCard\s*\(|render_template|get_current_card_contacts_data"
#: each location by its bare name: the code that shows that it is used; None: a block of the manifest does
LOCATIONS: Mapping[str, str | None] = {
    "lcard": _CARD,
    "ccard": _CARD,
    "comcard": _CARD,
    "cucard": _CARD,
    "llist": r"leads\s*:\s*\{|list_selected",
    "clist": r"(contacts|companies)\s*:\s*\{|list_selected",
    "culist": r"customers\s*:\s*\{|list_selected",
    "tlist": r"(todo|tasks)\s*:\s*\{|list_selected",
    "tline": r"(todo|tasks)\s*:\s*\{|list_selected",
    "tcalendar": r"(todo|tasks)\s*:\s*\{|list_selected",
    "card_sdk": r"loadPreloadedData|loadElements",
    "everywhere": r"add_action|addNotificationCallback|notificationsPhone|EventSource|WebSocket|authorizedAjax|"
    r"getWidgetsArea|APP\.notifications",
    "settings": r"\bsettings\s*(:|=[^=]|\()",
    "advanced_settings": r"\badvancedSettings\b",
    "digital_pipeline": r"\bdpSettings\b",
    "lead_sources": r"onAddAsSource|get_pipeline_id",
    "salesbot_designer": r"onSalesbotDesignerSave",
    "catalogs": r"setSdkCatalogId|loadCatalogElement",
    "sms": r"add_source|onSource",
    "whatsapp_modal": r"add_source|onSource|whatsapp",
    "widget_page": r"initMenuPage",
    "mobile_card": None,
    "amoforms": None,
    "website_chat_button": None,
    "ai_agent": None,
}
#: these take ``-0`` (initialised only) or ``-1`` (in the right column)
WITH_COLUMN = ("lcard", "ccard", "comcard", "cucard", "llist", "clist", "culist", "tlist", "tline", "tcalendar")
#: location -> the block that it needs
NEEDED_BLOCK = {
    "settings": "settings",
    "advanced_settings": "advanced",
    "digital_pipeline": "dp",
    "salesbot_designer": "salesbot_designer",
    "widget_page": "left_menu",
    "sms": "sms",
    "mobile_card": "mobile",
}
_VERSION = re.compile(r"\d+\.\d+\.\d+")
#: a text of the manifest may be a path into the translations: `widget.name`
PATH = re.compile(r"[a-z_]+(\.[A-Za-z0-9_]+)+")
_KIND = {str: "a text", int: "a whole number", bool: "true or false", list: "a list", dict: "an object"}


def must_be_json(archive: Archive) -> Iterator[Fault]:
    if MANIFEST not in archive.files:
        return
    if not isinstance(archive.json(MANIFEST), dict):
        yield _fault(archive, problem="it is no JSON object", mend="mend the JSON: a comma too much is the usual cause")


def must_have_its_keys(archive: Archive) -> Iterator[Fault]:
    if not archive.manifest:
        return
    for block in ("widget", "locations"):
        if block not in archive.manifest:
            yield _fault(archive, problem=f"'{block}' is missing", mend=f"add the block '{block}'")
    for block, kind in BLOCKS.items():
        if not _is(archive.manifest.get(block, kind()), kind):
            yield _fault(archive, block, problem=f"'{block}' is not {_KIND[kind]}", mend=f"make it {_KIND[kind]}")
    for key, (kind, is_optional) in WIDGET_KEYS.items():
        where = f"'widget.{key}'"
        if key not in archive.widget:
            if not is_optional:
                yield _fault(archive, "widget", problem=f"{where} is missing", mend=f"add it: {_KIND[kind]}")
        elif not _is(archive.widget[key], kind) or archive.widget[key] in ("", []):
            yield _fault(archive, key, problem=f"{where} is not {_KIND[kind]}, or is empty", mend="fill it in")
    version = archive.widget.get("version")
    if isinstance(version, str) and not _VERSION.fullmatch(version):
        yield _fault(
            archive, "version", problem=f"the version is {version!r}", mend="three numbers: 1.4.0, more each time"
        )


def must_know_its_keys(archive: Archive) -> Iterator[Fault]:
    for key in archive.manifest:
        if key not in BLOCKS:
            yield _fault(archive, key, problem=f"'{key}' is unknown", mend=f"one of {', '.join(BLOCKS)}")
    for key in archive.widget:
        if key not in WIDGET_KEYS and key not in ("code", "secret_key"):
            yield _fault(archive, key, problem=f"'widget.{key}' is unknown", mend=f"one of {', '.join(WIDGET_KEYS)}")


def must_have_interface_2(archive: Archive) -> Iterator[Fault]:
    found = archive.widget.get("interface_version")
    if archive.widget and found != 2:
        yield _fault(archive, "interface_version", problem=f"interface_version is {found!r}", mend="set it to 2")


def must_carry_no_secret(archive: Archive) -> Iterator[Fault]:
    for key in ("secret_key", "code"):
        if key in archive.widget:
            yield _fault(
                archive, key, problem=f"'widget.{key}' stands in the archive", mend="leave it out: amoCRM makes its own"
            )


def must_know_its_locales(archive: Archive) -> Iterator[Fault]:
    for locale in archive.locales:
        if locale not in LOCALES:
            yield _fault(
                archive,
                f'"{locale}"',
                problem=f"the language {locale!r} is unknown",
                mend=f"one of {', '.join(LOCALES)}",
            )
    if len(set(archive.locales)) != len(archive.locales):
        yield _fault(archive, "locale", problem="a language stands there twice", mend="name each once")


def must_know_its_locations(archive: Archive) -> Iterator[Fault]:
    seen: set[str] = set()
    for location in archive.locations:
        bare = location.removesuffix("-0").removesuffix("-1")
        if bare not in LOCATIONS:
            yield _fault(
                archive, f'"{location}"', problem=f"the location {location!r} is unknown", mend="see the vendor's list"
            )
        elif bare != location and bare not in WITH_COLUMN:
            yield _fault(archive, f'"{location}"', problem=f"{bare!r} takes no -0 or -1", mend=f"write {bare!r}")
        if bare in seen:
            yield _fault(archive, f'"{location}"', problem=f"{bare!r} stands there twice", mend="name it once")
        seen.add(bare)


def must_use_its_locations(archive: Archive) -> Iterator[Fault]:
    code = "\n".join(archive.scripts[path].code for path in scripts_in_use(archive))
    for location in archive.locations:
        pattern = LOCATIONS.get(location.removesuffix("-0").removesuffix("-1"))
        if pattern is not None and not re.search(pattern, code):
            yield _fault(
                archive,
                f'"{location}"',
                problem=f"the location {location!r} is declared, but no script does anything there",
                mend="take it out of the manifest, or answer it in the code",
            )
    if re.search(r"\badvancedSettings\b", code) and "advanced_settings" not in archive.places:
        yield _fault(
            archive,
            "locations",
            problem="the code has advancedSettings, and the location is not declared",
            mend="declare 'advanced_settings', or take the code out",
        )


def must_carry_its_blocks(archive: Archive) -> Iterator[Fault]:
    for location, block in NEEDED_BLOCK.items():
        if location in archive.places and not archive.manifest.get(block):
            if location == "settings" and archive.widget.get("installation") is False:
                continue
            yield _fault(
                archive,
                f'"{location}"',
                problem=f"the location {location!r} needs the block '{block}'",
                mend=f"add '{block}'",
            )
        if archive.manifest.get(block) and location not in archive.places and block != "settings":
            yield _fault(
                archive,
                block,
                problem=f"the block '{block}' stands there without the location {location!r}",
                mend=f"declare {location!r}, or take the block out",
            )
    if "card_sdk" in archive.places and not archive.places & {"lcard", "ccard", "comcard"}:
        yield _fault(archive, "card_sdk", problem="card_sdk stands alone", mend="declare lcard, ccard or comcard too")
    if archive.widget.get("installation") is True and not isinstance(archive.manifest.get("settings"), dict):
        yield _fault(archive, "installation", problem="installation is true without 'settings'", mend="add 'settings'")


def must_describe_settings(archive: Archive) -> Iterator[Fault]:
    fields = archive.manifest.get("settings")
    for name, field in (fields if isinstance(fields, dict) else {}).items():
        if not isinstance(field, dict) or not isinstance(field.get("name"), str):
            yield _fault(archive, name, problem=f"the field '{name}' has no name", mend="give it a text or its path")
            continue
        if field.get("type") not in FIELD_TYPES:
            yield _fault(
                archive,
                name,
                problem=f"the field '{name}' is of the type {field.get('type')!r}",
                mend=f"one of {', '.join(FIELD_TYPES)}",
            )
        if not isinstance(field.get("required"), bool):
            yield _fault(archive, name, problem=f"the field '{name}' does not say 'required'", mend="true or false")


def must_name_translations(archive: Archive) -> Iterator[Fault]:
    for name, path in _translated(archive):
        for locale, texts in archive.texts.items():
            if not texts.get(path):
                yield _fault(
                    archive,
                    f'"{path}"',
                    problem=f"{name} is '{path}', which i18n/{locale}.json does not hold",
                    mend="add the text there",
                )


def must_show_a_tour(archive: Archive) -> Iterator[Fault]:
    tour = archive.manifest.get("tour")
    if archive.manifest and not isinstance(tour, dict):
        yield _fault(archive, problem="there is no 'tour'", mend="add one: Kommo takes no archive without slides")
        return
    if not isinstance(tour, dict):
        return
    if tour.get("is_tour") is not True:
        yield _fault(archive, "is_tour", problem="is_tour is not true", mend="set it to true: nothing else is accepted")
    images = tour.get("tour_images")
    by_locale = images if isinstance(images, dict) else {}
    for locale in archive.locales:
        slides = by_locale.get(locale)
        if not isinstance(slides, list) or not 1 <= len(slides) <= MOST_SLIDES:
            yield _fault(
                archive,
                "tour_images",
                problem=f"the tour in {locale!r} has not one to {MOST_SLIDES} slides",
                mend="name them in tour_images",
            )
            continue
        for slide in slides:
            if not isinstance(slide, str) or slide.lstrip("/") not in archive.files:
                yield _fault(archive, f'"{slide}"', problem=f"the slide {slide!r} is missing", mend="add the image")
    if not tour.get("tour_description"):
        yield _fault(archive, "tour", problem="tour_description is missing", mend="add the path of its text")


def _translated(archive: Archive) -> Iterator[tuple[str, str]]:
    """Every text of the manifest that is a path into the translations, with where it stands."""
    manifest = archive.manifest
    for key in ("name", "description", "short_description"):
        yield from _path(f"widget.{key}", archive.widget.get(key))
    tour, advanced, settings = (manifest.get(key) for key in ("tour", "advanced", "settings"))
    if isinstance(tour, dict):
        yield from _path("tour.tour_description", tour.get("tour_description"))
    if isinstance(advanced, dict):
        yield from _path("advanced.title", advanced.get("title"))
    for name, field in (settings if isinstance(settings, dict) else {}).items():
        if isinstance(field, dict):
            yield from _path(f"settings.{name}.name", field.get("name"))


def _path(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str) and PATH.fullmatch(value):
        yield name, value


def _is(value: Any, kind: type) -> bool:
    """Whether ``value`` is of the JSON type: true is no number."""
    return isinstance(value, kind) and (kind is not int or not isinstance(value, bool))


def _fault(archive: Archive, *needles: str, problem: str, mend: str) -> Fault:
    quoted = [needle if needle.startswith('"') else f'"{needle}"' for needle in needles]
    return Fault(file=MANIFEST, line=archive.line(MANIFEST, *quoted), problem=problem, mend=mend)
