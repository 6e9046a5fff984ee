"""`audit`: does what is promised hold? The logs themselves answer, promise by promise."""

from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from ambient.audit import OpenTask, Promise, Report, Violation
from ambient.audit import audit as audit_logs
from ambient.cli.exits import Exit
from ambient.cli.options import Connection
from ambient.cli.output import err, out, print_json, table
from bus.connection import Bus

__all__ = ["audit"]

_CONNECT_S = 2.0
_FEW = 10


async def audit(*, connection: Connection = Connection()) -> Exit:
    """Replay the cluster's logs and say of each promise whether it holds. Trusts no service, and writes nothing.

    Exits 0 only if every promise holds. With `--json` every violation and every open task is printed.
    """
    settings = connection.settings
    async with await Bus.connect(
        settings.nats, cluster=settings.cluster, name="ambient-audit", timeout_s=_CONNECT_S
    ) as bus:
        report = await audit_logs(bus)
    if connection.json:
        print_json(report)
    else:
        _show(report)
    return Exit.OK if report.holds else Exit.NOT_VERIFIED


def _show(report: Report) -> None:
    out.print(_promises_table(report.promises))
    for title, lines in (
        ("violated", _violations(report.violations)),
        ("open", _open(report.open)),
        ("read", _read(report)),
        ("signed by", _signers(report)),
        ("led by", _leaders(report)),
    ):
        for at, line in enumerate(lines):
            if not at:
                out.print(f"\n[bold]{title}[/]")
            out.print(f"  {line}")
    verdicts = ", ".join(f"{count:,} {status}" for status, count in report.verdicts.items()) or "no verdicts"
    err.print(
        f"\n{report.tasks:,} tasks: {verdicts}, {report.refused:,} refused, {len(report.open):,} open; "
        + ("all that is promised holds" if report.holds else f"broken: {', '.join(report.broken())}")
    )


def _promises_table(promises: tuple[Promise, ...]) -> Table:
    rows = [
        (
            "[bold red]✗[/]" if p.violated else "[green]✓[/]" if p.examined else "[dim]·[/]",
            p.name,
            f"{p.examined:,}",
            f"[bold red]{p.violated:,}[/]" if p.violated else "0",
            f"{p.trimmed:,}" if p.trimmed else "",
            p.sentence,
        )
        for p in promises
    ]
    return table(("", "promise", "examined ", "violated ", "trimmed ", "what holds"), rows, gives_way="what holds")  # fmt: skip


def _violations(violations: tuple[Violation, ...]) -> Iterator[str]:
    for v in violations[:_FEW]:
        subject = f"{v.task}: " if v.task else ""
        yield f"[red]{v.promise}[/] {v.log} {v.sequence}, line {v.line}: " + escape(subject + v.detail)
    yield from _and_more(len(violations))


def _open(tasks: tuple[OpenTask, ...]) -> Iterator[str]:
    for t in tasks[:_FEW]:
        at = f", attempt {t.attempt} at {' '.join(t.nodes)}" if t.attempt else ""
        subject = t.task or f"line {t.source[1]} of {t.source[0]} in tasks"
        yield f"{escape(subject)} {t.state} for {t.age_ms / 1000:,.1f} s{escape(at)}"
    yield from _and_more(len(tasks))


def _read(report: Report) -> Iterator[str]:
    for log in report.logs:
        since = f" (what was before {log.first:,} is trimmed)" if log.first > 1 else ""
        yield f"{log.log} up to {log.last:,}, {log.lines:,} lines{since}"
    if report.claims_ignored:
        yield f"{report.claims_ignored:,} claims are not what nodes may say, and count for nothing"


def _signers(report: Report) -> Iterator[str]:
    for s in report.signers:
        yield f"{s.key[:16]}… {s.lines:,} lines in {s.messages:,} messages, {s.first:,} to {s.last:,}"


def _leaders(report: Report) -> Iterator[str]:
    for led in report.leaders[-_FEW:]:
        yield f"epoch {led.epoch} {escape(led.leader)} {led.lines:,} lines from {led.sequence:,} on"


def _and_more(count: int) -> Iterator[str]:
    if count > _FEW:
        yield f"… and {count - _FEW:,} more: `ambient audit --json` lists them all"
