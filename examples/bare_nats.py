"""Take part with nothing but a NATS client: submit a task as JSON, read the verdict as JSON. No import of ours.

Whatever speaks NATS can do the same, in any language; every subject and message is in docs/wire.md.
"""

import asyncio
import base64
import hashlib
import json
import os
import time
from pathlib import Path

import nats
from nats.js.errors import APIError

UPPER = Path(__file__).parent / "guests" / "upper.wasm"
WRONG_LAST_SEQUENCE = {10071, 10164}  # of a blob's chunk: it is there already


async def main() -> None:
    """Upload a module, submit a task, wait for its verdict."""
    root = f"avcp.{os.environ.get('AMBIENT_CLUSTER', 'home')}"
    connection = await nats.connect(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"))
    module = UPPER.read_bytes()
    digest = hashlib.sha256(module).hexdigest()
    try:
        # A module is a blob: chunks of 256 KiB under its digest. This one has a single chunk.
        await connection.jetstream().publish(
            f"{root}.blobs.bare.{digest}.0",
            module,
            headers={"Avcp-Chunks": "1", "Nats-Expected-Last-Subject-Sequence": "0"},
        )
    except APIError as error:
        if error.err_code not in WRONG_LAST_SEQUENCE:
            raise
    task = {
        "id": f"t{time.time_ns()}",
        "work": {
            "kind": "wasm",
            "module": f"sha256:{digest}",
            "input": base64.b64encode(b"hello from plain nats\n").decode(),
        },
        "verify": {"kind": "quorum", "agree": 2, "of": 3},
    }
    # Listen first: notices are not kept, and the verdict may be quick.
    done = await connection.subscribe(f"{root}.done.bare.{task['id']}")
    ack = await connection.request(f"{root}.tasks.submit.bare", json.dumps(task).encode(), timeout=5)
    print("stored:", ack.data.decode())
    verdict = json.loads((await done.next_msg(timeout=30)).data)
    print(
        f"{verdict['status']} by {', '.join(verdict['agree'])}:",
        base64.b64decode(verdict["output"]).decode(),
        end="",
    )
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main())
