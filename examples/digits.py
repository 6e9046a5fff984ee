"""Classify handwritten digits on the network: 360 images that the network's training never saw, 60 to a task, in order.

The guest is a small neural network in C (`guests/digits`); each answer is what two of three nodes agreed on.
"""

import asyncio
from collections.abc import Iterator
from itertools import batched
from pathlib import Path

import ambient

GUESTS = Path(__file__).parent / "guests"
IMAGE_BYTES = 8 * 8
IMAGES_PER_TASK = 60


def batches() -> Iterator[bytes]:
    """The held-out images, as many at a time as one task takes."""
    images = (GUESTS / "digits" / "holdout_images.bin").read_bytes()
    for pixels in batched(images, IMAGE_BYTES * IMAGES_PER_TASK):
        yield bytes(pixels)


async def main() -> None:
    """Compare the guest's answers with the labels."""
    labels = (GUESTS / "digits" / "holdout_labels.txt").read_text().split()
    answers: list[str] = []
    energy_j = 0.0
    async with ambient.connect() as vcp:
        async for _, verdict in vcp.map(GUESTS / "digits.wasm", batches(), ordered=True, verify="quorum:2/3"):
            answers += verdict.text.split()
            energy_j += verdict.energy_j
    right = sum(answer == label for answer, label in zip(answers, labels, strict=True))
    print(f"{right} of {len(labels)} digits right: accuracy {right / len(labels):.1%}, for {energy_j:.3f} J")


if __name__ == "__main__":
    asyncio.run(main())
