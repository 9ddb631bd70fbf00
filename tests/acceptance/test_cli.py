"""The command line as a process: exit codes, JSON on stdout, no traceback on stderr."""

import json

import asyncpg

from tests.support.acceptance_bench import Bench, free_port

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


async def test_exit_codes(bench: Bench) -> None:
    """0 done with JSON on stdout, 1 failed, 2 wrong use: each with a sentence, none with a traceback."""
    done, failed, wrong = await bench.calls("events list --json", "events show 999", "events show none")
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
    assert (failed.returncode, failed.stderr) == (1, "Error: there is no event 999\n")
    assert wrong.returncode == 2
    assert all("Traceback" not in result.stderr for result in (done, failed, wrong))


async def test_worker_that_cannot_start(bench: Bench) -> None:
    """A missing mapping file and a missing address are wrong use, each with what to do."""
    missing = bench.call("worker", MAPPINGS_FILE="missing.json")
    assert (missing.returncode, "copy mappings.example.json" in missing.stderr) == (2, True)
    no_address = bench.call("worker", INVOICE_NINJA_API="")
    assert (no_address.returncode, "INVOICE_NINJA_API is not set" in no_address.stderr) == (2, True)


async def test_taken_port(bench: Bench) -> None:
    """A second receiver on the same port fails with a sentence."""
    taken = free_port()
    with bench.program("serve", PORT=taken) as first:
        await first.says("receiver.started")
        second = bench.call("serve", PORT=taken)
    assert (second.returncode, taken in second.stderr, "Traceback" in second.stderr) == (1, True, False)


async def test_newer_schema(bench: Bench) -> None:
    """A database of a newer version is refused with what to do."""
    connection = await asyncpg.connect(bench.environment["DATABASE_URL"])
    await connection.execute("INSERT INTO migrations (version, name) VALUES (9999, 'future')")
    await connection.close()
    newer = bench.call("migrate", "--json")
    assert (newer.returncode, "install the newer version" in newer.stderr) == (1, True)
