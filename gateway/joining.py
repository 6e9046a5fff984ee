"""The lines that start a registered node: a command, and a Compose file. Pure text."""

import shlex

from gateway.resources.nodes import Registration

__all__ = ["command_of", "compose_of"]

_IMAGE = "localhost/ambient-node"


def command_of(token: str, wanted: Registration) -> str:
    """For a shell on a machine with `ambient-vcp[node]`."""
    return shlex.join(["ambient", *_arguments(token, wanted)])


def compose_of(token: str, node: str, wanted: Registration) -> str:
    """For a machine with containers: the service has one data folder and a read-only root."""
    arguments = "".join(f'\n      - "{each}"' for each in _arguments(token, wanted))
    return (
        f"services:\n  {node}:\n    image: {_IMAGE}\n    restart: unless-stopped\n    read_only: true\n"
        f"    volumes:\n      - {node}:/data\n    command:{arguments}\nvolumes:\n  {node}: {{}}\n"
    )


def _arguments(token: str, wanted: Registration) -> list[str]:
    """Everything in them is a token, a number or base64: nothing needs quoting."""
    found = ["node", "--join", token]
    for option, value in (("--region", wanted.region), ("--node-type", wanted.node_type)):
        found += [option, value] if value is not None else []
    if wanted.slots is not None:
        found += ["--slots", str(wanted.slots)]
    for name, value in wanted.labels.items():
        found += [f"--label.{name}", value]
    return found
