"""A whole cluster on one machine: what `ambient up`, the demo and the system tests start."""

from ambient.cluster.plan import ClusterPlan, ProcessPlan
from ambient.cluster.restarts import RestartPolicy
from ambient.cluster.supervisor import ClusterFailed, Supervisor

__all__ = ["ClusterFailed", "ClusterPlan", "ProcessPlan", "RestartPolicy", "Supervisor"]
