"""Tokens: how users are known, and how a connection is known again on another socket.

A resume token is 128 random bits, sealed for its connection. Only its hash is kept, it is good for once, and whoever
compares it takes the same time whatever is wrong with it. The seal says to a gateway that does not have the
connection whether one with the same key has given this token for it; nothing else has to be told between them. Tokens
are never logged.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable

from protocol.errors import BadArgumentError

__all__ = ["LOCAL_USER", "Authenticator", "Seal", "TokenTable", "identify", "same", "token_hash"]

Authenticator = Callable[[str | None], "str | Awaitable[str | None] | None"]
"""Takes the token of an `authorize`; gives the user's id, or None for a refusal."""

LOCAL_USER = "local"
"""Who everybody is on loopback when there is no authenticator."""


async def identify(authenticator: Authenticator, token: str | None) -> str | None:
    """Ask the application's authenticator, of either kind."""
    user = authenticator(token)
    return await user if isawaitable(user) else user


class TokenTable:
    """An authenticator that knows fixed tokens: the stand-alone server's.

    Args:
        users: by token.

    """

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = [(token_hash(token), user) for token, user in users.items()]

    def __call__(self, token: str | None) -> str | None:
        """Return the user of a token; compares with all, so that the time says nothing."""
        given = token_hash(token or "")
        found = None
        for known, user in self._users:
            if same(known, given):
                found = user
        return found

    @classmethod
    def read(cls, text: str, source: str) -> TokenTable:
        """Read `user:token` lines; commas separate as line ends do, `#` begins a line that is left out.

        Args:
            text: all of them.
            source: where it comes from, for errors.

        Raises:
            BadArgumentError: a line is none, or a token is too short to be one, or that of two users.

        """
        users: dict[str, str] = {}
        for number, line in enumerate(text.removeprefix("\ufeff").replace(",", "\n").splitlines(), start=1):
            entry = line.strip()
            if not entry or entry.startswith("#"):
                continue
            user, colon, token = (part.strip() for part in entry.partition(":"))
            if not (user and colon and len(token) >= 16):
                raise BadArgumentError(
                    f"{source}, entry {number}: expected user:token, the token of 16 characters or more"
                )
            if users.setdefault(token, user) != user:
                raise BadArgumentError(f"{source}, entry {number}: another user has this token")
        if not users:
            raise BadArgumentError(f"{source}: there are none")
        return cls(users)


class Seal:
    """What gateways with the same key can prove to each other.

    Args:
        key: left out, nobody else has it.

    """

    def __init__(self, key: str | None = None) -> None:
        self._key = secrets.token_bytes(32) if key is None else key.encode()

    def of(self, *parts: str) -> str:
        """Return the seal of these."""
        text = "".join(f"{len(part)}:{part}" for part in parts)
        return hmac.new(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]

    def fits(self, seal: str, *parts: str) -> bool:
        """Whether it is that of these; takes the same time for any answer."""
        return same(self.of(*parts).encode(), seal.encode("utf-8", "surrogatepass"))

    def new_token(self, connection_id: str) -> str:
        """Return a new resume token."""
        random = secrets.token_urlsafe(16)
        return f"{random}.{self.of('resume', connection_id, random)}"

    def knows(self, connection_id: str, token: str) -> bool:
        """Whether this is a resume token of the connection, be it one that has been used."""
        random, _dot, seal = token.partition(".")
        return self.fits(seal, "resume", connection_id, random)


def token_hash(token: str) -> bytes:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def same(one: bytes, other: bytes) -> bool:
    """Compare two hashes in constant time."""
    return hmac.compare_digest(one, other)
