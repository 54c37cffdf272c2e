"""``hub demo``: whatever stops the day is told in a sentence, with what to do."""

from __future__ import annotations

import logging

import httpx
import typer
import uvloop

from hub.commands.context import Exit, console, errors, fail, quietly
from hub.demo.play import DemoOptions, play
from hub.demo.stage import TOO_BUSY, DemoStopped
from hub.demo.summary import last_line
from hub.errors import HubError

__all__ = ["demo"]

log = logging.getLogger(__name__)


def demo(options: DemoOptions) -> None:
    """Play the day; exit status 1 if something was lost or doubled, or if it could not be played to its end."""
    try:
        # a program reads standard output: what is for people goes beside it
        summary = quietly(lambda: uvloop.run(play(options, errors if options.is_json else console)))
    except typer.Exit:
        # somebody ended it
        raise
    except Exception as err:
        log.debug("the demo stopped", exc_info=err, extra={"action": "demo.stopped"})
        raise fail(f"the demo stopped: {_why(_first(err))}", Exit.FOUND) from None
    if options.is_json:
        typer.echo(last_line(summary))
    if summary.lost or summary.doubled:
        raise typer.Exit(Exit.FOUND)


def _first(err: BaseException) -> BaseException:
    """What went wrong first, of several things at once."""
    while isinstance(err, BaseExceptionGroup):
        err = err.exceptions[0]
    return err


def _why(err: BaseException) -> str:
    match err:
        case DemoStopped() | HubError():
            return str(err)
        case TimeoutError() | httpx.TimeoutException():
            return f"something took too long; {TOO_BUSY}"
        case OSError():
            return f"{err}; is the port taken? --port 0 takes a free one"
        case _:
            return f"{type(err).__name__}: {err}; HUB_LOG_LEVEL=debug shows where, please tell us"
