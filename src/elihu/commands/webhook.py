"""Sends a signed webhook: to an address that was checked, and without redirects."""

import hashlib
import hmac
import http.client
import socket
import ssl
import time
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any, Final
from urllib.parse import quote, urlsplit

from elihu import ElihuError

TIMEOUT: Final = 10.0
"""Seconds for each step of a delivery."""
_KEPT: Final = "/%:@!$&'()*+,;=~-._?"
"""What is not quoted in a path or query: it may be quoted already."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
_NOWHERE: Final = (IPv6Network("::/96"), IPv6Network("64:ff9b:1::/48"), IPv6Network("fec0::/10"))
"""Addresses of retired and of local forms, which ``ipaddress`` takes for global."""
SIGNATURE: Final = "Elihu-Signature"


class DeliveryFailed(ElihuError):
    """A delivery that failed. ``final``: another attempt cannot help."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


def signature(secret: str, body: bytes, at: int) -> str:
    """The header that proves who sent the body, and when: ``t=SECONDS,v1=HEX``, the
    HMAC-SHA256 over ``SECONDS.BODY``.
    """
    digest = hmac.new(secret.encode(), b"%d.%b" % (at, body), hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is of the internet, and so is the IPv4 address that a
    translation would make of it.
    """
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if any(address in network for network in _NOWHERE):
            return False
    return address.is_global and not address.is_multicast


def post(url: str, body: bytes, secret: str | None, *, allow_private: bool) -> None:
    """POST a JSON body. Raises ``DeliveryFailed``."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    tls = parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    headers = {"Content-Type": "application/json", "User-Agent": "elihu"}
    if secret is not None:
        headers[SIGNATURE] = signature(secret, body, int(time.time()))
    path = quote(parts.path or "/", safe=_KEPT)
    if parts.query:
        path = f"{path}?{quote(parts.query, safe=_KEPT)}"
    connection = _Connection(host, port, tls=tls, address=_address(host, port, allow_private))
    try:
        connection.request("POST", path, body, headers)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise DeliveryFailed(f"{host}: {type(error).__name__}: {error}") from error
    finally:
        connection.close()
    if not 200 <= status < 300:
        again = status >= 500 or status in {408, 425, 429}
        raise DeliveryFailed(
            f"{host}: expected a status of 200 to 299, got {status}", final=not again
        )


class _Connection(http.client.HTTPConnection):
    """Connects to ``address`` and not to what the name leads to by then. The certificate
    must be that of the name.
    """

    def __init__(self, host: str, port: int, *, tls: bool, address: tuple[Any, ...]) -> None:
        super().__init__(host, port, timeout=TIMEOUT)
        self._address = address
        self._tls = tls

    def connect(self) -> None:
        family, where = self._address
        connected = socket.socket(family, socket.SOCK_STREAM)
        try:
            connected.settimeout(TIMEOUT)
            connected.connect(where)
            if self._tls:
                context = ssl.create_default_context()
                connected = context.wrap_socket(connected, server_hostname=self.host)
        except BaseException:
            connected.close()
            raise
        self.sock = connected


def _address(host: str, port: int, allow_private: bool) -> tuple[Any, ...]:
    """A family and an address to connect to. Raises ``DeliveryFailed`` where one of the
    name's addresses is in a private network.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise DeliveryFailed(f"{host}: {error}") from error
    for *_, where in found:
        address = ip_address(str(where[0]).partition("%")[0])
        if not allow_private and not is_public(address):
            raise DeliveryFailed(
                f"{host}: {address} is in a private network: set commands.private_targets to "
                "allow that",
                final=True,
            )
    family, _, _, _, where = found[0]
    return family, where
