"""The example programs run as a reader would run them, and print what they promise."""

import asyncio
import os
import re
import sys
from pathlib import Path
from subprocess import PIPE

from ambient.cluster import Supervisor

ROOT = Path(__file__).parents[2]


async def run(shared: Supervisor, name: str, *arguments: str) -> str:
    """The standard output of an example; fails with its errors if it does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"examples.{name}",
        *arguments,
        cwd=ROOT,
        env={**os.environ, "NATS_URL": shared.nats, "AMBIENT_CLUSTER": "sys"},
        stdout=PIPE,
        stderr=PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_quickstart_counts_primes(shared: Supervisor) -> None:
    """Two nodes vouch for the count."""
    assert re.fullmatch(
        r"9592 primes up to 100,000, say node-\d(, node-\d)+\n", await run(shared, "quickstart")
    )


async def test_digits_reaches_its_accuracy(shared: Supervisor) -> None:
    """The accuracy is that which the guest's documentation states."""
    assert (await run(shared, "digits")).startswith("351 of 360 digits right: accuracy 97.5%")


async def test_images_filters_through_blobs(shared: Supervisor, tmp_path: Path) -> None:
    """Both filtered images are there, of the size of the original."""
    await run(shared, "images", str(tmp_path))
    images = {name: (tmp_path / name).read_bytes() for name in ("disc.pgm", "edges.pgm", "blur.pgm")}

    assert {len(image.split(b"255\n", 1)[1]) for image in images.values()} == {400 * 400}
    assert len(set(images.values())) == 3


async def test_map_primes_needs_no_async(shared: Supervisor) -> None:
    """The synchronous map gives every interval its count."""
    assert await run(shared, "map_primes") == "9592 primes up to 100,000; the fewest, 33, from 69,500 on\n"


async def test_bare_nats_takes_part_without_us(shared: Supervisor) -> None:
    """Raw JSON over a raw client, and no import of ours."""
    source = (ROOT / "examples" / "bare_nats.py").read_text()
    imported = set(re.findall(r"^(?:from|import) (\w+)", source, re.MULTILINE))

    assert not imported & {"ambient", "bus", "sandbox"}
    assert "HELLO FROM PLAIN NATS" in await run(shared, "bare_nats")
