"""Where webhooks should be sent, and which addresses Taiga refuses (docs/facts/taiga.md section 1). Pure."""

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

LONGEST_FOR_TAIGA = 200
_HOST = re.compile(r"localhost|(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]*[a-z][a-z0-9-]*", re.IGNORECASE)
ALLOW_PRIVATE = (
    "start taiga-back with WEBHOOKS_ALLOW_PRIVATE_ADDRESS=True (an environment variable of its Docker image), or use a"
    " public address"
)


def webhook_address(public_url: str, source: str) -> str:
    """The address to be registered at a source: `https://billing.example/webhooks/taiga`."""
    return f"{public_url.rstrip('/')}/webhooks/{source}"


def leads_here(url: str, public_url: str, source: str) -> bool:
    """Whether webhooks sent there reach us; without a public address, every address with our path may."""
    parts = urlsplit(url)
    if not public_url:
        return parts.path.rstrip("/").endswith(f"/webhooks/{source}")
    wanted = urlsplit(webhook_address(public_url, source))
    return (parts.scheme, _authority(parts.hostname, parts.port, parts.scheme), parts.path.rstrip("/")) == (
        wanted.scheme,
        _authority(wanted.hostname, wanted.port, wanted.scheme),
        wanted.path,
    )


def taiga_refusal(url: str) -> str:
    """Why Taiga would not take this address for a webhook; "" when it would."""
    host = urlsplit(url).hostname or ""
    if len(url) > LONGEST_FOR_TAIGA:
        return f"Taiga takes at most {LONGEST_FOR_TAIGA} characters; this address has {len(url)}: use a shorter one"
    if is_private(host):
        return f"Taiga refuses the private address {host}: {ALLOW_PRIVATE}"
    if _as_ip(host) is None and _HOST.fullmatch(host) is None:
        return (
            f'Taiga refuses the host name "{host}": it wants letters, digits, hyphens and at least one dot (a service'
            " name of Docker has none: give it a network alias such as billing.internal)"
        )
    return ""


def private_name(host: str, addresses: Iterable[str]) -> str:
    """What Taiga does with a name that leads to a private address: it takes it and then sends nothing."""
    private = sorted({address for address in addresses if is_private(address)})
    if _as_ip(host) is not None or not private:
        return ""
    return (
        f"{host} is {', '.join(private)} here; if it is private for Taiga as well, Taiga takes the webhook but sends"
        f' nothing and logs "Private IP Address not allowed": {ALLOW_PRIVATE}'
    )


def is_private(host: str) -> bool:
    """Whether this is a literal address that is not public."""
    address = _as_ip(host)
    return address is not None and not address.is_global


def _as_ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _authority(host: str | None, port: int | None, scheme: str) -> tuple[str, int]:
    return ((host or "").lower(), port or (443 if scheme == "https" else 80))
