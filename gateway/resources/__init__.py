"""The contract: every resource that the API takes or returns, one Struct each. JSON, names in snake case, units in the names.

Numbers that count are never negative; a moment is in ms since 1970 by the servers' clock; digests are SHA-256 in hex, with `sha256:` where the
wire has it so. Fields at their default are there, too, unless a Struct says otherwise. Unknown fields in a request are refused by name.
"""
