"""The verifier: it judges what nodes claim, and is the one who writes VERDICTS.

Guarantees exactly one verdict per accepted task, whatever nodes claim and whichever process dies, and that it can be rebuilt
from the logs alone. Left to others: who runs what (`coordinator`), and running it (`workers`).
"""
