"""The REST API: what people and programs reach by HTTP that do not speak NATS. Contract in `gateway.resources`, paths in `gateway.routes`.

Guarantees that a gateway holds no truth: what it shows is folded from the logs or asked of who knows, and what it is told goes to the logs before
it says so. So any number may run, each can be killed at any moment, and a client that comes back to another one misses nothing.
"""
