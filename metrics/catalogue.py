"""The catalogue: every metric there is, with its meaning. `docs/metrics.md` is made from it (`metrics.paper`)."""

from metrics.metric import Metric
from metrics.rows import anchor, gateway, leading, nodes, process, tasks

__all__ = ["CATALOGUE", "SECTIONS"]

SECTIONS: dict[str, tuple[Metric, ...]] = {
    "Services and logs": leading.ROWS,
    "Tasks and verdicts": tasks.ROWS,
    "Nodes and the sandbox": nodes.ROWS,
    "Anchor and ledger": anchor.ROWS,
    "Gateway": gateway.ROWS,
    "Processes, machines, NATS servers": process.ROWS,
}
"""All metrics under the headings that people find them by."""

CATALOGUE = {metric.name: metric for rows in SECTIONS.values() for metric in rows}
"""All metrics by name."""
