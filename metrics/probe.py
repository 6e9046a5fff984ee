"""`python -m metrics.probe PORT`: does the process on this machine that serves metrics there answer? For health checks.

Guarantees an exit code of 0 only for a whole page, which the process' own event loop writes: one that hangs is not well.
Runs on the standard library alone and needs no shell, as an image has none.
"""

import http.client
import sys

__all__ = ["main"]

_ASK_S = 5.0


def main(arguments: list[str]) -> int:
    """Ask once; say what is wrong where something is."""
    try:
        (port,) = map(int, arguments)
    except ValueError:
        sys.stderr.write("usage: python -m metrics.probe PORT\n")
        return 2
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=_ASK_S)
    try:
        asking.request("GET", "/metrics")
        answer = asking.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(
            f"nobody answers on port {port} ({error}): is the process started with `--metrics {port}`?\n"
        )
        return 1
    finally:
        asking.close()
    return 0 if answer.status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
