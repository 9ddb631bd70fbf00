"""One connection of our servers: headers are bounded in size and time, and the end of the program cuts nobody off.

uvicorn leaves this to a proxy in front: its protocol takes headers of any length, waits for them for ever, and at the
end closes kept connections under the hands of those who are just sending.
"""

import logging
import time
from asyncio import TimerHandle
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADER_BYTES = 32 * 1024
HEADER_SECONDS = 10.0
BODY_SECONDS = 60.0
"""For the whole body, also one that nobody reads, where nothing else is said (`guarded`)."""

LINGER_SECONDS = 0.5
"""How long a kept connection may still bring a request after the end was announced."""

BEYOND_ALL_LIMITS = 2
"""Above the limit of connections requests are answered 503; above this many times of it, connections are dropped."""

TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def guarded(body_seconds: float) -> type["GuardedProtocol"]:
    """The protocol for a server whose senders get this long for a whole body."""
    return type("GuardedProtocol", (GuardedProtocol,), {"body_seconds": body_seconds})


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with these guards. A request whose body takes too long is answered 408 and cut off."""

    body_seconds = BODY_SECONDS
    _header_bytes = 0
    _reads_headers = True
    _is_leaving = False
    _timer: TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        limit = self.limit_concurrency
        if limit is not None and len(self.connections) > BEYOND_ALL_LIMITS * limit:
            transport.abort()
            return
        self._await(HEADER_SECONDS)

    def data_received(self, data: bytes) -> None:
        """Take what arrives, as long as the headers keep within their size."""
        if self._reads_headers:
            self._header_bytes += len(data)
        super().data_received(data)
        if not self._reads_headers:
            if self._timer is None:
                self._await(self.body_seconds)
        # A request that arrived whole left nothing behind, and needs no timer.
        elif self._header_bytes:
            self._limit_headers()

    def _limit_headers(self) -> None:
        if self._timer is None:
            self._await(HEADER_SECONDS)
        if self._header_bytes > MAX_HEADER_BYTES and not self.transport.is_closing():
            self.transport.write(TOO_LARGE)
            self.transport.close()

    def on_headers_complete(self) -> None:
        """The request begins; after the announced end it is the last one."""
        self._reads_headers = False
        self._stop_waiting()
        super().on_headers_complete()
        if self._is_leaving:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """What comes next are headers again."""
        super().on_message_complete()
        self._stop_waiting()
        self._reads_headers = True
        self._header_bytes = 0

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._stop_waiting()
        super().connection_lost(exc)

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
