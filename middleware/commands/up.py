"""`taiga-billing up`: the whole stack on one machine, each part a process of its own."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import click
import structlog

from middleware.commands.common import kept_servers, run, settings_or_exit
from middleware.commands.serve import listener_or_exit
from middleware.mapping.load import load_mapping
from middleware.process import PARENT_VARIABLE, on_hangup, stop_on_signals
from middleware.settings import Settings
from middleware.store.database import migrate
from middleware.web.listen import LISTENER_VARIABLE

log = structlog.get_logger()

LONGEST_RESTART_DELAY = 30.0
SECONDS_BETWEEN_LOOKS = 2.0
# A part that ran this long has recovered: its next restart is quick again.
HEALTHY_AFTER = 60.0


@click.command("up")
def command() -> None:
    """Run receiver and worker until SIGTERM or SIGINT; a part that dies is started again."""
    with kept_servers(settings_or_exit()) as (settings, revive):
        run(up(settings, revive))


async def up(settings: Settings, revive: Callable[[], list[str]]) -> None:
    """Migrate, then keep both parts running; `revive` starts our own servers again when they have ended.

    Raises:
        SettingsError: settings or the mapping file are missing.
        MappingErrors: the mapping file has mistakes.
    """
    load_mapping(settings.mappings_file)
    await migrate(settings.database_url.get_secret_value())
    stop = stop_on_signals()
    environment = child_environment(settings)
    running: dict[str, asyncio.subprocess.Process] = {}
    on_hangup(lambda: _pass_on_hangup(running.values()))
    # Held here, so that webhooks wait in its queue while the receiver is started again.
    with listener_or_exit(settings) as listener:
        starts = (Start("serve", environment, listener.fileno()), Start("worker", environment))
        async with asyncio.TaskGroup() as parts:
            parts.create_task(_keep_servers(revive, stop))
            for start in starts:
                parts.create_task(keep_running(start, stop, settings.shutdown_seconds, running))
            log.info("stack.started", address=f"http://{settings.host}:{settings.port}")


async def _keep_servers(revive: Callable[[], list[str]], stop: asyncio.Event) -> None:
    """Start our own PostgreSQL and Redis again when they die: nobody else would, and every webhook would be refused."""
    from middleware.embedded.errors import EmbeddedServerError  # noqa: PLC0415 - an extra

    while not stop.is_set():
        try:
            for said in revive():
                log.error("server.restarted", message=said)
        except EmbeddedServerError as error:
            log.error("server.down", error=str(error), hint="it restarts automatically; see its log")  # noqa: TRY400 - a sentence says enough
        await _first(stop.wait(), asyncio.sleep(SECONDS_BETWEEN_LOOKS))


def child_environment(settings: Settings) -> Mapping[str, str]:
    """The environment of the parts: they use the servers that run behind this process, and end with it."""
    return {
        **os.environ,
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "REDIS_URL": settings.redis_url.get_secret_value(),
        PARENT_VARIABLE: str(os.getpid()),
    }


def _pass_on_hangup(processes: Iterable[asyncio.subprocess.Process]) -> None:
    """Let the parts read the mapping file again."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Start:
    """How one part is started; `listener` is the descriptor of the socket that it inherits."""

    part: str
    environment: Mapping[str, str]
    listener: int | None = None

    async def process(self) -> asyncio.subprocess.Process:
        """Start it."""
        passed = () if self.listener is None else (self.listener,)
        named = {LISTENER_VARIABLE: str(self.listener)} if passed else {}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "middleware", self.part),
            env={**self.environment, **named},
            start_new_session=True,
            pass_fds=passed,
        )


async def keep_running(
    start: Start,
    stop: asyncio.Event,
    grace: float,
    running: MutableMapping[str, asyncio.subprocess.Process],
) -> None:
    """Run one part until `stop`, starting it again with a growing delay when it dies; `running` gets its process."""
    delay = 1.0
    while not stop.is_set():
        started = asyncio.get_running_loop().time()
        process = await start.process()
        running[start.part] = process
        try:
            await _first(process.wait(), stop.wait())
        finally:
            await _end(process, grace)
        if stop.is_set():
            return
        if asyncio.get_running_loop().time() - started > HEALTHY_AFTER:
            delay = 1.0
        log.error("part.died", part=start.part, exit_code=process.returncode, restart_in_s=delay)
        await _first(stop.wait(), asyncio.sleep(delay))
        delay = min(delay * 2, LONGEST_RESTART_DELAY)


async def _first(*waits: Coroutine[Any, Any, object]) -> None:
    """Return when the first of these is over; the others are given up."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _end(process: asyncio.subprocess.Process, grace: float) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), grace + 10)
    except TimeoutError:
        process.kill()
        await process.wait()
