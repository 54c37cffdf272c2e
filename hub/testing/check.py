"""One thing that the hub expects of a plugin, and how it is tried (X4)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

__all__ = ["Check", "Checks", "NotConforming", "Several", "expect", "fail", "told"]

Subject = TypeVar("Subject")


class NotConforming(AssertionError):
    """A plugin does not do what the hub expects of it."""


def fail(sentence: str, cause: BaseException | None = None) -> NoReturn:
    """Report what is wrong, in a sentence for the plugin's author."""
    __tracebackhide__ = True
    raise NotConforming(sentence) from cause


def expect(holds: bool, sentence: str) -> None:
    """Report ``sentence`` unless ``holds``."""
    __tracebackhide__ = True
    if not holds:
        fail(sentence)


class Several:
    """Collects what is wrong with each of several cases, so that one run tells of all."""

    def __init__(self) -> None:
        self.found: list[str] = []

    @contextmanager
    def case(self, name: str) -> Iterator[None]:
        """Everything that is reported inside is about ``name``."""
        try:
            yield
        except NotConforming as err:
            self.found.append(f"{name}: {err}")

    def report(self) -> None:
        """Raise if anything was found."""
        __tracebackhide__ = True
        if self.found:
            fail("\n".join(self.found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Generic[Subject]):
    """One expectation; ``name`` is a sentence with underscores."""

    name: str
    #: what it means and why
    text: str
    run: Callable[[Subject], Coroutine[Any, Any, None]]
    #: whether the plugin has the ability that the check is about
    applies: Callable[[Any], bool]

    @property
    def sentence(self) -> str:
        """The name as people read it."""
        return self.name.replace("_", " ")


class Checks(Generic[Subject]):
    """The checks of one kind of plugin, in order; fill it with ``@checks.add``."""

    def __init__(self) -> None:
        self._checks: list[Check[Subject]] = []

    def add(
        self, applies: Callable[[Any], bool] = lambda _: True
    ) -> Callable[[Callable[[Subject], Coroutine[Any, Any, None]]], Callable[[Subject], Coroutine[Any, Any, None]]]:
        """Take a coroutine function as a check; its name is the sentence, its docstring the text."""

        def take(
            run: Callable[[Subject], Coroutine[Any, Any, None]],
        ) -> Callable[[Subject], Coroutine[Any, Any, None]]:
            name = getattr(run, "__name__", "")
            self._checks.append(Check(name=name, text=inspect.getdoc(run) or "", run=run, applies=applies))
            return run

        return take

    def of(self, plugin: object) -> list[Check[Subject]]:
        """The checks that concern ``plugin``."""
        return [check for check in self._checks if check.applies(plugin)]

    def get(self, name: str) -> Check[Subject]:
        """The check called ``name``; raises KeyError."""
        return {check.name: check for check in self._checks}[name]


def told(err: BaseException) -> str:
    """What was raised, on one line."""
    return f"{type(err).__name__}: {err}".splitlines()[0][:300]
