"""What people see of a chaos run."""

from rich.console import Console
from rich.table import Table

from middleware.lab.chaos.run import Result

MOST_DIFFERENCES = 20


def print_result(result: Result, console: Console | None = None) -> None:
    """The table, what was broken, and each difference."""
    console = console or Console()
    post = result.post
    table = Table(title=f"chaos, seed {result.plan.seed}")
    table.add_column("counted")
    table.add_column("wanted", justify="right")
    table.add_column("found", justify="right")
    table.add_column("")
    table.add_row("requests to the receivers", "", str(sum(post.answers.values())))
    table.add_row("acknowledgements", "", str(post.acknowledgements))
    table.add_row("forged deliveries refused", "", str(post.forged))
    for line in result.lines:
        verdict = "[green]ok[/]" if line.is_right else f"[red]{len(line.differences)} differ[/]"
        table.add_row(line.what, str(line.wanted), str(line.found), verdict)
    console.print(table)
    console.print(f"broken {sum(result.broken.values())} times: " + ", ".join(_times(result.broken)))
    console.print("starts: " + ", ".join(f"{name} {times}" for name, times in result.starts.items()))
    console.print("answers: " + ", ".join(f"{name} {times}" for name, times in sorted(post.answers.items())))
    console.print("seconds: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in result.seconds.items()))
    for line in result.lines:
        for difference in line.differences[:MOST_DIFFERENCES]:
            console.print(f"[red]{line.what}[/]: {difference}", soft_wrap=True, markup=True, highlight=False)
    console.print("[green]nothing lost, nothing doubled[/]" if result.is_right else "[red]there are differences[/]")


def as_json(result: Result) -> dict[str, object]:
    """The result for machines."""
    return {
        "seed": result.plan.seed,
        "is_right": result.is_right,
        "acknowledged_events": len(result.post.acknowledged),
        "answers": dict(result.post.answers),
        "broken": result.broken,
        "starts": result.starts,
        "seconds": result.seconds,
        "count": [
            {"what": one.what, "wanted": one.wanted, "found": one.found, "differences": list(one.differences)}
            for one in result.lines
        ],
    }


def _times(broken: dict[str, int]) -> list[str]:
    return [f"{name} ({times})" if times > 1 else name for name, times in broken.items()]
