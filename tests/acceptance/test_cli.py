"""The command line: exit codes, results as JSON, and what a person reads when something is wrong."""

import json
from typing import Any

import asyncpg

from tests.acceptance_bench import Bench, free_port
from tests.stack import Task

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


def parsed(text: str) -> Any:
    """The JSON that a command printed."""
    return json.loads(text)


STRANGE = "[/red]\ud800\x00"


async def store_some(bench: Bench) -> None:
    """A processed and two dead events, and one with texts that no terminal likes."""
    bodies = [
        Task(1).webhook(),
        Task(2, hours="[/bold] two").webhook(),
        Task(3, is_closed=False, more={"Client Invoice ID": STRANGE}).webhook(),
        Task(4, hours=-1).webhook(),
    ]
    with bench.program("serve"), bench.program("worker"):
        await bench.serves()
        assert await bench.deliver(*bodies) == [202] * 4
        await bench.reaches(processed=1, dead=2, ignored=1)


async def test_events(bench: Bench) -> None:
    """List, show, replay and discard, as text and as JSON, with the right exit codes."""
    await store_some(bench)
    as_json, as_text = await bench.calls("events list --json", "events list")
    ids = {row["subject"]: row["id"] for row in parsed(as_json.stdout)}
    assert (as_text.returncode, as_text.stdout.count("taiga:task:")) == (0, 4)
    assert "[/bold] two" in as_text.stdout

    done, strange, text, unknown, no_id, no_reason = await bench.calls(
        f"events show {ids['taiga:task:1']} --json",
        f"events show {ids['taiga:task:3']} --json",
        f"events show {ids['taiga:task:3']}",
        "events show 999",
        "events show none",
        f"events discard {ids['taiga:task:2']}",
    )
    assert [call["method"] for call in parsed(done.stdout)["attempt_rows"][0]["calls"]].count("POST") == 1
    typed = parsed(strange.stdout)["payload"]["data"]["custom_attributes_values"]["Client Invoice ID"]
    assert typed == "[/red]?\N{REPLACEMENT CHARACTER}"
    assert [result.returncode for result in (text, unknown, no_id, no_reason)] == [0, 1, 2, 2]

    replayed, discarded = await bench.calls(
        f"events replay {ids['taiga:task:2']} --json", f"events discard {ids['taiga:task:4']} --why mistake --json"
    )
    assert [replayed.returncode, discarded.returncode] == [0, 0]
    assert parsed(replayed.stdout)
    assert await bench.statuses() == {"processed": 1, "ignored": 1, "received": 1, "discarded": 1}
    again, finished = await bench.calls(
        f"events replay {ids['taiga:task:2']}", f"events discard {ids['taiga:task:1']} --why mistake"
    )
    assert [again.returncode, finished.returncode] == [1, 1]


async def test_wrong_use(bench: Bench) -> None:
    """Wrong settings, a missing or broken mapping file and unknown commands end with 2, every mistake named."""
    wrong = bench.call("migrate", PORT="abc", LOG_LEVEL="loud", TAIGA_WEBHOOK_SECRETS="")
    assert wrong.returncode == 2
    assert all(name in wrong.stderr for name in ("PORT", "LOG_LEVEL", "TAIGA_WEBHOOK_SECRETS"))
    assert bench.call("worker", MAPPINGS_FILE="missing.json").returncode == 2
    (bench.folder / "broken.json").write_text('{"project_mappings": [{"taiga_project_id": "x"}]}')
    broken = bench.call("worker", MAPPINGS_FILE="broken.json")
    assert broken.returncode == 2
    assert "project_mappings[0].taiga_project_id" in broken.stderr
    no_address = bench.call("worker", INVOICE_NINJA_API="")
    assert (no_address.returncode, "INVOICE_NINJA_API is not set" in no_address.stderr) == (2, True)
    assert bench.call("nonsense").returncode == 2
    assert all("Traceback" not in result.stderr for result in (wrong, broken, no_address))


async def test_failures(bench: Bench) -> None:
    """PostgreSQL away, a newer schema and a taken port end with 1 and a sentence, not with a traceback."""
    away = bench.call("events", "list", DATABASE_URL=NOWHERE)
    assert (away.returncode, "is DATABASE_URL right" in away.stderr) == (1, True)
    taken = free_port()
    with bench.program("serve", PORT=taken) as first:
        await first.says("receiver.started")
        second = bench.call("serve", PORT=taken)
        assert (second.returncode, taken in second.stderr) == (1, True)
    connection = await asyncpg.connect(bench.environment["DATABASE_URL"])
    await connection.execute("INSERT INTO migrations (version, name) VALUES (9999, 'future')")
    await connection.close()
    newer = bench.call("migrate", "--json")
    assert (newer.returncode, "install the newer version" in newer.stderr) == (1, True)
    assert all("Traceback" not in result.stderr for result in (away, second, newer))


async def test_migrate_and_help(bench: Bench) -> None:
    """Migrating twice applies nothing; help lists every command; the version is told."""
    assert parsed(bench.call("migrate", "--json").stdout) == {"applied": []}
    helped = bench.call("--help")
    assert (helped.returncode, "events" in helped.stdout) == (0, True)
    assert bench.call("--version").returncode == 0


async def test_secret_in_the_environment_is_not_repeated(bench: Bench) -> None:
    """A message about a wrong secret does not repeat it."""
    result = bench.call("migrate", TAIGA_WEBHOOK_SECRETS="hunter2,,x")
    assert result.returncode == 2
    assert "stray comma" in result.stderr
    assert "hunter2" not in result.stderr + result.stdout
