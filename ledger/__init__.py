"""Who deposited, who earned, and what the work cost in energy: pure folds over VERDICTS and ANCHORS, with proofs.

Guarantees that value is neither made nor lost by any history of the logs, that the same logs give the same state and the same
roots however they were cut into sittings, and that what is said of one account can be checked by anybody who has a root
(`ledger.proof`, which needs nothing but Python). All amounts are integers: money in millisatoshi (msat), energy in microjoules (uj).

Left to others: who may sign orders and what is written to ANCHORS (the anchor), and which tasks are refused for want of
cover (the coordinator, with `ledger.purses`). No I/O and no clock.
"""
