"""Many datagrams by one system call, which the standard library has no word for: recvmmsg(2) of Linux.

One call a datagram costs little while nothing else runs. Beside a second thread each of them is an offer to
hand over the interpreter, so that reading a storm costs more than answering it. The socket never blocks, so
nobody waits for the one call that keeps the interpreter.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import sys
import threading
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from commonview.wire.sip.flow import Address

BATCH: Final = 64
_DATAGRAM_BYTES: Final = 65536
_NAME_BYTES: Final = 32
_AGAIN: Final = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR)


class _Piece(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_size", ctypes.c_uint32),
        ("pieces", ctypes.c_void_p),
        ("piece_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Header(ctypes.Structure):
    """struct mmsghdr: with the length of what came."""

    _fields_ = (("message", _Message), ("came", ctypes.c_uint32))


_WORDS: Final = ctypes.sizeof(_Header) // 4
_CAME: Final = _Header.came.offset // 4
_recvmmsg: Final = ctypes.PyDLL(None, use_errno=True).recvmmsg
_recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
_recvmmsg.restype = ctypes.c_int


def address_of(name: bytes) -> Address:
    """Host and port in a socket address of IPv4 or IPv6 (ip(7), ipv6(7))."""
    port = int.from_bytes(name[2:4], "big")
    if int.from_bytes(name[:2], sys.byteorder) == socket.AF_INET6:
        return socket.inet_ntop(socket.AF_INET6, name[8:24]), port
    return socket.inet_ntop(socket.AF_INET, name[4:8]), port


class _Room(threading.local):
    """Where the kernel writes a batch: one for each thread and family, for it is read out at once."""

    def __init__(self, name_size: int) -> None:
        self.name_size = name_size
        # Pages that no datagram ever reaches take no memory.
        data = mmap.mmap(-1, BATCH * _DATAGRAM_BYTES)
        names = (ctypes.c_char * (BATCH * _NAME_BYTES))()
        pieces = (_Piece * BATCH)()
        headers = (_Header * BATCH)()
        start = ctypes.addressof(ctypes.c_char.from_buffer(data))
        for number in range(BATCH):
            pieces[number] = _Piece(start + number * _DATAGRAM_BYTES, _DATAGRAM_BYTES)
            name = ctypes.addressof(names) + number * _NAME_BYTES
            piece = ctypes.addressof(pieces) + number * ctypes.sizeof(_Piece)
            headers[number] = _Header(_Message(name, name_size, piece, 1), 0)
        self._pieces = pieces
        self.at = ctypes.addressof(headers)
        self.data, self.names = memoryview(data), memoryview(names).cast("B")
        self.came = memoryview(headers).cast("B").cast("I")[_CAME::_WORDS]


@cache
def _room(name_size: int) -> _Room:
    return _Room(name_size)


class DatagramReader:
    """Reads one UDP socket, 64 datagrams a call at most, without ever waiting."""

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self._room = _room(28 if opened.family == socket.AF_INET6 else 16)

    def receive(self) -> list[tuple[bytes, bytes]]:
        """What came, each with the socket address of its sender; nothing when nothing waits.

        Raises OSError for an ICMP error about an earlier datagram.
        """
        room = self._room
        count = _recvmmsg(self._socket.fileno(), room.at, BATCH, socket.MSG_DONTWAIT, None)
        if count < 0:
            number = ctypes.get_errno()
            if number in _AGAIN:
                return []
            raise OSError(number, os.strerror(number))
        data, names, size = room.data, room.names, room.name_size
        return [
            (
                bytes(names[one * _NAME_BYTES : one * _NAME_BYTES + size]),
                bytes(data[one * _DATAGRAM_BYTES : one * _DATAGRAM_BYTES + came]),
            )
            for one, came in enumerate(room.came[:count].tolist())
        ]
