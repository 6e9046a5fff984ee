"""The coordinator: which task runs on which node, when it is tried again, and when it is given up.

It leads by holding the pen of ASSIGNMENTS, and is a fold over TASKS, ASSIGNMENTS, VERDICTS and telemetry. What it decides is
in pure modules without clock or I/O; only the service around them meets the bus.
"""
