"""HTTP as uvicorn has it, with answers on the spot where the application has them (R3, DESIGN 11).

A task, its messages and the wait for a body that is there already are more than half of what a small answer costs. So
a whole request that came in one piece is shown to the application first; what it leaves alone, and everything that is
out of the ordinary, goes uvicorn's own way, as if nobody had looked.

Who asks the same address again sends the same line and headers, and only another body. Reading them was a sixth of
what is left: a head that was read and answered here once is known when it comes again (`Heads`). A connection on which
nothing else is ever asked needs no parser, and has none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["AnswersAtOnce", "Heads", "PromptProtocol"]

#: how many looks of the server a connection that was answered here may rest before it is closed
RESTS = 3
#: heads that are known at once, and how long, in bytes, one that is worth knowing may be
MOST_HEADS, LONGEST_HEAD = 256, 2048

_END = b"\r\n\r\n"


@runtime_checkable
class AnswersAtOnce(Protocol):
    """An application that need not wait for some of its answers."""

    #: what the addresses begin with for which `at_once` is asked
    prompt_paths: bytes

    def at_once(
        self, method: str, url: bytes, headers: Sequence[tuple[bytes, bytes]], body: bytes
    ) -> tuple[bytes, bytes] | None:
        """Status line and headers, each with its line end, and the body; None: ask as ASGI does. Never raises.

        ``url`` is what stands in the request line, and the headers' names are in lower case, as ASGI has them.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Head:
    """What the parser says of a request up to its body, which is of ``length`` bytes."""

    method: str
    url: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    length: int
    is_kept: bool


#: by its bytes, the empty line included. What the parser makes of bytes depends on nothing else while it is between
#: two messages, so that the same bytes need not be read twice
Heads: TypeAlias = dict[bytes, _Head]


class PromptProtocol(HttpToolsProtocol):
    """One connection. What uvicorn's own class keeps of it is made when it is first needed (`_wake`)."""

    # who looks at a connection that never needed it sees one on which nothing was asked
    cycle: Any = None
    scope: Any = None

    _is_awake = False
    #: no byte of a request that is not answered yet has come
    _is_between = True
    #: what came while nothing else was under way
    _piece = b""
    #: the request that the application may answer at once is on its way
    _is_held = False
    _is_kept = True
    _body = b""
    #: nothing has come since the last answer here, and so many looks were made at it; None: uvicorn's own timer
    rested: int | None = None

    def __init__(self, prompt: AnswersAtOnce, heads: Heads, **given: Any) -> None:
        self._given, self.server_state = given, given["server_state"]
        self._at_once, self._paths, self._heads = prompt.at_once, prompt.prompt_paths, heads

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        # who is at both ends is asked of the system on uvicorn's way alone (`_go_on`)
        self.server_state.connections.add(self)
        self.transport = transport

    def _wake(self) -> None:
        """Become uvicorn's, of which nothing was asked yet."""
        transport, self._is_awake = self.transport, True
        super().__init__(**self._given)
        self.transport, self.flow = transport, FlowControl(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._is_awake:
            super().connection_lost(exc)
        else:
            self.server_state.connections.discard(self)

    def pause_writing(self) -> None:
        if not self._is_awake:
            self._wake()
        super().pause_writing()

    def resume_writing(self) -> None:
        if self._is_awake:
            super().resume_writing()

    def data_received(self, data: bytes) -> None:
        self.rested = None
        if self._is_between:
            end = data.find(_END) + len(_END)
            head = self._heads.get(data[:end])
            if head is not None and head.length == len(data) - end and self._may_answer():
                found = self._at_once(head.method, head.url, head.headers, data[end:])
                if found is not None:
                    self._answer(found, head.is_kept)
                    return
            self._piece = data
        if not self._is_awake:
            self._wake()
        super().data_received(data)
        self._piece = b""
        if self._is_held:
            # it comes in pieces: its time is watched where others are
            self._let_go()

    def _may_answer(self) -> bool:
        return not (self._is_awake and self.flow.write_paused) and not self.transport.is_closing()

    def on_message_begin(self) -> None:
        # the scope is filled where it is needed; until then it only tells one request from another
        self.url, self.headers, self.scope = b"", [], {}
        self._is_between = False
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        parser, cycle = self.parser, self.cycle
        if (
            self.url.startswith(self._paths)
            and (cycle is None or cycle.response_complete)
            and not self.expect_100_continue
            and not parser.should_upgrade()
            and self._may_answer()
        ):
            self._is_held, self._body = True, b""
            self._is_kept = parser.should_keep_alive() and parser.get_http_version() == "1.1"
            return
        self._go_on()

    def on_body(self, body: bytes) -> None:
        if self._is_held:
            self._body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._is_held:
            super().on_message_complete()
            return
        method = self.parser.get_method().decode("ascii")
        # the answer to HEAD has no body, and uvicorn knows what else that means
        found = None if method == "HEAD" else self._at_once(method, self.url, self.headers, self._body)
        if found is None:
            self._let_go()
            super().on_message_complete()
            return
        self._is_held, self._is_between = False, True
        self._remember(method)
        self._answer(found, self._is_kept)

    def _answer(self, found: tuple[bytes, bytes], is_kept: bool) -> None:
        self.server_state.total_requests += 1
        if is_kept:
            self.transport.write(b"%b\r\n%b" % found)
            self.rested = 0
        else:
            self.transport.write(b"%bconnection: close\r\n\r\n%b" % found)
            self.transport.close()

    def _remember(self, method: str) -> None:
        """Know the head of what was answered, if it and its body were the whole piece."""
        piece, self._piece = self._piece, b""
        end = piece.find(_END) + len(_END)
        # a question in the address is another one each time
        if len(_END) <= end <= LONGEST_HEAD and piece[end:] == self._body and b"?" not in self.url:
            if len(self._heads) >= MOST_HEADS:
                self._heads.clear()
            self._heads[piece[:end]] = _Head(method, self.url, tuple(self.headers), len(self._body), self._is_kept)

    def has_rested(self) -> bool:
        """One more look: True if nothing has come for so long after an answer that the connection is to be closed."""
        if self.rested is None:
            return False
        self.rested += 1
        return self.rested >= RESTS

    def _go_on(self) -> None:
        """The headers are complete: on uvicorn's way from here."""
        self.rested = None
        if self.scheme is None:
            flow = self.flow
            super().connection_made(self.transport)
            self.flow = flow
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def _let_go(self) -> None:
        """The same, for what was held."""
        self._is_held = False
        self._go_on()
        if self._body:
            super().on_body(self._body)
