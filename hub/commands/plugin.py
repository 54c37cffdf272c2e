"""``hub plugin``: begin one, try one against what the hub expects, see which are installed (X4, U3, DESIGN 7)."""

from __future__ import annotations

import keyword
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hub.commands.context import Exit, JsonOption, console, fail, print_json, say
from hub.plugins import Plugins, load_plugins

__all__ = ["app"]

app = typer.Typer(help="Plugins: begin one, try one, see which are installed.", no_args_is_help=True)

Kind = Literal["source", "rule", "sink"]
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST = 30
#: would shadow a module or a word of the hub
_TAKEN = frozenset({"hub", "core", "testing", "scaffold", "plugin", "test", "tests", "site", "none"})


# --- beginning one ----------------------------------------------------------------------------------------------


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Of the vendor or rule: small letters, digits, underscores.")],
    kind: Annotated[Kind, typer.Option(help="A channel (source), a decision (rule) or a CRM (sink).")],
    directory: Annotated[Path | None, typer.Option(help="Where; default: crm-hub-NAME in this folder.")] = None,
) -> None:
    """Write a distribution that passes its own tests at once.

    It is yours to be changed into your vendor's.
    """
    problem = _problem_with(name)
    if problem:
        raise fail(f"{name!r} cannot be a plugin's name: {problem}")
    distribution = f"crm-hub-{name.replace('_', '-')}"
    target = directory or Path(distribution)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise fail(f"{target} exists and is not an empty folder: nothing was written")
    try:
        for path, text in _written(name, distribution, kind):
            place = target / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
    except OSError as err:
        raise fail(f"{target} cannot be written: {err}", Exit.UNAVAILABLE) from err
    say("{distribution} stands in {target}. Next:", distribution=distribution, target=target)
    for line in (f"cd {target}", "pip install -e '.[dev]'", "pytest", f"hub plugin check {name}"):
        console.print(f"    {line}", highlight=False, markup=False)


def _problem_with(name: str) -> str:
    """Why ``name`` cannot be used, "" if it can."""
    if not _NAME.fullmatch(name):
        return "small Latin letters and digits, words joined by one underscore, a letter first"
    if len(name) > _LONGEST:
        return f"it is longer than {_LONGEST} letters"
    if keyword.iskeyword(name) or name in _TAKEN:
        return "the word is taken"
    if any(entry.name == name for entry in entry_points(group="hub")):
        return "a plugin of this name is installed"
    return ""


def _written(name: str, distribution: str, kind: Kind) -> Iterator[tuple[Path, str]]:
    """Every file of the distribution with its text."""
    title = "".join(part.capitalize() for part in name.split("_"))
    words = (("crm-hub-parrot", distribution), ("Parrot", title), ("parrot", name))

    def told(text: str) -> str:
        for old, fresh in words:
            text = text.replace(old, fresh)
        return text

    for path, template in _templates(files("hub.scaffold").joinpath(kind), Path()):
        yield Path(told(str(path))), told(template.read_text(encoding="utf-8"))


def _templates(folder: Traversable, place: Path) -> Iterator[tuple[Path, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            yield from _templates(entry, place / entry.name)
        elif entry.name.endswith(".tmpl"):
            yield place / entry.name.removesuffix(".tmpl"), entry


# --- trying one -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of one expectation."""

    plugin: str
    #: "source parrot", "sink amocrm" ...
    of: str
    expectation: str
    is_met: bool
    #: what is wrong, "" if nothing
    problem: str
    seconds: float


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="As its entry point is called; 'hub plugin list' tells.")],
    as_json: JsonOption = False,
) -> None:
    """Try an installed plugin against what the hub expects of it.

    Everything that is expected of its kind, in its own sandbox, without a vendor account.
    """
    entry = _entry(name)
    plugins = load_plugins([name])
    if plugins.failures:
        raise fail(f"{name} does not work: {plugins.failures[0].problem}", Exit.FOUND)
    outfits = _outfits(entry)
    verdicts: list[Verdict] = [*_untried(name, plugins, outfits)]
    for verdict in verdicts:
        _show(verdict, as_json=as_json)
    for outfit in outfits:
        for verdict in _tried(name, outfit, as_json=as_json):
            verdicts.append(verdict)
            _show(verdict, as_json=as_json)
    failed = [verdict for verdict in verdicts if not verdict.is_met]
    if as_json:
        print_json({"plugin": name, "ok": not failed, "expectations": [asdict(verdict) for verdict in verdicts]})
    else:
        told = f"{len(failed)} of {len(verdicts)} expectations are not met" if failed else "meets all expectations"
        console.print(f"{name}: {told}", highlight=False)
    if failed:
        raise typer.Exit(int(Exit.FOUND))


