"""All dashboards."""

from grafana.boards import anchor, cluster, energy, nodes, sandbox, tasks

__all__ = ["BOARDS"]

BOARDS = (cluster.BOARD, nodes.BOARD, tasks.BOARD, sandbox.BOARD, anchor.BOARD, energy.BOARD)
"""In the order in which people read them."""
