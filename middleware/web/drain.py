"""Closing a listening socket without resetting anybody: first nobody new comes in, then those who wait are served.

When a listening socket is closed, the kernel resets the connections that were made and not yet accepted; their senders
have sent already, and Taiga sends each webhook once. A packet filter on the socket drops what asks for a new connection
instead: the sender's system asks again after a second, and meets the next program on this port, or a clear refusal.
"""

import ctypes
import os
import socket
import struct
import sys

SO_ATTACH_FILTER = 26
"""Of Linux; Python does not name it."""

_TCP_FLAGS, _SYN, _SYN_OR_ACK = 13, 0x02, 0x12
_LOAD_BYTE, _AND, _JUMP_IF_EQUAL, _RETURN = 0x30, 0x54, 0x15, 0x06
_ALL = 0xFFFFFFFF

# The byte of flags; SYN without ACK is dropped, everything else passes.
_FILTER = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in (
        (_LOAD_BYTE, 0, 0, _TCP_FLAGS),
        (_AND, 0, 0, _SYN_OR_ACK),
        (_JUMP_IF_EQUAL, 0, 1, _SYN),
        (_RETURN, 0, 0, 0),
        (_RETURN, 0, 0, _ALL),
    )
)


def drop_new_connections(descriptor: int) -> bool:
    """Let nobody new into the queue of this listening socket; False where the system has no such filters."""
    if sys.platform != "linux":
        return False
    program = ctypes.create_string_buffer(_FILTER, len(_FILTER))
    # struct sock_fprog: the number of instructions, then (aligned) where they are.
    described = struct.pack("@HP", len(_FILTER) // 8, ctypes.addressof(program))
    with socket.socket(fileno=os.dup(descriptor)) as listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, described)
        except OSError:
            return False
    return True
