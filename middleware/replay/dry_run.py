"""What a replay would do, without doing it: the real handler on the present state, with a context that only reads."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from handlers.ports.context import Context
from handlers.registry import dispatch
from middleware.pipeline.attempt import lead_event, work_of
from middleware.pipeline.retry import Attempt, judge
from middleware.replay.read_only import Script, WouldWriteError, read_only
from middleware.store.events.claim_records import Claim


@dataclass(frozen=True, slots=True)
class Effect:
    """What replaying one event would do. `effect`: create, update, delete, send, review, nothing, dead or retry.

    `steps` are the writes in order, `reason` how the event would end.
    """

    event_id: int
    subject: str
    effect: str
    reason: str
    hint: str = ""
    steps: tuple[str, ...] = ()
    together_with: int | None = None


async def dry_run(claim: Claim, context: Context, now: datetime) -> list[Effect]:
    """What settling a claim would do: one effect for each of its events."""
    script = Script()
    lead = lead_event(claim)
    try:
        result: Any = await dispatch(work_of(claim), read_only(context, script))
    except WouldWriteError:
        result = None
    except Exception as error:  # noqa: BLE001 - every way of failing is judged by the retry policy
        result = error
    steps = tuple(what for _, what in script.steps)
    if result is None:
        own = Effect(lead.id, claim.subject, script.steps[-1][0], "what follows depends on the answer", steps=steps)
    else:
        verdict = judge(result, Attempt(1, now, now, 0.5), timedelta(hours=1))
        effect = {"dead": "dead", "retrying": "retry"}.get(verdict.status) or _strongest(script)
        own = Effect(lead.id, claim.subject, effect, verdict.reason, verdict.hint, steps)
    others = [
        Effect(event.id, claim.subject, "nothing", f"taken together with event {lead.id}", together_with=lead.id)
        for event in claim.due
        if event.id != lead.id
    ]
    return [own, *others]


def _strongest(script: Script) -> str:
    found = {effect for effect, _ in script.steps}
    return next((effect for effect in ("create", "delete", "update", "send", "review") if effect in found), "nothing")
