# SPDX-License-Identifier: LGPL-2.1-or-later
"""System calls that Python has no function for, and their messages: sendmmsg, recvmmsg, and control messages that cannot be."""

import ctypes
import errno
import socket
import struct


class Header(ctypes.Structure):
    """A struct mmsghdr."""

    _fields_ = [("name", ctypes.c_void_p), ("name_length", ctypes.c_uint), ("pieces", ctypes.c_void_p), ("n_pieces", ctypes.c_size_t),
                ("control", ctypes.c_void_p), ("n_control", ctypes.c_size_t), ("flags", ctypes.c_size_t), ("length", ctypes.c_size_t)]


class Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def system(name, *arguments):
    """Calls one of the C library's functions. Returns its result, or the name of its error."""
    result = getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments)
    return errno.errorcode[ctypes.get_errno()] if result < 0 else result


def header(data, address=None, control=b""):
    """A message, with all that it refers to."""
    one = Header()
    one.buffers = data, Piece(ctypes.addressof(data), len(data)), ctypes.create_string_buffer(control, max(len(control), 1)), ctypes.create_string_buffer(16)
    if address:
        one.buffers[3].raw = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(address[1]), socket.inet_aton(address[0]))
    one.name, one.name_length = ctypes.addressof(one.buffers[3]) if address is not None else None, 16
    one.pieces, one.n_pieces = ctypes.addressof(one.buffers[1]), 1
    one.control, one.n_control = ctypes.addressof(one.buffers[2]) if control else None, len(control)
    return one


def raw_message(one, data, address, control):
    return system("sendmsg", one.fileno(), ctypes.byref(header(ctypes.create_string_buffer(data, len(data)), address, control)), 0)


def several(*headers):
    """An array of messages; headers keep what it refers to."""
    return (Header * len(headers))(*headers)
