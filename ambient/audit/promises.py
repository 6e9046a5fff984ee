"""The promises that an audit examines, each with the sentence that must be true of every instance.

The names are part of the JSON report; docs/audit.md says how each is judged.
"""

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["PROMISES"]

PROMISES: Mapping[str, str] = MappingProxyType(
    {
        "one-end": "Every submission ends in exactly one verdict or one recorded refusal, or is still open.",
        "one-verdict": "No task has two verdicts.",
        "one-decision": "No attempt is decided twice, and no task is given up twice.",
        "one-body": "The same id with another body never ran.",
        "attempts": "Attempts are numbered 1, 2, 3 … up to max_attempts, and none follows the end of the task.",
        "replicas": "The nodes of an attempt are different, and each was enrolled before.",
        "asked": "What is decided, refused or accepted was asked: that body, with that policy, at that place.",
        "reward": "What a task sets aside and pays is what its client offered; a task that is given up pays nothing.",
        "evidence": "Each node that a verdict counts has its result in RESULTS, under the signature of its key.",
        "assigned": "Each result that counts answers the decision that gave its node that attempt.",
        "bound": "Each result that counts is about the spec, the module and the input that were asked.",
        "agreement": "Who agrees said what the verdict says, who dissents did not, and enough agree for the policy.",
        "output": "An accepted output has the digest it is given, and its cost is what the evidence says.",
        "counted-once": "A node counts once for a task.",
        "given-up": "A verdict without evidence says what the task was given up for, and nothing more.",
        "cause": "A task is cancelled only if its client asked for that, and expires only if it has a deadline.",
        "faults": "Who is named for a fault has failed at the task, and is named once.",
        "inconclusive": "More results are asked for only of open tasks, once after an attempt, within the policy.",
        "late": "A late line follows its verdict, and says truly whether the result agrees with it.",
        "signed": "Every message in VERDICTS is signed.",
        "epochs": "The epochs of leaders rise, and every decision is made in one.",
        "owners": "The name of a node stays with the first key that was enrolled under it.",
        "understood": "Every line of ASSIGNMENTS and VERDICTS is one that the contract knows.",
        "whole": "No message is missing from the logs, from the first one kept to the last.",
    }
)
"""Name and sentence, in the order in which they are reported."""
