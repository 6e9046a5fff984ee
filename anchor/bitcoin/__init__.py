"""Bitcoin: transactions that publish what the log holds, followed until they are final.

Guarantees that a transaction is in the log ANCHORS before any node is shown it, that no state of the log is published twice or forgotten, whatever
the chain does, and that no more is spent than the operator allows. Checking what is on the chain is `anchor.receipt.bitcoin`'s.
"""
