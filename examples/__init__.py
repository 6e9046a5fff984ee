"""Examples: guests that run on the network, and programs that use it."""
