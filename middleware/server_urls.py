"""The addresses of PostgreSQL and Redis, checked before anything connects; no message shows any part of them. Pure."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

CLIENT_PARAMETERS = frozenset(
    (
        *("channel_binding", "connect_timeout", "fallback_application_name", "gssencmode", "keepalives"),
        *("keepalives_count", "keepalives_idle", "keepalives_interval", "krbsrvname", "sslcompression", "sslsni"),
        *("tcp_user_timeout", "load_balance_hosts"),
        *("connection_limit", "pgbouncer", "pool_timeout", "schema", "socket_timeout", "statement_cache_size"),
    )
)
"""What libpq and other clients read themselves; our client would hand it to the server, which refuses it."""

ESCAPED = 'write special characters of the password as %XX ("/" as %2F, "#" as %23, "?" as %3F, "@" as %40, ":" as %3A)'


def database_address(url: str) -> str:
    """The address without what only other clients understand.

    Raises:
        ValueError: it is not an address of PostgreSQL.
    """
    if not url.strip():
        return ""
    _check(url.strip(), ("postgresql", "postgres"))
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        # Its words would show a part of the address.
        raise ValueError(f"cannot be read: {ESCAPED}") from None
    parameters = parse_qsl(parts.query, keep_blank_values=True)
    if ("sslrootcert", "system") in parameters:
        raise ValueError(
            "has sslrootcert=system: name the file with the certificates of your system instead, such as "
            "/etc/ssl/certs/ca-certificates.crt"
        )
    kept = [(name, value) for name, value in parameters if name not in CLIENT_PARAMETERS]
    if len(kept) == len(parameters):
        return url.strip()
    return urlunsplit(parts._replace(query=urlencode(kept, safe="/")))


def check_redis_address(url: str) -> None:
    """Nothing, when Redis can be looked for there.

    Raises:
        ValueError: it is not an address of Redis.
    """
    if url.strip():
        _check(url.strip(), ("redis", "rediss", "unix"))


def _check(url: str, schemes: tuple[str, ...]) -> None:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in schemes:
        raise ValueError(f"must begin with {' or '.join(f'{one}://' for one in schemes)}")
    authority, _, path = rest.partition("/")
    if "#" in url or ("@" in path.partition("?")[0] and scheme != "unix"):
        raise ValueError(f"cannot be read: {ESCAPED}")
    for host in authority.rpartition("@")[2].partition("?")[0].split(","):
        port = host.rpartition("]")[2].partition(":")[2] if "[" in host else host.partition(":")[2]
        if port and not port.isdecimal():
            raise ValueError(f"has a port that is not a number: {ESCAPED}")
