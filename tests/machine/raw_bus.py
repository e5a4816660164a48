# SPDX-License-Identifier: Apache-2.0
"""A client that sends what no library would: messages of any size, as any user, to the bus of a booted machine."""

import contextlib
import os
import socket
import struct

PADDING = 8


def padded(data):
    return data + bytes(-len(data) % PADDING)


def text(value):
    return struct.pack("<I", len(value)) + value.encode() + b"\0"


class RawBus:
    @classmethod
    @contextlib.contextmanager
    def user(cls, machine, uid):
        """A connection of that user's, for the length of the block. The kernel tells the bus who it was that connected."""
        back = os.open(".", os.O_PATH)
        # Only root gets to the machine's directories, so it goes there before it is somebody else.
        os.chdir(f"/proc/{machine.init}/root/run/dbus")
        connection = socket.socket(socket.AF_UNIX)
        try:
            os.seteuid(uid)
            try:
                connection.connect("system_bus_socket")
            finally:
                os.seteuid(0)
            yield cls(connection, uid)
        finally:
            connection.close()
            os.fchdir(back)
            os.close(back)

    def __init__(self, connection, uid):
        self.serial = 0
        self.socket = connection
        self.socket.settimeout(60)
        self.socket.sendall(b"\0AUTH EXTERNAL " + str(uid).encode().hex().encode() + b"\r\nBEGIN\r\n")
        self.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")

    def call(self, name, path, interface, member, signature="", body=b""):
        """Waits for something to come back; b'' where the bus hung up, as it may on who asks for too much."""
        self.serial += 1
        fields = b""
        for code, kind, value in ((1, "o", path), (2, "s", interface), (3, "s", member), (6, "s", name)):
            fields = padded(fields) + bytes([code, 1]) + kind.encode() + b"\0" + text(value)
        if signature:
            fields = padded(fields) + b"\x08\x01g\0" + bytes([len(signature)]) + signature.encode() + b"\0"
        header = struct.pack("<cBBBIII", b"l", 1, 0, 1, len(body), self.serial, len(fields)) + fields
        try:
            self.socket.sendall(padded(header) + body)
            return self.socket.recv(65536)
        except OSError:
            return b""
