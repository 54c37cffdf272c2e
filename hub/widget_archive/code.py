"""Rules about the scripts: the shape that amoCRM's loader wants, and the marketplace's checklist for code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from hub.widget_archive.archive import SCRIPT, Archive
from hub.widget_archive.files import scripts_in_use
from hub.widget_archive.finding import Fault

__all__ = [
    "must_answer_callbacks",
    "must_ask_nothing_in_loops",
    "must_be_closed",
    "must_be_readable",
    "must_be_strict",
    "must_define_a_module",
    "must_leave_globals_alone",
    "must_leave_installation_alone",
    "must_load_nothing",
    "must_name_recipients",
    "must_not_alert",
    "must_not_eval",
    "must_not_log",
    "must_not_wait",
    "must_read_known_members",
    "must_write_no_markup",
]

LONGEST_LINE = 240
CALLBACKS = ("render", "init", "bind_actions")
#: modules of amoCRM's page that a widget may depend on
SYSTEM_MODULES = frozenset(
    (
        *("jquery", "underscore", "backbone", "twigjs", "moment", "pubsub", "store", "intl_tel_input", "steady"),
        *("google-libphonenumber", "clipboard", "quill", "chartjs", "fullcalendar", "jplayer", "js-uuid"),
        *("lib/components/base/modal", "lib/common/router", "lib/common/cookie", "lib/common/fn"),
    )
)
#: members of `APP` that the vendor documents, or that its own pages and every telephony widget rely on
APP_MEMBERS = frozenset(
    (
        *("getBaseEntity", "isCard", "getWidgetsArea", "getV3WidgetsArea", "constant", "lang_id", "data", "widgets"),
        *("sdk", "addNotificationCallback", "router", "ifvisible", "click_event", "notifications"),
    )
)
_OBFUSCATED = r"\b_0x[0-9a-f]{3,}\b"
_OF_APP = r"\b(?:APP|AMOCRM)"
_ASSIGNED = r"\s*(?:[-+*/|&]?=(?![=>])|\+\+|--)"
_BUILTINS = "Array|Object|String|Number|Function|Date|RegExp|Promise|Element|Node|Event|Map|Set|jQuery|\\$"


def must_define_a_module(archive: Archive) -> Iterator[Fault]:
    script = archive.scripts.get(SCRIPT)
    if script is None:
        return
    if not re.match(r"\s*define\s*\(", script.code):
        yield Fault(file=SCRIPT, line=1, problem="the script does not begin with define(", mend="make it an AMD module")
    for path in scripts_in_use(archive):
        if path != SCRIPT and not re.search(r"\bdefine\s*\(", archive.scripts[path].code):
            yield Fault(file=path, line=1, problem="the file defines no module", mend="wrap it in define([...], ...)")
        for found in archive.scripts[path].dependencies:
            yield from _dependency(archive, path, found.value, found.line)


def _dependency(archive: Archive, path: str, name: str, line: int) -> Iterator[Fault]:
    if re.match(r"(?:https?:)?//", name):
        yield Fault(file=path, line=line, problem=f"loads {name}", mend="put the code into the archive")
        return
    bare = name.removeprefix("json!").removeprefix("text!")
    if bare.startswith("."):
        beside = PurePosixPath(path).parent / bare
        if bare.endswith((".js", ".json")) and _flat(str(beside)) in archive.files:
            return
        if bare.endswith((".js", ".json")) and _flat(bare) in archive.files:
            return
        yield Fault(
            file=path, line=line, problem=f"depends on {name!r}, which is not there", mend="name the file: ./src/x.js"
        )
    elif bare not in SYSTEM_MODULES and bare not in ("require", "exports", "module"):
        yield Fault(
            file=path, line=line, problem=f"depends on {name!r}, which amoCRM does not have", mend="carry it as ./x.js"
        )


def _flat(path: str) -> str:
    parts: list[str] = []
    for part in PurePosixPath(path).parts:
        if part == "..":
            if parts:
                parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def must_answer_callbacks(archive: Archive) -> Iterator[Fault]:
    if SCRIPT not in archive.scripts:
        return
    code = "\n".join(archive.scripts[path].code for path in scripts_in_use(archive))
    for name in CALLBACKS:
        if not re.search(rf"\b{name}\b\s*(?::|=[^=]|\([^)]*\)\s*\{{)", code):
            yield Fault(
                file=SCRIPT,
                problem=f"the callback '{name}' is missing",
                mend="amoCRM drops a widget without it in silence: add it, returning true",
            )


def must_be_closed(archive: Archive) -> Iterator[Fault]:
    for path, script in archive.scripts.items():
        if script.stuck is not None:
            line, sentence = script.stuck
            yield Fault(file=path, line=line, problem=sentence, mend="close it: the script cannot be read as it stands")


def must_be_readable(archive: Archive) -> Iterator[Fault]:
    """No minified, no obfuscated code; styles too."""
    for path in archive.paths(".js", ".css"):
        if path.endswith((".min.js", ".min.css")):
            yield Fault(file=path, problem="the name says that it is minified", mend="carry the readable source")
        # a long string (a drawn path, a sentence) is readable; a long line of code is not
        code = archive.scripts[path].code if path in archive.scripts else archive.text(path)
        for number, text in enumerate(code.split("\n"), 1):
            letters = len(" ".join(text.split()))
            if letters > LONGEST_LINE:
                yield Fault(
                    file=path,
                    line=number,
                    problem=f"the line has {letters} letters of code",
                    mend=f"readable code only: break lines longer than {LONGEST_LINE}",
                )
                break
    yield from _each(archive, _OBFUSCATED, "looks obfuscated", "carry the readable source")


def must_be_strict(archive: Archive) -> Iterator[Fault]:
    """Ours: strict mode turns an undeclared variable, which the vendor forbids, into an error."""
    for path in scripts_in_use(archive):
        if not any(one.value == "use strict" for one in archive.scripts[path].strings):
            yield Fault(
                file=path,
                line=1,
                problem="there is no 'use strict'",
                mend="begin the module's function with it: an undeclared variable is an error then",
            )


def must_not_eval(archive: Archive) -> Iterator[Fault]:
    yield from _each(archive, r"(?<![\w.$])eval\s*\(|window\s*\.\s*eval\b", "calls eval", "write the code out")
    yield from _each(archive, r"\bnew\s+Function\b|(?<![\w.$])Function\s*\(", "makes code of a text", "write it out")
    yield from _each(
        archive, r"\bset(?:Timeout|Interval)\s*\(\s*['\"`]", "hands a text to a timer", "hand over a function"
    )


def must_not_log(archive: Archive) -> Iterator[Fault]:
    for path, script in archive.scripts.items():
        for line, found in script.find(r"\bconsole\b(?:\s*\.\s*(?P<how>\w+))?"):
            if found["how"] == "trace" and script.is_in_catch(found.start()):
                continue
            yield Fault(
                file=path,
                line=line,
                problem=f"writes to the console: {found[0]}",
                mend="take it out; console.trace is allowed where a failure is dealt with",
            )


def must_not_alert(archive: Archive) -> Iterator[Fault]:
    yield from _each(
        archive,
        r"(?:(?<![\w.$])|window\s*\.\s*)(?:alert|confirm|prompt)\s*\(",
        "opens a window of the browser",
        "show it inside the widget",
    )
    yield from _each(archive, r"\bdebugger\b", "stops for a debugger", "take it out")


def must_load_nothing(archive: Archive) -> Iterator[Fault]:
    """All code is in the archive: nothing is loaded from our host, nothing is made a script."""
    mend = "put the code into the archive and name it in define([...])"
    yield from _each(archive, r"createElement\s*\(\s*['\"`]script", "makes a script element", mend)
    yield from _each(archive, r"\bgetScript\s*\(|\bimportScripts\s*\(|(?<![\w.$])import\s*[(\"'{*]", "loads code", mend)
    yield from _each(archive, r"\bdocument\s*\.\s*write(?:ln)?\s*\(", "writes into the page", mend)
    for path, script in archive.scripts.items():
        for one in script.strings:
            if "<script" in one.value.lower():
                yield Fault(file=path, line=one.line, problem="holds a script as text", mend=mend)
            if re.search(r"^(?:https?:)?//\S+\.js(?:[?#]\S*)?$", one.value):
                yield Fault(file=path, line=one.line, problem=f"names code elsewhere: {one.value}", mend=mend)


def must_not_wait(archive: Archive) -> Iterator[Fault]:
    mend = "ask and go on; answer when it has come"
    yield from _each(archive, r"\basync\s*:\s*(?:false|!1)\b", "asks and blocks the page", mend)
    yield from _each(archive, r"\.open\s*\([^()]*,\s*(?:false|!1)\s*[,)]", "asks and blocks the page", mend)


def must_ask_nothing_in_loops(archive: Archive) -> Iterator[Fault]:
    for path, script in archive.scripts.items():
        for line, found in script.find(
            r"\$authorizedAjax|\bcrm_post\b|\$\.(?:ajax|get|post|getJSON)\s*\(|\bfetch\s*\("
        ):
            if script.is_in_loop(found.start()):
                yield Fault(
                    file=path, line=line, problem=f"asks in a loop: {found[0]}", mend="ask once for all, by one request"
                )


def must_leave_globals_alone(archive: Archive) -> Iterator[Fault]:
    mend = "keep it in a variable of the module; APP may only be read"
    yield from _each(
        archive, rf"{_OF_APP}(?:\s*\.\s*[\w$]+|\s*\[[^\]]*\])+{_ASSIGNED}|delete\s+(?:window\.)?(?:APP|AMOCRM)\b",
        "changes APP", mend,
    )  # fmt: skip
    yield from _each(archive, rf"\b(?:window|globalThis|self\.window)\s*(?:\.\s*[\w$]+|\[[^\]]*\]){_ASSIGNED}",
                     "sets a global", mend)  # fmt: skip
    yield from _each(archive, rf"(?<![\w$])(?:{_BUILTINS})\s*\.\s*(?:prototype|fn)\s*\.\s*\w+{_ASSIGNED}",
                     "changes what belongs to the page", mend)  # fmt: skip


def must_read_known_members(archive: Archive) -> Iterator[Fault]:
    for path, script in archive.scripts.items():
        for line, found in script.find(rf"{_OF_APP}\s*\.\s*(?P<member>[\w$]+)"):
            if found["member"] not in APP_MEMBERS:
                yield Fault(
                    file=path,
                    line=line,
                    problem=f"reads APP.{found['member']}, which is not documented",
                    mend=f"documented are {', '.join(sorted(APP_MEMBERS))}",
                )


def must_leave_installation_alone(archive: Archive) -> Iterator[Fault]:
    for path, script in archive.scripts.items():
        for one in script.strings:
            if re.search(r"js-widget-(?:un)?install|js-secret", one.value):
                yield Fault(
                    file=path,
                    line=one.line,
                    problem=f"reaches for {one.value!r}",
                    mend="leave installing and the keys to the person",
                )
            if re.search(r"switcher_o(?:n|ff)\b", one.value):
                yield Fault(
                    file=path, line=one.line, problem="uses switcher_on or switcher_off", mend="use a class of our own"
                )


def must_name_recipients(archive: Archive) -> Iterator[Fault]:
    yield from _each(
        archive, r"\bpostMessage\s*\((?:[^;]*?),\s*['\"]\*['\"]", "posts a message to anybody", "name the origin"
    )
    for path, script in archive.scripts.items():
        for line, _ in script.find(r"addEventListener\s*\(\s*['\"]message['\"]"):
            if not re.search(r"\.\s*origin\b", script.code):
                yield Fault(
                    file=path, line=line, problem="takes messages from anybody", mend="compare event.origin first"
                )


def must_write_no_markup(archive: Archive) -> Iterator[Fault]:
    """Ours: names and messages come from strangers, so nothing is ever written as markup."""
    yield from _each(
        archive,
        r"\.\s*(?:innerHTML|outerHTML)\s*\+?=(?!=)|\.\s*insertAdjacentHTML\s*\(|\bcreateContextualFragment\s*\(",
        "writes markup",
        "make elements, and set textContent",
    )


def _each(archive: Archive, pattern: str, problem: str, mend: str) -> Iterator[Fault]:
    for path, script in archive.scripts.items():
        for line, found in script.find(pattern):
            seen = " ".join(found[0].split())[:60]
            yield Fault(file=path, line=line, problem=f"{problem}: {seen}", mend=mend)
