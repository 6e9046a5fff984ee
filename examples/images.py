"""Filter an image on the network, each filter as a task of its own; input and output are larger than a message and travel as blobs.

python -m examples.images [FOLDER]    # writes disc.pgm, edges.pgm, blur.pgm into FOLDER, default: a new one
"""

import asyncio
import sys
from pathlib import Path
from tempfile import mkdtemp

import ambient

FILTER = Path(__file__).parent / "guests" / "imagefilter.wasm"
SIDE = 400


def disc() -> bytes:
    """A bright disc on dark ground, as a binary PGM of 160 KB."""
    centre, radius = SIDE // 2, SIDE // 3
    rows = (
        bytes(220 if (x - centre) ** 2 + (y - centre) ** 2 < radius**2 else 30 for x in range(SIDE))
        for y in range(SIDE)
    )
    return b"P5 %d %d 255\n" % (SIDE, SIDE) + b"".join(rows)


async def main(folder: Path) -> None:
    """Run two filters at the same time."""
    image = disc()
    (folder / "disc.pgm").write_bytes(image)
    async with ambient.connect() as vcp:
        names = ("edges", "blur")
        verdicts = await asyncio.gather(
            *(vcp.run(FILTER, name, input=image, verify="quorum:2/3") for name in names)
        )
    for name, verdict in zip(names, verdicts, strict=True):
        (folder / f"{name}.pgm").write_bytes(verdict.output)
        print(
            f"{folder / name}.pgm: {len(verdict.output):,} bytes, {verdict.fuel:,} instructions, agreed by {len(verdict.nodes)} nodes"
        )


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else mkdtemp(prefix="ambient-images-"))))
