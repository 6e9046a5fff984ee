"""What a receipt says of Bitcoin, and its check: transactions, headers and their work, the trees of blocks, SPV and OpenTimestamps proofs.

Guarantees what `anchor.receipt` does: the standard library is enough, and no byte is believed. Making transactions and following a chain are `anchor.bitcoin`'s.
"""
