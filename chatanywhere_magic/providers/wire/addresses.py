"""Addresses: check and display them, and decide where a key may go unencrypted and which proxy to use."""

from __future__ import annotations

import os
import re
import socket
from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from ...core import ConfigurationError, phrase

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

PLAIN_HTTP_VARIABLE: Final = "CHATANYWHERE_PLAIN_HTTP"
"""The variable with the hosts, as comma-separated ``host`` or ``host:port``, to which a key may go unencrypted."""
# Where parsers disagree on the host, or what no address of a server has.
_FORBIDDEN: Final = re.compile(r"[\s\\#<>\"{}|^`]")

_ENDPOINT: Final = re.compile(r"/(?:chat/completions|completions|responses|models|embeddings)/*$")
_ANY_HOST: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - replaced, not listened on
_NUMERIC: Final = re.compile(r"[0-9a-fx]+(?:\.[0-9a-fx]+){0,3}")
"""As the system reads it: ``127.1``, too, and other forms of IPv4."""
_AZURE_HOSTS: Final = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")


@lru_cache
def check_url(url: str, source: str, key: str = "error.url") -> str:
    """Return `url` without a trailing slash, or raise ``ConfigurationError`` if it is not an http(s) URL."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        fine = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        fine = fine and url.isprintable() and not _FORBIDDEN.search(url)
        if "[" in parts.netloc:
            ip_address(parts.hostname or "")  # looked at by urlsplit itself from Python 3.11 on
    except ValueError:  # an invalid port or IPv6 address
        fine = False
    if not fine:
        raise ConfigurationError(phrase(key, source=source, url=without_password(url)))
    return url.rstrip("/")


def endpoint(base_url: str, path: str) -> str:
    """Return the address of `path` below `base_url`, whose query is kept."""
    parts = urlsplit(base_url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + path))


def without_password(url: str) -> str:
    """Return `url` with the user and password replaced by ``***``."""
    # Up to the last @, for a password may contain a slash.
    return re.sub(r"//.*@", "//***@", url, flags=re.DOTALL)


@lru_cache
def base_of(url: str) -> str:
    """Return the base of an address as people paste it: without the endpoint, and with a host that can be asked."""
    parts = urlsplit(url)
    path = _ENDPOINT.sub("", parts.path).rstrip("/")
    netloc = parts.netloc
    if parts.hostname in _ANY_HOST:  # what a server listens on; here it means this machine
        user, at, _ = netloc.rpartition("@")
        netloc = f"{user}{at}{_ANY_HOST[parts.hostname]}{'' if parts.port is None else f':{parts.port}'}"
    return urlunsplit(parts._replace(netloc=netloc, path=path))


@lru_cache
def other_form(base_url: str) -> str | None:
    """Return the base with ``/v1`` or, if it has that, without; None if it has a version or a deployment of its own."""
    parts = urlsplit(base_url)
    if parts.path.endswith("/v1"):
        return urlunsplit(parts._replace(path=parts.path.removesuffix("/v1")))
    if re.search(r"/v\d|/deployments/", parts.path):
        return None
    return urlunsplit(parts._replace(path=f"{parts.path}/v1"))


@lru_cache
def is_azure(base_url: str) -> bool:
    """Whether an address is of Azure's service, whose key goes in a header of its own."""
    parts = urlsplit(base_url)
    return (parts.hostname or "").endswith(_AZURE_HOSTS) or "/openai/deployments/" in parts.path


@lru_cache
def deployment_of(base_url: str) -> str:
    """Return the deployment that Azure's address names, ``""`` if it names none."""
    return unquote(urlsplit(base_url).path.partition("/openai/deployments/")[2].partition("/")[0])


@lru_cache
def at_deployment(base_url: str, model: str) -> str:
    """Return the base at which Azure has `model`; any other base, and that of Azure's newer protocol, as it is."""
    parts = urlsplit(base_url)
    if not is_azure(base_url) or "api-version=" not in parts.query or parts.path.endswith("/v1"):
        return base_url
    resource = parts.path.partition("/deployments/")[0].removesuffix("/openai")
    return urlunsplit(parts._replace(path=f"{resource}/openai/deployments/{quote(model, safe='')}"))


@lru_cache
def place_of(url: str) -> str:
    """Return `url` without user, password and query: what it may be remembered by."""
    return urlunsplit(urlsplit(url)._replace(netloc=host_of(url), query=""))


@lru_cache
def host_of(url: str) -> str:
    """Return the host and port of `url`, without any user and password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def has_password(url: str) -> bool:
    """Whether `url` contains a user name, perhaps with a password."""
    return "@" in urlsplit(url).netloc


def is_loopback(url: str) -> bool:
    """Whether `url` is an address of this machine: what is sent there stays on it."""
    host = (urlsplit(url).hostname or "").removesuffix(".").partition("%")[0]
    if is_localhost(host) or host == socket.gethostname().lower():
        return True
    try:
        address = ip_address(socket.inet_aton(host)) if _NUMERIC.fullmatch(host) else ip_address(host)
    except (ValueError, OSError):
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified or _is_own(address)


def is_localhost(host: str) -> bool:
    """Whether a name is ``localhost`` or below it, which by RFC 6761 is this machine in every network."""
    return host.removesuffix(".").rpartition(".")[2] == "localhost"


def _is_own(address: IPv4Address | IPv6Address) -> bool:
    """Whether one of this machine's interfaces has `address`: nothing else can be listened on."""
    if address.is_multicast:
        return False
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004 - the protocol's number
    try:
        with socket.socket(family) as tried:
            tried.bind((str(address), 0))
    except OSError:
        return False
    return True


def may_carry_key(url: str) -> bool:
    """Whether a key may be sent to `url`: encrypted, within this machine, or to a host the user allowed."""
    if urlsplit(url).scheme == "https" or is_loopback(url):
        return True
    allowed = {name.strip().lower() for name in os.environ.get(PLAIN_HTTP_VARIABLE, "").split(",")}
    return not allowed.isdisjoint({host_of(url).lower(), urlsplit(url).hostname})


def proxy_for(url: str) -> str | None:
    """Return the environment's proxy for `url`, honouring ``NO_PROXY``; None for this machine itself.

    aiohttp's own ``trust_env`` also reads ``.netrc``, which clashes with the key's header.
    """
    parts = urlsplit(url)
    # No proxy can reach this machine, and none should see a key that is sent unencrypted.
    if not parts.hostname or is_loopback(url):
        return None
    proxies = getproxies()
    if _is_bypassed(parts, proxies.get("no", "")):
        return None
    if own := proxies.get(parts.scheme):
        return own
    # Beside those for http and https it is often a SOCKS proxy, for other programs. Alone it would be the only way, and
    # is refused where it is used: what it hides would be told by going around it.
    return proxies.get("all") or proxies.get("socks")


def _is_bypassed(parts: SplitResult, no_proxy: str) -> bool:
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if proxy_bypass(host) or proxy_bypass(f"{host}:{port}"):
        return True
    with suppress(ValueError):  # a name is in no network
        address = ip_address(host)
        for entry in no_proxy.split(","):
            with suppress(ValueError):  # nor is every entry one
                if address in ip_network(entry.strip(), strict=False):
                    return True
    return False


def check_proxy(proxy: str | None) -> str | None:
    """Return `proxy` as a URL, adding the scheme if it is missing.

    Raises
    ------
    ConfigurationError
        If it is not the URL of an HTTP proxy.
    """
    if not proxy:
        return None
    return check_url(proxy if "://" in proxy else f"http://{proxy}", "proxy", "error.proxy_url")
