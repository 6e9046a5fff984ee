"""The contract between the parts of Ambient VCP, and the only place where they meet.

What is here: the messages and their limits, the subjects, signing, the durable logs, blobs, the
connection to NATS and the server that a local cluster starts. What is not: any decision about
tasks, nodes or verdicts; those belong to the services, which import this package and never each other.
"""
