"""Log lines: one formatter for all, no secrets, nothing that breaks a terminal or a JSON reader."""

import json
import logging
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import structlog

from middleware.logs import configure_logs

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """The logging of the session is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def written(capsys: pytest.CaptureFixture[str], log_format: Literal["console", "json"], **line: Any) -> str:
    """What one line looks like."""
    configure_logs(log_format, "info")
    structlog.get_logger().info("event.attempted", **line)
    return capsys.readouterr().err


def test_json_lines_parse(capsys: pytest.CaptureFixture[str]) -> None:
    """A line is one JSON object, whatever stands in it."""
    text = written(capsys, "json", reason="two\nlines \ud800\x00", event_id=7)
    assert text.count("\n") == 1
    line = json.loads(text)
    assert (line["event"], line["event_id"], line["level"]) == ("event.attempted", 7, "info")
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("log_format", ["console", "json"])
@pytest.mark.parametrize("key", ["token", "Authorization", "password", "X-API-TOKEN", "secret", "stripe-signature"])
def test_keys_that_name_secrets(
    capsys: pytest.CaptureFixture[str], log_format: Literal["console", "json"], key: str
) -> None:
    """A value under a key that names a secret is masked."""
    assert "hunter2" not in written(capsys, log_format, **{key: "hunter2"})


def log_in(password: str) -> None:
    """Fail with a secret among the local variables."""
    login = {"username": "u", "password": password}
    raise ValueError(f"{len(login)} things went wrong")


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_tracebacks_without_local_variables(
    capsys: pytest.CaptureFixture[str], log_format: Literal["console", "json"]
) -> None:
    """A traceback names the places and the error, not what the variables held."""
    configure_logs(log_format, "info")
    try:
        log_in(SECRET)
    except ValueError:
        structlog.get_logger().exception("event.attempted")
    text = capsys.readouterr().err
    assert "2 things went wrong" in text
    assert SECRET not in text


def test_console_takes_any_text(capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal gets no raw lone surrogates that would break the line."""
    assert "event.attempted" in written(capsys, "console", reason="\N{PARTY POPPER} \x1b[31m")


def test_libraries_speak_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    """Records of libraries come out as JSON, too; the noisy ones only with warnings."""
    configure_logs("json", "info")
    logging.getLogger("some.library").warning("careful: %s", "x")
    logging.getLogger("httpx").info("HTTP Request: GET https://x?token=y")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "careful: x"


def test_level(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines below the level are not written."""
    configure_logs("json", "error")
    structlog.get_logger().warning("event.attempted")
    logging.getLogger("some.library").warning("careful")
    assert capsys.readouterr().err == ""
