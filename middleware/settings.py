"""Settings: one frozen object from the environment (and `.env`), every mistake reported at once.

Nothing reads the environment at import time; tests build `Settings` with arguments.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from middleware.server_urls import check_redis_address, database_address

KIBIBYTE = 1024
SECRETS = "_webhook_secrets"
FILE = "_file"
DECIDE_ON_SOURCES = {"sources", "taiga_webhook_secrets", "stripe_webhook_secrets", "stripe_api_key"}
_BETWEEN_URLS = re.compile(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://)")


class SettingsError(Exception):
    """The settings cannot be used; `problems` holds one line for each mistake."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Settings(BaseSettings):
    """Everything that can be configured from outside; `.env.example` explains each variable."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    taiga_api: str = ""
    taiga_token: SecretStr = SecretStr("")
    taiga_username: str = ""
    taiga_password: SecretStr = SecretStr("")
    taiga_webhook_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = ()

    taiga_number_prefix: str = Field(default="TAIGA-", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,19}$")

    invoice_ninja_api: str = ""
    invoice_ninja_token: SecretStr = SecretStr("")

    stripe_api_key: SecretStr = SecretStr("")
    stripe_api_base: str = "https://api.stripe.com"
    stripe_webhook_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    stripe_mode: Literal["", "live", "test"] = ""
    stripe_account: str = Field(default="", pattern=r"^(acct_\w+)?$")
    stripe_tolerance: int = Field(default=300, ge=1, description="seconds")

    sources: Annotated[tuple[str, ...], NoDecode] = ()
    webhook_keys: dict[str, tuple[SecretStr, ...]] = Field(
        default={}, description="<NAME>_WEBHOOK_SECRETS of every other source, by its name"
    )

    database_url: SecretStr = SecretStr("")
    redis_url: SecretStr = SecretStr("")
    data_dir: Path = Path(".data")
    mappings_file: Path = Path("mappings.json")

    public_url: str = ""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    worker_port: int = Field(default=8001, ge=0, le=65535, description="health and metrics of the worker; 0: none")
    metrics_port: int | None = Field(
        default=None, ge=0, le=65535, description="where the receiver answers /metrics; empty: PORT, 0: nowhere"
    )
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    invoice_ninja_max_concurrency: int = Field(default=40, ge=1, description="requests at a time, of each process")
    invoice_ninja_max_rate: float = Field(default=0.0, ge=0, description="requests a second, of each process; 0: any")
    taiga_max_concurrency: int = Field(default=40, ge=1, description="requests at a time, of each process")
    taiga_max_rate: float = Field(default=0.0, ge=0, description="requests a second, of each process; 0: any")
    stripe_max_concurrency: int = Field(default=20, ge=1, description="requests at a time, of each process")
    stripe_max_rate: float = Field(default=20.0, ge=0, description="requests a second, of each process; 0: any")

    forwarded_allow_ips: str = Field(default="127.0.0.1,::1", description="proxies whose X-Forwarded-For is believed")
    max_connections: int = Field(default=400, ge=2, description="connections to the receiver at a time")
    max_body_bytes: int = Field(default=5 * KIBIBYTE * KIBIBYTE, ge=KIBIBYTE)
    body_timeout: float = Field(
        default=10.0, gt=0, allow_inf_nan=False, description="seconds a sender may take for its body"
    )
    worker_concurrency: int = Field(default=20, ge=1, le=500)
    attempt_timeout: float = Field(default=120.0, gt=0, allow_inf_nan=False, description="seconds")
    retry_hours: float = Field(default=72.0, gt=0, le=24 * 365)
    sweep_seconds: float = Field(default=2.0, gt=0, allow_inf_nan=False)
    shutdown_seconds: float = Field(default=20.0, ge=0, le=3600)
    write_back_quiet_seconds: float = Field(
        default=30.0, ge=0, le=3600, description="without a change of an item before its status is written into Taiga"
    )
    second_look_minutes: float = Field(
        default=5.0, gt=0, le=60, description="after a request whose answer was lost, until its record is read again"
    )

    retention_days: int = Field(default=180, ge=0, description="of bodies; 0: for ever")
    retention_summary_days: int = Field(default=730, ge=0, description="of whole events; 0: for ever")
    encryption_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    reconcile_taiga_minutes: float = Field(default=15.0, ge=0, description="between two looks at Taiga; 0: none")

    alert_urls: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    alert_minutes: float = Field(default=15.0, gt=0, description="between two messages of a kind")
    alert_silent_hours: float = Field(default=0.0, ge=0, description="without a webhook of a source; 0: learned")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Beside its own fields, `<NAME>_WEBHOOK_SECRETS` of any name are read, and secrets from `<NAME>_FILE`."""
        more = _MoreVariables(settings_cls, env_settings, dotenv_settings)
        return init_settings, env_settings, more, dotenv_settings, file_secret_settings

    @field_validator("taiga_webhook_secrets", "stripe_webhook_secrets", "encryption_keys", mode="before")
    @classmethod
    def _split_secrets(cls, value: object) -> object:
        return _split(value)

    @field_validator("webhook_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        return {name: _split(keys) for name, keys in value.items()} if isinstance(value, dict) else value

    @field_validator("sources", mode="before")
    @classmethod
    def _split_sources(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("alert_urls", mode="before")
    @classmethod
    def _split_urls(cls, value: object) -> object:
        # A comma or blank ends an address only before the next one: it may stand inside one, too.
        return [url for url in _BETWEEN_URLS.split(value.strip(" ,")) if url] if isinstance(value, str) else value

    @field_validator("alert_urls")
    @classmethod
    def _refuse_plain_words(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not all("://" in url.get_secret_value() for url in value):
            raise ValueError("holds something that is no address; write them like mailto://... or ntfy://host/topic")
        return value

    @field_validator("taiga_webhook_secrets", "stripe_webhook_secrets")
    @classmethod
    def _refuse_blank_secrets(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(not secret.get_secret_value().strip() for secret in value):
            raise ValueError("holds an empty secret: anyone could sign with it")
        return value

    @field_validator("port", "worker_port", mode="before")
    @classmethod
    def _refuse_service_links(cls, value: object) -> object:
        if isinstance(value, str) and "://" in value:
            raise ValueError(
                "holds an address: Kubernetes makes such variables for a Service of this name; set enableServiceLinks: "
                "false in the pod, or the variable itself"
            )
        return value

    @field_validator("metrics_port", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: SecretStr) -> SecretStr:
        return SecretStr(database_address(value.get_secret_value()))

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, value: SecretStr) -> SecretStr:
        check_redis_address(value.get_secret_value())
        return value

    @field_validator("taiga_api", "invoice_ninja_api", "stripe_api_base", "public_url")
    @classmethod
    def _refuse_other_schemes(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with https:// (or http://)")
        return value.rstrip("/")

    @field_validator("sources")
    @classmethod
    def _refuse_unknown_sources(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in value if name not in _sources()]
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: no such source; known are {', '.join(_sources())}")
        return value

    @model_validator(mode="after")
    def _every_source_can_verify(self) -> Self:
        missing = [source for source in self.enabled_sources if not self.webhook_secrets(source)]
        if missing:
            names = ", ".join(f"{source.upper()}_WEBHOOK_SECRETS" for source in missing)
            raise ValueError(
                f"{names} is not set, so webhooks of {', '.join(missing)} could not be verified: set it to the key "
                "given to the webhook there, or name only the sources you use in SOURCES"
            )
        return self

    @property
    def enabled_sources(self) -> tuple[str, ...]:
        """The sources whose webhooks are received: `SOURCES`, else Taiga and every other that anything is set of."""
        if self.sources:
            return self.sources
        used = {"taiga"} | ({"stripe"} if self.stripe_api_key.get_secret_value() else set())
        return tuple(name for name in _sources() if name in used or self.webhook_secrets(name))

    def webhook_secrets(self, source: str) -> tuple[str, ...]:
        """The keys that may sign webhooks of this source, newest first."""
        own: tuple[SecretStr, ...] | None = getattr(self, f"{source}{SECRETS}", None)
        keys = self.webhook_keys.get(source, ()) if own is None else own
        return tuple(secret.get_secret_value() for secret in keys)

    @property
    def stripe_is_live(self) -> bool | None:
        """The mode of Stripe that is meant: `STRIPE_MODE`, else that of `STRIPE_API_KEY`; None takes both."""
        if self.stripe_mode:
            return self.stripe_mode == "live"
        _kind, _, rest = self.stripe_api_key.get_secret_value().strip().partition("_")
        mode, separator, _ = rest.partition("_")
        return mode == "live" if separator and mode in {"live", "test"} else None

    @property
    def has_taiga_credentials(self) -> bool:
        """Whether Taiga can be read: an address, and a token or a user name with its password."""
        login = self.taiga_username and self.taiga_password.get_secret_value()
        return bool(self.taiga_api and (self.taiga_token.get_secret_value() or login))


class _MoreVariables(PydanticBaseSettingsSource):
    """Keys of sources that have no field of their own, and secrets that lie in files."""

    def __init__(self, settings_cls: type[BaseSettings], *behind: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._behind = [source for source in behind if isinstance(source, EnvSettingsSource)]

    def get_field_value(self, *_: object) -> tuple[object, str, bool]:
        """Nothing: no field is read by its own name."""
        return None, "", False

    def __call__(self) -> dict[str, object]:
        """What is set, the environment before `.env`."""
        known = self.settings_cls.model_fields
        variables = {name: value for source in reversed(self._behind) for name, value in source.env_vars.items()}
        secrets = {name for name, field in known.items() if "SecretStr" in str(field.annotation)}
        found: dict[str, object] = {}
        keys: dict[str, str] = {}
        for name, value in variables.items():
            bare = name.removesuffix(FILE)
            is_key = bare.endswith(SECRETS) and bare not in known
            if not value or not (is_key or (bare in secrets and bare != name)):
                continue
            text = _read_secret(name, value) if bare != name else value
            if is_key:
                keys.setdefault(bare.removesuffix(SECRETS), text)
            else:
                found[bare] = text
        return {**found, "webhook_keys": keys} if keys else found


def _sources() -> Collection[str]:
    """The names in the table of sources, which is read late: its modules need the store, which must not need us."""
    from middleware.sources.table import SOURCES  # noqa: PLC0415

    return SOURCES


def _read_secret(name: str, file: str) -> str:
    try:
        return Path(file).read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise SettingsError([f"{name.upper()}: {file} cannot be read: {error}"]) from error


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",")] if value.strip() else []
    if "" in parts:
        raise ValueError("holds an empty secret: anyone could sign with it; remove the stray comma")
    return parts


def load_settings(**overrides: object) -> Settings:
    """Read the environment and `.env`.

    Raises:
        SettingsError: one line for each mistake, naming the variable and what to do.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as error:
        found = error.errors()
    raise SettingsError([_problem(item) for item in found + _hidden_behind(found, overrides)])


def _hidden_behind(found: list[ErrorDetails], overrides: Mapping[str, object]) -> list[ErrorDetails]:
    """The mistakes in how settings fit together, which are looked for only when each is right by itself."""
    wrong = {str(item["loc"][0]) for item in found if item["loc"]}
    if not wrong or wrong & DECIDE_ON_SOURCES:
        return []
    try:
        Settings(**{**overrides, **{name: Settings.model_fields[name].default for name in wrong}})
    except ValidationError as error:
        return error.errors()
    return []


_NUMBERS = {"int_parsing": "a whole number", "int_from_float": "a whole number", "float_parsing": "a number"}


def _problem(error: ErrorDetails) -> str:
    name = str(error["loc"][0]).upper() if error["loc"] else ""
    text = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    if wanted := _NUMBERS.get(error["type"]):
        text = f"must be {wanted}"
    return f"{name}: {text}" if name else text
