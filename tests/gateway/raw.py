"""Clients that keep to no library's manners: sockets that send what they like, and never read."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import struct
from typing import Any

__all__ = ["connect", "frame", "upgraded"]


async def connect(port: int) -> socket.socket:
    """Return a connection for which the kernel on this side takes in as little as it can."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
    return raw


async def upgraded(port: int) -> socket.socket:
    """Return a WebSocket that nobody reads after its handshake."""
    loop = asyncio.get_running_loop()
    raw = await connect(port)
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await loop.sock_sendall(raw, request.encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += await loop.sock_recv(raw, 1024)
    assert head.startswith(b"HTTP/1.1 101")
    return raw


def frame(message: dict[str, Any]) -> bytes:
    """Return a message as a client sends it, masked with zeros."""
    payload = json.dumps(message).encode()
    return struct.pack("!BBH4x", 0x81, 0x80 | 126, len(payload)) + payload
