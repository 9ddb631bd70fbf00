"""One connection of our servers: bounded in size, time and number, and a body is never taken for a request.

uvicorn leaves this to a proxy in front: its protocol takes headers of any length, waits for them for ever, parses what
follows an `Upgrade` as the next request, and at the end closes kept connections under the hands of those who are just
sending. What is used of its inside is listed in `USED_OF_UVICORN`, and a test looks whether it is still there.
"""

import logging
import re
import time
from asyncio import TimerHandle
from typing import Any, NoReturn

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from middleware.web.body_budget import FREE_BYTES, BodyBudget
from middleware.web.connection_limits import ConnectionLimits

USED_OF_UVICORN = (
    *("connection_made", "connection_lost", "data_received", "eof_received", "shutdown"),
    *("on_headers_complete", "on_body", "on_message_complete", "on_response_complete", "send_400_response"),
)

MAX_HEADER_BYTES = 32 * 1024
HEADER_SECONDS = 10.0
BODY_SECONDS = 60.0
"""For the whole body, also one that nobody reads, where nothing else is said (`guarded`)."""

LINGER_SECONDS = 0.5
"""How long a kept connection may still bring a request after the end was announced."""

MOST_PIPELINED = 10
MANY_CHUNKS, TINY_CHUNK = 256, 256
"""More chunks than these are refused when they hold fewer bytes on average: each costs as much as a big one."""

_CONTROL = re.compile(rb"%(?:[01][0-9a-f]|7f)", re.IGNORECASE)


