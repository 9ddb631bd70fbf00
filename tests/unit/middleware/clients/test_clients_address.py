"""Base addresses and path segments."""

import pytest

from middleware.clients.connect import connect_invoice_ninja, connect_taiga
from middleware.clients.http.address import api_base, segment
from middleware.clients.taiga import Credentials


@pytest.mark.parametrize(
    ("typed", "base"),
    [
        ("https://ninja.example", "https://ninja.example/api/v1"),
        ("https://ninja.example/", "https://ninja.example/api/v1"),
        (" https://ninja.example/api/v1/ ", "https://ninja.example/api/v1"),
        ("https://ninja.example/api", "https://ninja.example/api/v1"),
        ("https://host.example/below/ninja", "https://host.example/below/ninja/api/v1"),
        ("https://host.example/below/ninja/api/v1//", "https://host.example/below/ninja/api/v1"),
        ("http://127.0.0.1:9200", "http://127.0.0.1:9200/api/v1"),
        ("http://[::1]:9200", "http://[::1]:9200/api/v1"),
    ],
)
def test_addresses_as_people_type_them(typed: str, base: str) -> None:
    """With or without the API's path, with a slash at the end, below a proxy's path."""
    assert api_base(typed, "INVOICE_NINJA_API") == base


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ninja.example",
        "ftp://ninja.example",
        "https://",
        "https://ninja.example/api/v5",
        "https://ninja.example/api/v1/clients",
        "https://user:secret@ninja.example",
        "https://ninja.example/?a=1",
        "https://ninja.example/#top",
        "https://ninja.example:port",
        "https://ninja\x00.example",
    ],
)
def test_addresses_that_cannot_be(typed: str) -> None:
    """The refusal names the setting and shows what is expected, and never the password in the address."""
    with pytest.raises(ValueError, match="INVOICE_NINJA_API must look like https://host/api/v1") as refused:
        api_base(typed, "INVOICE_NINJA_API")
    assert "secret" not in str(refused.value)


def test_segments_cannot_leave_their_place() -> None:
    """An id is one segment; an empty one would ask for the list."""
    assert segment("a/b?c d") == "a%2Fb%3Fc%20d"
    assert segment(7) == "7"
    for value in ("", ".", ".."):
        with pytest.raises(ValueError, match="is not an id"):
            segment(value)


@pytest.mark.parametrize("token", ["", "  ", "a b", "tökén", "a\nb"])
def test_tokens_that_cannot_be(token: str) -> None:
    """A token that cannot stand in a header is refused before anything is sent."""
    with pytest.raises(ValueError, match="INVOICE_NINJA_TOKEN"):
        connect_invoice_ninja("https://ninja.example", token)


def test_credentials_that_cannot_be() -> None:
    """Taiga needs a token or a login, and the refusal names the settings."""
    with pytest.raises(ValueError, match="TAIGA_TOKEN, or TAIGA_USERNAME and TAIGA_PASSWORD"):
        Credentials(username="bridge")
    with pytest.raises(ValueError, match="TAIGA_TOKEN holds characters"):
        Credentials(token="ey\x07J")


def test_secrets_are_not_shown() -> None:
    """The credentials can be printed."""
    shown = repr(Credentials(token="Bearer hidden1", username="bridge", password="hidden2"))
    assert "bridge" in shown
    assert "hidden" not in shown


async def test_taiga_with_a_bad_address() -> None:
    """The refusal names Taiga's setting."""
    with pytest.raises(ValueError, match="TAIGA_API"):
        connect_taiga("taiga", Credentials(token="t"))
