"""A whole Bitcoin chain in this process: Bitcoin Core's consensus code, a miner, a mempool and a wallet, on the regression test network.

Guarantees that the rules are Bitcoin's own: no block and no signature is accepted that Bitcoin Core would refuse. What it does not give is
the work of others: anybody can mine such a chain, so it proves order to who trusts its miner, and nothing to a stranger.
"""
