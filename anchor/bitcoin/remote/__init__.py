"""Chains that others keep: a Bitcoin node asked by JSON-RPC, with its own wallet or with a key of ours, and servers that speak Esplora's HTTP.

Guarantees that whatever they answer, wrong, slow or hostile, is an error that names what is wrong with it, and that no block counts without its work.
"""
