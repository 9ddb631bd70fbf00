"""What commands share: settings with a clear refusal, the servers behind them, and results as text or JSON."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import click
import uvloop
from pydantic import SecretStr

from mappings.errors import MappingErrors
from middleware.logs import configure_logs
from middleware.settings import Settings, SettingsError, load_settings
from middleware.store.database import (
    STORE_ERRORS,
    NewerSchemaError,
    Pool,
    StoreUnavailableError,
    UnsuitableDatabaseError,
    migrate,
    open_pool,
)
from middleware.store.encryption import MissingKeyError, use_keys
from middleware.store.text import storable

FAILED = 1
WRONG_USE = 2
DIFFERENCES = 3

_T = TypeVar("_T")

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


class FailedError(click.ClickException):
    """The command could not do what was asked; exit code 1."""

    exit_code = FAILED


class WrongUseError(click.ClickException):
    """The settings, the mapping file or the arguments cannot be used; exit code 2."""

    exit_code = WRONG_USE


def settings_or_exit(**overrides: object) -> Settings:
    """The settings, or the end of the program with every mistake listed."""
    try:
        settings = load_settings(**overrides)
    except SettingsError as error:
        lines = [*error.problems, *_where_settings_are()]
        raise WrongUseError("these settings cannot be used:\n" + "\n".join(f"  {line}" for line in lines)) from error
    configure_logs(settings.log_format, settings.log_level)
    try:
        use_keys([key.get_secret_value() for key in settings.encryption_keys])
    except ValueError as error:
        raise WrongUseError(f"ENCRYPTION_KEYS: {error}") from error
    return settings


def _where_settings_are() -> list[str]:
    if Path(".env").exists():
        return []
    return [f"there is no .env in {Path.cwd()}: go to the folder where it is, or make one with `taiga-billing setup`"]


@contextmanager
def servers_behind(settings: Settings) -> Iterator[Settings]:
    """The settings with the addresses of PostgreSQL and Redis filled in; starts embedded ones where none is set."""
    with kept_servers(settings) as (complete, _revive):
        yield complete


@contextmanager
def kept_servers(settings: Settings) -> Iterator[tuple[Settings, Callable[[], list[str]]]]:
    """The same, with what starts embedded servers again that have ended (`middleware.embedded.Endpoints.revive`)."""
    postgres = not settings.database_url.get_secret_value()
    redis = not settings.redis_url.get_secret_value()
    if not postgres and not redis:
        yield settings, list
        return
    from middleware.embedded import EmbeddedServerError, embedded_servers  # noqa: PLC0415 - an extra

    try:
        with embedded_servers(settings.data_dir, postgres=postgres, redis=redis) as endpoints:
            update: dict[str, SecretStr] = {}
            if endpoints.database_url:
                update["database_url"] = SecretStr(endpoints.database_url)
            if endpoints.redis_url:
                update["redis_url"] = SecretStr(endpoints.redis_url)
            yield settings.model_copy(update=update), endpoints.revive
    except EmbeddedServerError as error:
        raise FailedError(str(error)) from error


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine on uvloop; failures that a person can repair end the program with their message."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main)
    except SettingsError as error:
        raise WrongUseError("\n".join(error.problems)) from error
    except MappingErrors as error:
        raise WrongUseError(f"the mapping file cannot be used:\n{error}") from error
    except (NewerSchemaError, UnsuitableDatabaseError, MissingKeyError) as error:
        raise FailedError(str(error)) from error
    except StoreUnavailableError as error:
        raise FailedError(str(error)) from error
    except STORE_ERRORS as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise FailedError(f"{error.filename}: {error.strerror}") from error  # no connection names a file
        raise FailedError(
            f"PostgreSQL: {error} ({type(error).__name__}; is DATABASE_URL right and the server running?)"
        ) from error


@asynccontextmanager
async def store(settings: Settings) -> AsyncIterator[Pool]:
    """A small pool on the migrated database."""
    url = settings.database_url.get_secret_value()
    await migrate(url)
    async with open_pool(url, size=4) as pool:
        yield pool


def in_store(use: Callable[[Pool], Awaitable[_T]]) -> _T:
    """What `use` makes of the migrated database; for commands that need nothing else."""

    async def whole(settings: Settings) -> _T:
        async with store(settings) as pool:
            return await use(pool)

    with servers_behind(settings_or_exit()) as settings:
        return run(whole(settings))


def plain(value: Any) -> Any:
    """A result as JSON can hold it: records become objects, decimals and times texts; all texts can be printed."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {storable(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        return storable(value)
    return str(value) if isinstance(value, Decimal) else value


def print_json(value: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(plain(value), indent=2, ensure_ascii=False))
