"""Traces of tasks for OpenTelemetry: a reader of the four logs, as nobody else measures a task's way while it is under way.

Nothing else of the system knows of it, or waits for it. What a span says is what the logs say: when, by the servers' clock, and who.
"""
