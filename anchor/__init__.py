"""The anchor: it puts every verdict into a transparency log, signs what the log holds, and publishes that on Bitcoin.

Guarantees that no verdict is left out or put in twice, and that no two signed states of the log ever contradict each other. A task's
receipt shows all of it to a stranger, who needs no network and no trust in this cluster to check it (`anchor.receipt`).
Left to others: what is believed (`verifier`).
"""
