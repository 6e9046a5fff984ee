"""Does what is promised hold? An audit replays the logs of a cluster and judges for itself.

`Audit` is the pure fold, `audit` reads a cluster's logs into one. Neither asks a service, nor shares a rule with one: what they have in
common is the contract in `bus`.
"""

from ambient.audit.core import Audit
from ambient.audit.findings import Leadership, LogSpan, OpenTask, Promise, Report, Signer, Violation
from ambient.audit.promises import PROMISES
from ambient.audit.replay import audit

__all__ = [
    "PROMISES",
    "Audit",
    "Leadership",
    "LogSpan",
    "OpenTask",
    "Promise",
    "Report",
    "Signer",
    "Violation",
    "audit",
]
