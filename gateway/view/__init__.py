"""What the gateway knows by itself: a fold over the five logs, bounded in memory, and begun anew by each process from the ends of the logs.

`lines` reads, `book`, `anchors` and `meter` fold, `ring` keeps what event streams are served from; all of these are pure. `following` reads the logs.
"""
