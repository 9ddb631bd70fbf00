"""Base addresses as people type them."""

from urllib.parse import quote

import httpx

API_PATH = "/api/v1"


def api_base(address: str, setting: str) -> str:
    """The address of the API: `https://host`, `https://host/`, `https://host/below/api/v1/` all work.

    Raises:
        ValueError: it cannot be an API address; the message names the setting and says what is expected.
    """
    expected = f"{setting} must look like https://host{API_PATH}"
    try:
        url = httpx.URL(address.strip())
    except (httpx.InvalidURL, TypeError) as error:
        raise ValueError(f"{expected}: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError(f"{expected}, with http:// or https:// and a host")
    if url.userinfo or url.query or url.fragment:
        raise ValueError(f"{expected}, without user, password, ? and #")
    return str(url.copy_with(path=_api_path(url.path.rstrip("/"), expected)))


def segment(value: str | int) -> str:
    """An id as one segment of a path.

    Raises:
        ValueError: it is empty, or a dot segment: the path would mean another resource (`/tasks/` is the list).
    """
    text = str(value)
    if text.strip(".") == "":
        raise ValueError(f"{text!r} is not an id")
    return quote(text, safe="")


def _api_path(path: str, expected: str) -> str:
    if path.endswith(API_PATH):
        return path
    if path.endswith("/api"):
        return f"{path}/v1"
    if "/api/" in f"{path}/":
        raise ValueError(f"{expected}; {path} is another API")
    return path + API_PATH