def _entry(name: str) -> EntryPoint:
    known = {entry.name: entry for entry in entry_points(group="hub")}
    if name not in known:
        listed = ", ".join(sorted(known)) or "none"
        raise fail(f"no plugin {name!r} is installed; installed: {listed}")
    return known[name]


def _outfits(entry: EntryPoint) -> list[Any]:
    """``OUTFIT`` of the plugin's ``conformance`` module, or of what its entry point in ``hub.conformance`` names."""
    if find_spec("hypothesis") is None:
        raise fail("the conformance kit needs hypothesis: pip install 'crm-hub[testing]'")
    named = {one.name: one for one in entry_points(group="hub.conformance")}
    place = named[entry.name].value if entry.name in named else f"{entry.module}.conformance:OUTFIT"
    module, _, attribute = place.partition(":")
    try:
        found = getattr(import_module(module), attribute or "OUTFIT")
    except ModuleNotFoundError as err:
        if err.name != module:
            raise fail(f"{module} does not import: {err}", Exit.FOUND) from err
        raise fail(f"{entry.name} cannot be tried: it has no {module} with an OUTFIT", Exit.FOUND) from err
    except Exception as err:
        raise fail(f"{place} does not work: {type(err).__name__}: {err}", Exit.FOUND) from err
    return list(found) if isinstance(found, tuple | list) else [found]


def _untried(name: str, plugins: Plugins, outfits: list[Any]) -> Iterator[Verdict]:
    """What the plugin registers and no outfit tries."""
    tried = {_subject(outfit) for outfit in outfits}
    for word, known in (("source", plugins.sources), ("sink", plugins.sinks), ("rule", plugins.rules)):
        for one in known:
            if (word, one) not in tried:
                problem = f"the plugin registers {word} {one}, and its conformance module has no outfit for it"
                yield Verdict(
                    plugin=name, of=f"{word} {one}", expectation="everything that is registered can be tried",
                    is_met=False, problem=problem, seconds=0.0,
                )  # fmt: skip


def _subject(outfit: Any) -> tuple[str, str]:
    """Which registered object ``outfit`` is about."""
    for word in ("source", "sink", "rule"):
        found = getattr(outfit, word, None)
        if found is not None:
            return word, str(getattr(found, "name", "?"))
    raise fail(f"OUTFIT is a SourceOutfit, RuleOutfit or SinkOutfit of hub.testing.outfit, not {outfit!r}", Exit.FOUND)


def _tried(name: str, outfit: Any, *, as_json: bool) -> Iterator[Verdict]:
    """Every expectation of ``outfit``, one after the other."""
    # the kit takes a second to import, and other commands do not need it
    from hub.testing.conformance import stage_of, trials

    of = " ".join(_subject(outfit))
    if not as_json:
        console.print(of, style="bold", highlight=False)
    with stage_of(outfit) as stage:
        for trial in trials(outfit):
            began, problem = time.monotonic(), ""
            try:
                trial.run(stage)
            except AssertionError as err:
                problem = str(err) or trial.sentence
            except Exception as err:  # noqa: BLE001 - a stranger's plugin may raise anything; it is named and shown
                problem = f"{type(err).__name__}: {err}"
            yield Verdict(
                plugin=name,
                of=of,
                expectation=trial.sentence,
                is_met=not problem,
                problem=problem,
                seconds=round(time.monotonic() - began, 3),
            )


def _show(verdict: Verdict, *, as_json: bool) -> None:
    if as_json:
        return
    mark = "[green]ok  [/green]" if verdict.is_met else "[red]mend[/red]"
    console.print(f"  {mark} {verdict.expectation}", highlight=False)
    for line in verdict.problem.splitlines():
        console.print(f"         {line}", markup=False, highlight=False)


# --- seeing which there are -------------------------------------------------------------------------------------


@app.command(name="list")
def list_all(as_json: JsonOption = False) -> None:
    """The installed plugins, and which of them do not work.

    With what each registers.
    """
    plugins = load_plugins()
    entries = {entry.name: entry for entry in entry_points(group="hub")}
    broken = {failure.plugin: failure.problem for failure in plugins.failures}
    rows = []
    for name in sorted(entries):
        dist = entries[name].dist
        registered = [what.removeprefix("register_") for plugin, what in plugins.trace if plugin == name]
        rows.append(
            {
                "plugin": name,
                "distribution": f"{dist.name} {dist.version}" if dist else "",
                "registers": registered,
                "problem": broken.get(name, ""),
            }
        )
    if as_json:
        print_json(rows)
    elif not rows:
        say("No plugin is installed.")
    else:
        for row in rows:
            mark = "[red]mend[/red]" if row["problem"] else "[green]ok  [/green]"
            console.print(f"{mark} {row['plugin']}", end="  ", highlight=False)
            text = row["problem"] or ", ".join(row["registers"])
            console.print(f"{row['distribution']}  {text}", markup=False, highlight=False)
    if broken:
        raise typer.Exit(int(Exit.FOUND))
