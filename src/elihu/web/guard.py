"""What stands before every request: the Host header, proxies, sizes, rates, the origin of
changes, and the headers of each answer. It reads no database.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from elihu.web.problems import problem

LARGEST_BODY: Final = 1_048_576
BODY_TIMEOUT: Final = 30.0
"""Seconds in which the body of a request must arrive."""
RATE: Final = 50.0
"""Requests a second of one address, on average."""
BURST: Final = 200
ADDRESSES: Final = 10_000
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
UNSAFE: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_JSON: Final = "application/json"
_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies whose headers are believed: networks, and a Unix socket's peer."""

    networks: tuple[_Network, ...] = ()
    unix: bool = False

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Proxies":
        """Raises ``ValueError`` for what is no network."""
        return cls(
            tuple(ip_network(text, strict=False) for text in texts if text != "unix"),
            "unix" in texts,
        )

    def trusts(self, address: str | None) -> bool:
        """Whether headers from this peer are believed; None is a Unix socket's."""
        if address is None:
            return self.unix
        parsed = _address(address)
        return parsed is not None and any(parsed in network for network in self.networks)

    def client(self, address: str | None, forwarded: str | None) -> str | None:
        """Whose request it is: the last address in ``X-Forwarded-For`` that is no trusted
        proxy, if the peer is one.
        """
        if not self.trusts(address) or not forwarded:
            return address
        for each in reversed([part.strip() for part in forwarded.split(",")]):
            if _address(each) is None:
                return address
            address = each
            if not self.trusts(each):
                break
        return address


class Guard:
    """The middleware. ``hosts`` None accepts every Host header, for an application that is
    mounted in another.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Collection[str] | None,
        proxies: Proxies,
        rate: float = RATE,
        burst: int = BURST,
    ) -> None:
        self._app = app
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)
        self._proxies = proxies
        self._rates = Rates(rate, burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = dict(scope)
        headers = Headers(scope=scope)
        peer = scope["client"][0] if scope.get("client") else None
        address = self._proxies.client(peer, headers.get("x-forwarded-for"))
        scope["client"] = None if address is None else (address, 0)
        if self._proxies.trusts(peer) and "x-forwarded-proto" in headers:
            proto = headers["x-forwarded-proto"].split(",")[-1].strip().lower()
            scope["scheme"] = "https" if proto == "https" else "http"
        secure = scope["scheme"] == "https"

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    added.setdefault(name, value)
                added.setdefault("cache-control", "no-store")
                if secure:
                    added.setdefault("strict-transport-security", "max-age=31536000")
            await send(message)

        refusal = self._refusal(scope, headers, address)
        if refusal is not None:
            await refusal(scope, receive, send_with_headers)
            return
        body = Body(receive, send_with_headers)
        await self._app(scope, body.receive, body.send)

    def _refusal(self, scope: Scope, headers: Headers, address: str | None) -> ASGIApp | None:
        if self._hosts is not None and not _is_allowed(headers.getlist("host"), self._hosts):
            return problem(421, "the Host header names no host of this server: see allowed_hosts")
        wait = self._rates.wait(address or "unix")
        if wait > 0:
            return problem(
                429, "too many requests: wait", headers={"Retry-After": str(int(wait) + 1)}
            )
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            return problem(400, "Content-Length: expected a number")
        if int(length) > LARGEST_BODY:
            return problem(413, f"expected a body of at most {LARGEST_BODY:,} bytes")
        if scope["method"] in UNSAFE:
            return self._forged(scope, headers)
        return None

    def _forged(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        """A change must come from our own page, or from a program. Browsers say where a
        request comes from; programs send neither header.
        """
        kind = headers.get("content-type", "").split(";")[0].strip().lower()
        if kind not in {"", _JSON} and _is_api(scope):
            return problem(415, f"Content-Type: expected {_JSON}")
        if "sec-fetch-site" in headers and headers["sec-fetch-site"] != "same-origin":
            return problem(403, "changes from another site are refused")
        origin = headers.get("origin")
        if origin is not None and not is_same_origin(
            origin, scope["scheme"], headers.get("host", "")
        ):
            return problem(403, "changes from another origin are refused")
        return None


class Body:
    """The body of one request: bounded in size and time."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._size = 0
        self._complete = False
        self._started = False
        self._deadline = time.monotonic() + BODY_TIMEOUT
        self._refused = False

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout(max(0.0, self._deadline - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            await self._refuse(408, "the body took too long to arrive")
            return {"type": "http.disconnect"}
        self._size += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._size > LARGEST_BODY:
            await self._refuse(413, f"expected a body of at most {LARGEST_BODY:,} bytes")
            return {"type": "http.disconnect"}
        return message

    async def send(self, message: Message) -> None:
        if self._refused:
            return
        self._started = True
        await self._send(message)

    async def _refuse(self, status: int, detail: str) -> None:
        self._complete = True
        if not self._started and not self._refused:
            self._refused = True
            answer = problem(status, detail, headers={"Connection": "close"})
            await answer({"type": "http"}, self._receive, self._send)


class Rates:
    """Requests of each address: a bucket of ``burst`` that fills with ``rate`` a second."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Count a request. Returns the seconds to wait where there were too many."""
        moment = time.monotonic()
        left, before = self._buckets.pop(address, (float(self._burst), moment))
        left = min(self._burst, left + (moment - before) * self._rate)
        allowed = left >= 1
        self._buckets[address] = (left - 1 if allowed else left, moment)
        if len(self._buckets) > ADDRESSES:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._rate


def is_same_origin(origin: str, scheme: str, host: str) -> bool:
    """Whether an Origin header names this server."""
    port = ":443" if scheme == "https" else ":80"
    ours = f"{scheme}://{host}".lower().removesuffix(port)
    return origin.lower().removesuffix(port) == ours


def is_loopback(address: str | None) -> bool:
    """Whether a peer is on this machine."""
    parsed = None if address is None else _address(address)
    return parsed is not None and parsed.is_loopback


def host_name(host: str) -> str:
    """A Host header without its port, in lower case."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


def _is_api(scope: Scope) -> bool:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")).startswith("/api/")


def _is_allowed(given: Sequence[str], hosts: Collection[str]) -> bool:
    return len(given) == 1 and host_name(given[0]) in hosts


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    mapped = getattr(parsed, "ipv4_mapped", None)
    return mapped or parsed
