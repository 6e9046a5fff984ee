"""The anchor's part of the ledger: it lets orders in, seals states into ANCHORS, and answers what accounts hold.

Guarantees that an order is answered with yes once it is durable, that what is proven is a state that stands in ANCHORS, and that only one
state is under way at a time. What the ledger is, and what a proof means, is the library's (`ledger`).
"""
