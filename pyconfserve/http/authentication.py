"""Who sends a request: Basic and Bearer credentials, checked in constant time.

A password that was right is remembered for a minute by a MAC under a key of this
process; one that was wrong is not. Whether a name is known, and what is wrong with
credentials, shows neither in the answer nor in the time that it takes.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import secrets
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from hashlib import blake2b
from typing import NamedTuple

from ..errors import TooManyAttempts, Unauthenticated
from .attempts import Hashing, Pair, Place, Slowing, network_of
from .passwords import (
    DUMMY,
    LONGEST_CREDENTIALS,
    PasswordHash,
    hash_token,
    parse_token,
)
from .users import User, Users

__all__ = ["Authentication"]

_LONGEST_HEADER = 1400  # characters: 1,368 of base64, and the scheme
_REMEMBERED = 60.0  # seconds: how long a password that was taken away may go on
_MOST_REMEMBERED = 2048  # digests: two for each of 1,024 passwords
_MOST_KNOWN = 4096  # that were right before; they need no place in a queue

_BASIC = re.compile(r"(?i:basic) {1,8}([A-Za-z0-9+/]{1,1368}={0,2})")
_BEARER = re.compile(r"(?i:bearer) {1,8}([A-Za-z0-9._~+/-]{1,1368}={0,2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # RFC 7617 §2


class _Claim(NamedTuple):
    """What Basic says, and the digest that it is known by here."""

    name: str
    password: str
    key: bytes


_Outcome = User | TooManyAttempts | None  # None: the credentials are wrong


class Authentication:
    """Finds the user of a request.

    *users* gives those of now, the same object until they change. *clock* gives
    seconds, *sleep* waits for some. It belongs to one event loop.
    """

    def __init__(
        self,
        users: Callable[[], Users],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._users = users
        self._key = secrets.token_bytes(32)
        self._memory = _Memory(clock)
        self._hashing = Hashing()
        self._slowing = Slowing(clock, sleep)
        self._stand_ins = _StandIns(self._key)
        self._known: OrderedDict[bytes, PasswordHash] = OrderedDict()
        self._checks: dict[bytes, asyncio.Task[_Outcome]] = {}

    def remembered(self, authorization: str) -> User | None:
        """The user of a header that was right within the last minute; never waits."""
        if len(authorization) > _LONGEST_HEADER:
            return None
        return self._memory.user(self._mac(authorization), self._users())

    async def verify(self, authorization: str, source: str) -> User:
        """The user of a header that came from the address *source*.

        A password that is being checked for another request is not checked twice, and
        who leaves does not stop the check for others. Raises Unauthenticated, which
        does not say what is wrong, and TooManyAttempts.
        """
        outcome: _Outcome = self.remembered(authorization)
        if outcome is None:
            outcome = self._of_token(authorization)
        if outcome is None:
            outcome = await self._of_password(authorization, source)
        if isinstance(outcome, TooManyAttempts):
            raise TooManyAttempts(outcome.retry_after)
        if outcome is None:
            raise Unauthenticated("these are no user's name and password, nor a token")
        return outcome

    def _mac(self, text: str) -> bytes:
        data = text.encode("utf-8", "surrogatepass")
        return blake2b(data, key=self._key, digest_size=16).digest()

    def _of_token(self, authorization: str) -> User | None:
        """Its digest is looked up, so that the time tells nothing of the token."""
        found = _BEARER.fullmatch(authorization)
        if found is None:
            return None
        users = self._users()
        user = users.by_token.get(parse_token(hash_token(found[1])))
        if user is not None:
            self._memory.keep_token(self._mac(authorization), user, users)
        return user

    async def _of_password(self, authorization: str, source: str) -> _Outcome:
        claim, users = self._claim(authorization), self._users()
        if claim is None or not self._stand_ins.are_needed(users):
            return None
        # The same credentials may have come in another spelling.
        user = self._memory.user(claim.key, users)
        if user is not None:
            return user
        check = self._checks.get(claim.key)
        if check is None:
            check = self._begin(claim, self._mac(authorization), source)
        return await asyncio.shield(check)

    def _claim(self, authorization: str) -> _Claim | None:
        """The name and password of a header, None for what has none."""
        found = _BASIC.fullmatch(authorization)
        if found is None:
            return None
        try:
            data = base64.b64decode(found[1], validate=True)
            # One form of every letter, whichever the keyboard made (RFC 7617 §2.1).
            text = unicodedata.normalize("NFC", data.decode("utf-8"))
        except (binascii.Error, UnicodeDecodeError):
            return None
        name, colon, password = text.partition(":")
        if not colon or len(data) > LONGEST_CREDENTIALS or _CONTROL.search(text):
            return None
        return _Claim(name, password, self._mac(f"\0{text}"))

    def _begin(
        self, claim: _Claim, header: bytes, source: str
    ) -> asyncio.Task[_Outcome]:
        """A check that goes on without who asked; raises TooManyAttempts."""
        secret = _secret_of(claim.name, self._users())
        is_known = secret is not None and self._known.get(claim.key) == secret
        pair = Pair(self._mac(claim.name), network_of(source))
        place = self._slowing.join(pair, is_known=is_known)
        check = asyncio.create_task(self._check(claim, header, place))
        self._checks[claim.key] = check

        def end(_: object) -> None:
            del self._checks[claim.key]
            place.leave()

        check.add_done_callback(end)
        return check

    async def _check(self, claim: _Claim, header: bytes, place: Place) -> _Outcome:
        async with place:
            secret = _secret_of(claim.name, self._users())
            stand_in = self._stand_ins.of(claim.name, self._users())
            try:
                fits = await self._hashing.submit(
                    secret or stand_in,
                    claim.password,
                    place.pair.network,
                    is_known=place.is_known,
                )
            except TooManyAttempts as error:
                return error
            users = self._users()  # who may have changed meanwhile
            if not fits or secret is None or secret != _secret_of(claim.name, users):
                self._slowing.fail(place.pair)
                return None
            self._slowing.forgive(place.pair)
            self._keep_known(claim.key, secret)
            user = users.by_name[claim.name]
            self._memory.keep_password((header, claim.key), user, users)
            return user

    def _keep_known(self, key: bytes, secret: PasswordHash) -> None:
        self._known[key] = secret
        self._known.move_to_end(key)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)


def _secret_of(name: str, users: Users) -> PasswordHash | None:
    user = users.by_name.get(name)
    return user.secret if user is not None else None


class _Memory:
    """Who was found for which digest of a header; forgets all when users change."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._users: Users | None = None
        self._passwords: dict[bytes, tuple[User, float]] = {}
        self._tokens: dict[bytes, tuple[User, float]] = {}

    def user(self, digest: bytes, users: Users) -> User | None:
        """The user that was kept for *digest*, less than a minute ago."""
        if users is not self._users:
            self._forget(users)
        found = self._passwords.get(digest) or self._tokens.get(digest)
        return found[0] if found and self._clock() < found[1] else None

    def keep_password(self, digests: Iterable[bytes], user: User, users: Users) -> None:
        """Keep *user* for all *digests* of the same name and password."""
        for digest in digests:
            self._keep(self._passwords, digest, user, users)

    def keep_token(self, digest: bytes, user: User, users: Users) -> None:
        """Apart, as they cost their senders nothing: they drive out no password."""
        self._keep(self._tokens, digest, user, users)

    def _keep(
        self,
        kept: dict[bytes, tuple[User, float]],
        digest: bytes,
        user: User,
        users: Users,
    ) -> None:
        if users is not self._users:
            self._forget(users)
        kept.pop(digest, None)
        kept[digest] = user, self._clock() + _REMEMBERED
        if len(kept) > _MOST_REMEMBERED:
            del kept[next(iter(kept))]

    def _forget(self, users: Users) -> None:
        self._users = users
        self._passwords.clear()
        self._tokens.clear()


class _StandIns:
    """Hashes that stand in for those of unknown names, and cost as much as theirs."""

    def __init__(self, key: bytes) -> None:
        self._key = key  # else who knows the list could tell who has no stand-in
        self._users: Users | None = None
        self._hashes: list[PasswordHash] = []

    def are_needed(self, users: Users) -> bool:
        """Whether anybody has a password."""
        return bool(self._of(users))

    def of(self, name: str, users: Users) -> PasswordHash:
        """The same one for the same name, each cost as often as among the users."""
        hashes = self._of(users)
        digest = blake2b(name.encode(), key=self._key, digest_size=8).digest()
        number = int.from_bytes(digest, "big")
        return hashes[number % len(hashes)] if hashes else DUMMY

    def _of(self, users: Users) -> list[PasswordHash]:
        if users is not self._users:
            ours = [user.secret for user in users.by_name.values() if user.secret]
            dummies = {secret.price: secret.dummy() for secret in ours}
            self._users = users
            self._hashes = [dummies[secret.price] for secret in ours]
        return self._hashes
