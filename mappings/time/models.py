"""The records that flow through the pipe; frozen, without behaviour beyond what their fields say."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from mappings.codes import Code

RateKind = Literal["task", "user", "project", "client", "general", ""]
"""Which setting a rate is from; "" when an older version recorded it without saying so."""


@dataclass(frozen=True, slots=True)
class TimeEntry:
    """What Invoice Ninja should hold for one piece of work.

    `number` is the exactly-once key. `started_at` and `ended_at` are unix seconds; their difference is the billed time.
    `raw_hours` is what the person typed, `hours` what is billed after rounding. `rate` is money per hour, never 0.
    `client_ref` is an Invoice Ninja client id, or, when a person typed it into Taiga, a client number or id number;
    `own_client` is what was typed, "" when the project's client pays. `rate_kind` says why the rate is what it is.
    """

    number: str
    description: str
    client_ref: str
    project_id: str
    rate: Decimal
    raw_hours: Decimal
    hours: Decimal
    started_at: int
    ended_at: int
    rate_kind: RateKind = ""
    own_client: str = ""


@dataclass(frozen=True, slots=True)
class NotBillable:
    """Why a piece of work calls for no time entry."""

    code: Code
    reason: str
