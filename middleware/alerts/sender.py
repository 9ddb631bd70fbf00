"""Hands a message to the process that sends it. Addresses hold passwords: they pass through a pipe and no log."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from middleware.alerts.models import Message

LONGEST_SENDING = 90.0
"""Seconds for one message to all addresses."""


@dataclass(frozen=True, slots=True)
class Sent:
    """How sending to one address went. `name` is its number and kind, such as `2 (ntfy)`, never the address itself."""

    name: str
    is_ok: bool
    said: str = ""


async def send(urls: Sequence[str], message: Message) -> list[Sent]:
    """Send to every address; never raises for what goes wrong on the way, but says it."""
    names = [f"{number} ({url.partition('://')[0]})" for number, url in enumerate(urls, start=1)]
    order = {
        "urls": list(urls),
        "title": message.title,
        "body": message.body,
        "is_good_news": message.is_good_news,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "middleware.alerts.apprise_process",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LONGEST_SENDING):
            out, err = await process.communicate(json.dumps(order).encode())
        results = json.loads(out)
        return [Sent(name, result["ok"], result["said"]) for name, result in zip(names, results, strict=True)]
    except TimeoutError:
        return [Sent(name, is_ok=False, said=f"took longer than {LONGEST_SENDING:.0f} s") for name in names]
    except ValueError:
        last = err.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        return [Sent(name, is_ok=False, said=f"the sending process ended: {last[0]}") for name in names]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
