"""The socket on which the receiver listens: its own, or one that outlives it.

When a listening socket is closed, the kernel resets the connections that nobody has accepted yet, and Taiga sends each
webhook once. A socket that systemd or `up` holds stays open while the receiver is started again: its queue waits.
"""

import os
import socket

LISTENER_VARIABLE = "TAIGA_BILLING_LISTENER"
"""Number of the inherited descriptor; set by `up`."""

FIRST_OF_SYSTEMD = 3


def listen_on(host: str, port: int) -> socket.socket:
    """A socket that listens; before the server runs, because uvicorn ends the whole process when it cannot.

    `::` listens on IPv4 as well.

    Raises:
        OSError: the address is taken, or does not belong to this machine.
    """
    is_six = ":" in host
    family = socket.AF_INET6 if is_six else socket.AF_INET
    return socket.create_server((host, port), family=family, dualstack_ipv6=is_six and host == "::")


def inherited_listener() -> socket.socket | None:
    """The listening socket that systemd (`sd_listen_fds(3)`) or `up` passed to this process, if one did."""
    number = os.environ.get(LISTENER_VARIABLE, "")
    if number.isdecimal():
        return _taken(int(number))
    if os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS", "0") != "0":
        return _taken(FIRST_OF_SYSTEMD)
    return None


def _taken(descriptor: int) -> socket.socket:
    os.set_inheritable(descriptor, False)  # noqa: FBT003 - it takes no keyword
    return socket.socket(fileno=descriptor)
