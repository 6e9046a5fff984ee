"""RFC 6962 trees as they grow: pure functions and states, without files or clocks. Checking them is `anchor.receipt.merkle`'s."""
