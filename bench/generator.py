"""Sends HTTP requests over raw sockets and times the answers: small enough not to be what is measured.

A process of its own: reads a `Spec` as JSON from standard input, writes a `Result` as JSON.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field

__all__ = ["Result", "Spec", "run"]

_LENGTH = b"content-length: "


@dataclass(slots=True, kw_only=True)
class Spec:
    """What to send."""

    port: int
    path: str
    #: as fast as the answers come over this many connections
    connections: int = 16
    #: a new connection for each request, as Ringostat does
    is_closing: bool = False
    seconds: float = 2.0
    #: requests a second whatever the answers do; 0 = as fast as the answers come
    rate: float = 0.0
    #: ``{n}`` becomes a number of 12 digits that never repeats, ``{caller}`` one of `callers`
    body: str = ""
    callers: tuple[int, int] = (380500000000, 1)
    first: int = 0
    cpu: int | None = None


@dataclass(slots=True, kw_only=True)
class Result:
    """What came back."""

    requests: int
    seconds: float
    errors: int
    #: milliseconds from the request to the whole answer
    median_ms: float
    p99_ms: float
    worst_ms: float
    #: the last answer's body, to see that it is the right one
    sample: str = ""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds if self.seconds else 0.0


@dataclass(slots=True, eq=False)
class _Line:
    sock: socket.socket
    began: float = 0.0
    read: bytes = b""
    pending: bytes = b""


@dataclass(eq=False)
class _Run:
    spec: Spec
    epoll: select.epoll = field(default_factory=select.epoll)
    lines: dict[int, _Line] = field(default_factory=dict)
    idle: deque[_Line] = field(default_factory=deque)
    took: list[float] = field(default_factory=list)
    sent: int = 0
    errors: int = 0
    sample: bytes = b""

    def __post_init__(self) -> None:
        spec = self.spec
        body = spec.body.replace("{n}", "0" * 12).replace("{caller}", "0" * 12)
        head = (
            f"POST {spec.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: 127.0.0.1\r\n"
            "User-Agent: ringostat HTTP Client v1.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n" + ("Connection: close\r\n" if spec.is_closing else "") + "\r\n"
        )
        self.template = (head + spec.body.replace("%", "%%")).replace("{n}", "%(n)012d")
        self.template = self.template.replace("{caller}", "%(caller)012d")
        # numbers in a fixed disorder, so that neighbours in the directory are not neighbours in time
        self.step = 7919

    def request(self) -> bytes:
        first, count = self.spec.callers
        caller = first + (self.sent * self.step) % count
        return (self.template % {"n": self.spec.first + self.sent, "caller": caller}).encode()

    def begin(self) -> None:
        """Send one request on an idle connection, or on a new one."""
        request = self.request()
        self.sent += 1
        now = time.perf_counter()
        if self.idle:
            line = self.idle.popleft()
            line.began, line.read = now, b""
            line.sock.send(request)
            return
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = _Line(sock=sock, began=now, pending=request)
        code = sock.connect_ex(("127.0.0.1", self.spec.port))
        self.lines[sock.fileno()] = line
        if code == 0:
            sock.send(request)
            line.pending = b""
            self.epoll.register(sock.fileno(), select.EPOLLIN)
        else:
            self.epoll.register(sock.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def handle(self, fd: int, events: int) -> bool:
        """True when an answer is complete."""
        line = self.lines[fd]
        if line.pending and events & select.EPOLLOUT:
            line.sock.send(line.pending)
            line.pending = b""
            self.epoll.modify(fd, select.EPOLLIN)
            return False
        try:
            data = line.sock.recv(65536)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data and line in self.idle:
            # the server closes a connection that was idle for long
            self.idle.remove(line)
            self._close(fd)
            return False
        line.read += data
        if not self.spec.is_closing and data:
            if not _is_whole(line.read):
                return False
        elif data:
            return False
        now = time.perf_counter()
        if line.read.startswith(b"HTTP/1.1 200"):
            self.took.append(now - line.began)
            self.sample = line.read
        else:
            self.errors += 1
        if self.spec.is_closing or not data:
            self._close(fd)
        else:
            self.idle.append(line)
        return True

    def _close(self, fd: int) -> None:
        self.epoll.unregister(fd)
        self.lines.pop(fd).sock.close()


def _is_whole(read: bytes) -> bool:
    end = read.find(b"\r\n\r\n")
    if end < 0:
        return False
    at = read.find(_LENGTH, 0, end + 2)
    length = 0 if at < 0 else int(read[at + len(_LENGTH) : read.find(b"\r\n", at)])
    return len(read) >= end + 4 + length


def run(spec: Spec) -> Result:
    """Send until the time is over; requests under way then are waited for."""
    if spec.cpu is not None:
        os.sched_setaffinity(0, {spec.cpu})
    state = _Run(spec)
    began = time.perf_counter()
    end = began + spec.seconds
    if spec.rate:
        _at_rate(state, began, end)
    else:
        for _ in range(spec.connections):
            state.begin()
        while (now := time.perf_counter()) < end:
            for fd, events in state.epoll.poll(end - now):
                if state.handle(fd, events) and time.perf_counter() < end:
                    state.begin()
    seconds = time.perf_counter() - began
    _drain(state)
    took = sorted(state.took) or [0.0]
    return Result(
        requests=len(state.took),
        seconds=seconds,
        errors=state.errors,
        median_ms=took[len(took) // 2] * 1000,
        p99_ms=took[min(len(took) - 1, int(len(took) * 0.99))] * 1000,
        worst_ms=took[-1] * 1000,
        sample=state.sample.partition(b"\r\n\r\n")[2].decode("latin-1")[:200],
    )


def _at_rate(state: _Run, began: float, end: float) -> None:
    gap = 1 / state.spec.rate
    due = began
    while True:
        now = time.perf_counter()
        while due <= now and due < end:
            state.begin()
            due += gap
        if due >= end:
            return
        # `select` waits in microseconds, `epoll` in whole milliseconds
        select.select([state.epoll.fileno()], (), (), max(0.0, due - time.perf_counter()))
        for fd, events in state.epoll.poll(0):
            state.handle(fd, events)


def _drain(state: _Run) -> None:
    limit = time.perf_counter() + 2
    while len(state.lines) > len(state.idle) and time.perf_counter() < limit:
        for fd, events in state.epoll.poll(0.1):
            state.handle(fd, events)
    state.errors += len(state.lines) - len(state.idle)


if __name__ == "__main__":
    given = json.load(sys.stdin)
    given["callers"] = tuple(given["callers"])
    json.dump(asdict(run(Spec(**given))), sys.stdout)
