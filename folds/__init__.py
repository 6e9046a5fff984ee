"""What services keep of the logs they folded: checkpoints, what is finished, and how far a log may be cut.

Guarantees that a service which restarts has the state of its logs without reading them from the beginning, that its memory does
not grow with all that ever was, and that nothing is cut from a log that anybody still needs. Left to the services: what their
state is, and when nothing of it is undecided.
"""
