"""Who may come in: passwords, compared in constant time, and the page's session cookie."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from inkwash.core import files
from inkwash.core.settings import BadSettings
from inkwash.server.sessions import Sessions

COOKIE = "inkwash_session"
SESSION_SECONDS = 30 * 24 * 3600
ATTEMPTS, WINDOW = 20, 60.0  # wrong passwords from one address in so many seconds, then it has to wait


class Accounts:
    """passwords: "user:password,user2:password2" as A1111's --api-auth has it; "": no accounts, everybody may come in.

    secret: what cookies are signed with.  A cookie ends with its session, at a logout or after its time, with the
    secret and with the user's password.
    """

    def __init__(
        self, passwords: str, secret: bytes, sessions: Sessions | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.passwords = parse(passwords)
        self.sessions = sessions or Sessions(clock=clock)
        self.clock = clock
        self._secret = secret

    @property
    def needed(self) -> bool:
        return bool(self.passwords)

    def check(self, user: str, password: str) -> bool:
        """Takes as long for an unknown user as for a wrong password."""
        stored = self.passwords.get(user)
        same = hmac.compare_digest(_digest(password), _digest(stored or secrets.token_hex()))
        return same and stored is not None

    def user_of_basic(self, header: str) -> str | None:
        """The user of an ``Authorization`` header, None if it does not open the door."""
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            user, _, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return user if self.check(user, password) else None

    def cookie_of(self, user: str) -> str:
        """The value of a new session's cookie: user, session and signature.  Raises CannotWrite."""
        name = base64.urlsafe_b64encode(user.encode()).decode().rstrip("=")
        session = self.sessions.open(self.clock() + SESSION_SECONDS)
        return f"{name}.{session}.{self._sign(user, session)}"

    def user_of_cookie(self, value: str) -> str | None:
        name, _, rest = value.partition(".")
        session, _, signature = rest.partition(".")
        try:
            user = base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()
        except (binascii.Error, ValueError):
            return None
        right = hmac.compare_digest(signature.encode(), self._sign(user, session).encode())
        return user if right and user in self.passwords and self.sessions.is_open(session) else None

    def end(self, value: str) -> None:
        """Close the session of a cookie that opens the door; any other says nothing.  Raises CannotWrite."""
        if self.user_of_cookie(value) is not None:
            self.sessions.close(value.split(".")[1])

    def _sign(self, user: str, session: str) -> str:
        password = self.passwords.get(user, "")
        return hmac.new(self._secret, f"{user}\0{session}\0{password}".encode(), hashlib.sha256).hexdigest()


class Attempts:
    """Counts wrong passwords by address, so that nobody tries them all.  Remembers as long as the window is."""

    def __init__(self, allowed: int = ATTEMPTS, clock: Callable[[], float] = time.monotonic) -> None:
        self.allowed = allowed
        self.clock = clock
        self._failures: dict[str, deque[float]] = {}

    def wait(self, address: str) -> float:
        """Seconds this address has to wait; 0: it may try."""
        times = self._failures.get(address, deque())
        while times and times[0] <= self.clock() - WINDOW:
            times.popleft()
        if not times:
            self._failures.pop(address, None)
        return times[0] + WINDOW - self.clock() if len(times) >= self.allowed else 0.0

    def failed(self, address: str) -> None:
        if len(self._failures) > 10_000:  # many addresses at once: forget rather than grow
            self._failures.clear()
        self._failures.setdefault(address, deque(maxlen=self.allowed)).append(self.clock())


def secret_of(data_dir: Path) -> bytes:
    """The service's own secret, made on the first start and kept, so that sessions outlive a restart."""
    path = data_dir / "secret"
    if not path.is_file() or path.stat().st_size != 32:
        files.make_folder(data_dir)
        files.write(path, secrets.token_bytes(32))
        path.chmod(0o600)
    return path.read_bytes()


def parse(passwords: str) -> dict[str, str]:
    """Password by user.  Raises BadSettings."""
    accounts = {}
    for pair in filter(None, (part.strip() for part in passwords.split(","))):
        user, colon, password = pair.partition(":")
        if not (user and colon and password):
            raise BadSettings("The server's passwords are not of the form user:password,user2:password2.",
                              "Correct them in [server] or INKWASH_PASSWORDS.")  # fmt: skip
        accounts[user] = password
    return accounts


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
