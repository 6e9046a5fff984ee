"""The node: it takes attempts from the coordinator, runs them in the sandbox and signs what came of them.

What is decided is in pure cores (`core`, `admission`, `breakers`, `energy`); what is done is in the shells around them
(`node`, `executor`, `heartbeat`, `enrolment`, `materials`). It knows the coordinator and the verifier only by the bus.
"""
