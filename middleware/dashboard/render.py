"""Templates into pages."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from importlib import resources
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from middleware.dashboard import formats
from middleware.dashboard import labels as words
from middleware.version import VERSION

STATIC_FILES: Mapping[str, str] = {
    "style.css": "text/css; charset=utf-8",
    "script.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}

_ADDRESS = re.compile(r"(https?://[^\s()<>\"']+)")


def static_content(name: str) -> bytes:
    """The bytes of a static file."""
    return (resources.files("middleware.dashboard") / "static" / name).read_bytes()


def make_environment() -> Environment:
    """Templates with everything that they may call; every value is escaped, a missing one is an error."""
    environment = Environment(
        loader=PackageLoader("middleware.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "time": _time,
        "ago": _ago,
        "clock": _clock,
        "day": formats.day_text,
        "ms": formats.milliseconds_text,
        "number": formats.count_text,
        "hours": formats.hours_text,
        "rate": formats.rate_text,
        "money": formats.money_text,
        "minor": formats.minor_text,
        "duration": formats.seconds_text,
        "system": words.system_name,
        "review": words.review_name,
        "review_page": words.review_page,
        "sentence": words.sentence,
        "linked": linked,
        "pretty": pretty_json,
        # Ids may hold a slash; Jinja leaves it as it is.
        "urlencode": lambda text: quote(str(text), safe=""),
    }
    digest = hashlib.sha256(b"".join(static_content(name) for name in STATIC_FILES)).hexdigest()[:12]
    environment.globals |= {
        "version": VERSION,
        "assets": digest,
        "status_help": words.STATUS_HELP,
        "effect_words": words.EFFECTS,
    }
    return environment


def linked(text: str) -> Markup:
    """The text with its addresses as links; everything is escaped."""
    parts = _ADDRESS.split(text)
    shown = [
        Markup('<a href="{}" rel="noreferrer">{}</a>').format(part, part) if number % 2 else escape(part)
        for number, part in enumerate(parts)
    ]
    return Markup("").join(shown)


def pretty_json(value: Any) -> str:
    """JSON for reading."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _zone(context: Context) -> tzinfo:
    zone = context.get("zone")
    return zone if isinstance(zone, tzinfo) else UTC


def _tag(moment: datetime, shown: str, title: str) -> Markup:
    return Markup('<time datetime="{}" title="{}">{}</time>').format(moment.isoformat(), title, shown)


@pass_context
def _time(context: Context, moment: datetime) -> Markup:
    zone = _zone(context)
    return _tag(moment, formats.moment_text(moment, zone), formats.exact_text(moment, zone))


@pass_context
def _ago(context: Context, moment: datetime) -> Markup:
    shown = formats.ago_text(moment, context["now"])
    return _tag(moment, shown, formats.exact_text(moment, _zone(context)))


@pass_context
def _clock(context: Context, moment: datetime) -> Markup:
    zone = _zone(context)
    return _tag(moment, formats.clock_text(moment, zone), formats.exact_text(moment, zone))