def _answer(status: str, text: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {len(text)}\r\n"
    return f"{head}connection: close\r\n\r\n{text}".encode()


TOO_LARGE = _answer("431 Request Header Fields Too Large")
TOO_SLOW = _answer("408 Request Timeout")
NOT_HTTP = _answer("400 Bad Request", "This is not a valid HTTP request.")
NO_UPGRADE = _answer("400 Bad Request", "This server speaks HTTP/1.1 only: send the request without Upgrade.")
NO_HOST = _answer("400 Bad Request", "A request has exactly one Host header.")
NO_ENCODING = _answer("400 Bad Request", "The only Transfer-Encoding taken is chunked.")
NO_CONTROLS = _answer("400 Bad Request", "The address holds control characters.")
NO_TRAILERS = _answer("400 Bad Request", "Trailers after a body are not taken.")
TINY_CHUNKS = _answer("400 Bad Request", "The body comes in too many tiny chunks.")
TOO_MANY = _answer("400 Bad Request", "Too many requests are waiting on this connection.")
NO_EXPECTATION = _answer("417 Expectation Failed", "The only expectation met is 100-continue.")


class RefusedRequestError(Exception):
    """Ends the parser: nothing that follows on this connection is read any more."""


def guarded(body_seconds: float, max_connections: int = 400, proxies: str = "127.0.0.1") -> type["GuardedProtocol"]:
    """The protocol for one server: how long its senders get for a body, how many there may be, whom it trusts."""
    shared = {
        "body_seconds": body_seconds,
        "bodies": BodyBudget(),
        "limits": ConnectionLimits(max_connections, proxies),
    }
    return type("GuardedProtocol", (GuardedProtocol,), shared)


class _Flow(FlowControl):
    """uvicorn reads on when the application asks for more; not while the connection waits in line."""

    is_held = False

    def resume_reading(self) -> None:
        if not self.is_held:
            super().resume_reading()


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with these guards. A request whose body takes too long is answered 408 and cut off."""

    body_seconds = BODY_SECONDS
    bodies: BodyBudget
    limits: ConnectionLimits
    flow: _Flow
    waiting_since = 0.0
    _header_bytes = 0
    _reads_headers = True
    _is_deaf = False
    _is_leaving = False
    _refusal = NOT_HTTP
    _body_bytes = _chunks = _dry_bytes = 0
    _host = ""
    _timer: TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self._host = self.client[0] if self.client else ""
        self._await(HEADER_SECONDS)
        if not self.limits.enter(self, self._host, self.waiting_since):
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what arrives, as long as the headers keep within their size."""
        if self._is_deaf:
            return
        was_body, before = not self._reads_headers, self._body_bytes
        if not was_body:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._is_deaf:
            return
        if was_body and not self._reads_headers and self._body_bytes == before:
            self._count_dry(len(data))
        if not self._reads_headers:
            if self._timer is None:
                self._await(self.body_seconds)
        # A request that arrived whole left nothing behind, and needs no timer.
        elif self._header_bytes:
            self._limit_headers()

    def _count_dry(self, size: int) -> None:
        """Of a body that brings no bytes of its own: endless trailers, or extensions of chunks."""
        self._dry_bytes += size
        if self._dry_bytes > MAX_HEADER_BYTES:
            self._refusal = NO_TRAILERS
            self.send_400_response("")

    def _limit_headers(self) -> None:
        if self._timer is None:
            self._await(HEADER_SECONDS)
        if self._header_bytes > MAX_HEADER_BYTES:
            self._refusal = TOO_LARGE
            self.send_400_response("")

    def on_headers_complete(self) -> None:
        """The request begins, unless it must not; after the announced end it is the last one."""
        self._judge_head()
        self._reads_headers = False
        self._body_bytes = self._chunks = self._dry_bytes = 0
        self._stop_waiting()
        super().on_headers_complete()
        if self._is_leaving:
            self.cycle.keep_alive = False

    def _judge_head(self) -> None:
        if self.parser.should_upgrade():
            # httptools ends the message here, and its body would be parsed as the next request.
            self._refuse(NO_UPGRADE)
        if len(self.pipeline) >= MOST_PIPELINED:
            self._refuse(TOO_MANY)
        if b"%" in self.url and _CONTROL.search(self.url):
            self._refuse(NO_CONTROLS)
        size, hosts = len(self.url), 0
        for name, value in self.headers:
            size += len(name) + len(value)
            if name == b"host":
                hosts += 1
            elif name == b"expect" and value.lower() != b"100-continue":
                self._refuse(NO_EXPECTATION)
            elif name == b"transfer-encoding" and value.lower() != b"chunked":
                self._refuse(NO_ENCODING)
        if size > MAX_HEADER_BYTES:
            self._refuse(TOO_LARGE)
        if hosts != 1 and (hosts or self.parser.get_http_version() == "1.1"):
            self._refuse(NO_HOST)
        self._headers_known = len(self.headers)

    def on_chunk_header(self) -> None:
        """Another chunk of a body without a declared length begins."""
        self._chunks += 1
        if self._chunks > MANY_CHUNKS and self._body_bytes < self._chunks * TINY_CHUNK:
            self._refuse(TINY_CHUNKS)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body, and wait in line when there are too many big ones."""
        super().on_body(body)
        self._body_bytes += len(body)
        if self._body_bytes > FREE_BYTES and not self.cycle.response_complete:
            self.bodies.take(self, len(body))

    def on_message_complete(self) -> None:
        """What comes next are headers again."""
        if len(self.headers) != self._headers_known:
            # They would be taken for headers of the request, after a proxy has looked at those.
            self._refuse(NO_TRAILERS)
        super().on_message_complete()
        if self._body_bytes > FREE_BYTES:
            self.bodies.arrived(self)
        self._stop_waiting()
        self._reads_headers = True
        self._header_bytes = 0
        self.waiting_since = time.monotonic()

    def on_response_complete(self) -> None:
        """Nothing of the body is needed any more, unless others follow on this connection."""
        super().on_response_complete()
        self.waiting_since = time.monotonic()
        if self._body_bytes > FREE_BYTES and not self._is_answering:
            self.bodies.give_back(self)

    def _refuse(self, answer: bytes) -> NoReturn:
        self._refusal = answer
        raise RefusedRequestError

    def send_400_response(self, msg: str) -> None:
        """Refuse what arrives now and end the connection; whole requests before it still get their answers."""
        del msg
        if self._is_deaf or self.transport.is_closing():
            return
        self._is_deaf = True
        if self._reads_headers and self._is_answering:
            self.cycle.keep_alive = False
            return
        if self._reads_headers or not (self.pipeline or self.cycle.response_started):
            self.transport.write(self._refusal)
        self.transport.close()

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn says None, asyncio takes a bool
        """A sender that has nothing more to say still gets the answers to its requests."""
        if self._reads_headers and self._is_answering:
            self._is_deaf = True
            self.cycle.keep_alive = False
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer, and what was counted."""
        self._stop_waiting()
        self.limits.leave(self, self._host)
        self.bodies.give_back(self)
        super().connection_lost(exc)

    def hold(self) -> None:
        """Read nothing more: there are too many big bodies. The sender's time begins anew when it is its turn."""
        self.flow.is_held = True
        self.flow.pause_reading()
        self._stop_waiting()
        self._await(self.body_seconds)

    def proceed(self) -> None:
        """Its turn has come."""
        self.flow.is_held = False
        self.flow.resume_reading()
        if not self._reads_headers:
            self._stop_waiting()
            self._await(self.body_seconds)

    @property
    def waits_for_sender(self) -> bool:
        """Whether the next step is the sender's."""
        return not self.flow.is_held and (not self._reads_headers or not self._is_answering)

    def give_up(self) -> None:
        """Close it to make room: this sender lets others wait."""
        self._close_slow()

    def shutdown(self) -> None:
        """Answer what is under way or just arriving, then close; a kept connection lingers for a moment."""
        self._is_leaving = True
        if self._is_answering:
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(LINGER_SECONDS, self._close_if_idle)

    @property
    def _is_answering(self) -> bool:
        # Without a request there is no cycle yet, whatever uvicorn's annotation says.
        cycle = getattr(self, "cycle", None)
        return cycle is not None and not cycle.response_complete

    def _close_if_idle(self) -> None:
        if not self.transport.is_closing() and not self._is_answering:
            self.transport.close()

    def _await(self, seconds: float) -> None:
        self.waiting_since = time.monotonic()
        self._timer = self.loop.call_later(seconds, self._close_slow)

    def _close_slow(self) -> None:
        if self.transport.is_closing():
            return
        if not self._reads_headers and not self.cycle.response_started:
            self.transport.write(TOO_SLOW)
        self.transport.close()

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class FewLines(logging.Filter):
    """Lets each message through once a second: an attack must not fill the log."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this line is written."""
        now = time.monotonic()
        if now - self._last.get(str(record.msg), float("-inf")) < 1:
            return False
        self._last[str(record.msg)] = now
        return True
