"""Receipts: what they are, and how anyone checks one without asking anybody.

Guarantees that nothing here needs a network, a cluster, or any other part of this project: the standard library, and `cryptography` for
Ed25519, are enough (`make check` refuses any other import). The format and every step of the check are in RECEIPT.md.
"""
