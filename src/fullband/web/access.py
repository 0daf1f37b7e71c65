"""Who may use a server: anybody on the same machine, and elsewhere whoever knows its token."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from fullband.errors import SettingsError

__all__ = ["Access", "is_loopback"]


@dataclass(frozen=True)
class Access:
    """What is asked of a client.

    Attributes:
        token: that it has to know; None asks nothing.
        origins: of pages, beside the server's own, that may open sockets, as in
            `https://example.org`.
    """

    token: str | None = None
    origins: tuple[str, ...] = ()

    @classmethod
    def at(cls, host: str, token: str | None, origins: tuple[str, ...] = ()) -> Access:
        """For a server that listens there.

        Raises:
            SettingsError: others than this machine could reach it, and there is no token.
        """
        if not token and not is_loopback(host):
            raise SettingsError(
                f"{host} can be reached from other machines: give a --token (or FULLBAND_TOKEN)"
            )
        return cls(token or None, origins)

    def allows(self, headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
        """Whether a request knows the token, by its `Authorization: Bearer` or its query (browsers
        cannot set headers of sockets), and comes from no other site's page."""
        return self.knows(headers, query) and self.same_site(headers)

    def knows(self, headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
        """Whether a request knows the token."""
        if self.token is None:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = query.get("token", "")
        # In time that does not depend on how much of it is right.
        return hmac.compare_digest(given.strip().encode(), self.token.encode())

    def same_site(self, headers: Mapping[str, str]) -> bool:
        """Whether a request comes from a program, the server's own page or one that is allowed."""
        origin = headers.get("origin")
        if origin is None or origin in self.origins:  # programs send none
            return True
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
