"""Addresses of PostgreSQL and Redis: what cannot be one is refused without a word of it, what can be is taken."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleware.server_urls import check_redis_address, database_address

SECRET = "s3cr3tw0rd"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "postgresql://u:p@h:5432/db",
        "postgres://u:p%2F%40%23@h/db?sslmode=require",
        "postgresql:///db?host=/var/run/postgresql",
        "postgresql://u@[::1]:5432/db",
        "postgresql://u:p@h1:5432,h2:5433/db?target_session_attrs=primary",
        "postgresql://u@/db?host=/tmp/a b&port=5432",
    ],
)
def test_taken_as_it_is(url: str) -> None:
    """Hosts, sockets, several hosts, encoded passwords."""
    assert database_address(url) == url


@pytest.mark.parametrize(
    "parameter", ["channel_binding=require", "connect_timeout=10", "keepalives=1", "pgbouncer=true"]
)
def test_parameters_of_other_clients(parameter: str) -> None:
    """What only libpq or Prisma reads is left out; the rest stays."""
    address = database_address(f"postgresql://u:p%2F@h/db?sslmode=require&{parameter}&options=-c%20x%3D1")
    assert address == "postgresql://u:p%2F@h/db?sslmode=require&options=-c+x%3D1"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"postgresql://u:{SECRET}/x@h/db", "%2F"),
        (f"postgresql://u:{SECRET}#x@h/db", "%23"),
        (f"postgresql://u:p@h:{SECRET}/db", "port"),
        (f"mysql://u:{SECRET}@h/db", "must begin with postgresql://"),
        (f"u:{SECRET}@h/db", "must begin with"),
        (f"postgresql://[{SECRET}/db", "cannot be read"),
        (f"postgresql://\u2100{SECRET}@h/db", "cannot be read"),
        ("postgresql://u@h/db?sslrootcert=system", "ca-certificates"),
    ],
)
def test_databases_that_cannot_be(url: str, words: str) -> None:
    """Each mistake has its sentence, and no part of the address is shown."""
    with pytest.raises(ValueError, match=words) as caught:
        database_address(url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("url", ["redis://h:6379/0", "rediss://:p%23@h", "unix:///tmp/a@b/redis.sock?db=0", ""])
def test_redis_taken(url: str) -> None:
    """With TLS, a password, a socket."""
    check_redis_address(url)


@pytest.mark.parametrize(
    "url", [f"redis://full:{SECRET}#r:t/@@h/0", f"valkey://{SECRET}@h/0", "h:6379", "redis://h:x/0"]
)
def test_redis_refused(url: str) -> None:
    """As for PostgreSQL."""
    with pytest.raises(ValueError, match=r"must begin|cannot be read|port") as caught:
        check_redis_address(url)
    assert SECRET not in str(caught.value)


@given(st.text(max_size=80))
def test_nothing_else_is_raised(text: str) -> None:
    """Whatever is set: a ValueError, or nothing."""
    for address in (text, f"postgresql://{text}", f"redis://{text}"):
        for look in (database_address, check_redis_address):
            with suppress(ValueError):
                look(address)
