"""Train the digit classifier's weights: ``python -m examples.guests.digits.train [--check]``.

Guarantees: the same weights at every run (fixed seed, fixed split), written as whole numbers to ``weights.h``,
together with the hold-out images and labels that no training step has seen. ``--check`` writes nothing and exits 1
naming files that differ.

The data are scikit-learn's bundled digits: 1,797 images of 8x8 pixels, values 0..16, from the test set of
"Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, UCI Machine Learning Repository, 1998).
Running the network is left to ``digits.c``; ``predict`` here is the reference it must agree with.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["HERE", "Network", "main", "outputs", "predict", "quantise", "train"]

HERE = Path(__file__).resolve().parent

PIXELS, HIDDEN, CLASSES = 64, 32, 10
PIXEL_MAX = 16
HOLDOUT = 360
"""Images kept out of training, a fifth of all."""

SEED = 20
EPOCHS = 120
BATCH = 32
STEP = 2e-3
WEIGHT_DECAY = 1e-4
WEIGHT_MAX = 127
"""Weights are stored as int8. With pixels <= 16 every sum in the network then stays below 2^31."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Images = NDArray[np.uint8]


@dataclasses.dataclass(frozen=True, slots=True)
class Network:
    """Whole-number weights: hidden (64, 32), hidden_bias (32,), output (32, 10), output_bias (10,)."""

    hidden: Ints
    hidden_bias: Ints
    output: Ints
    output_bias: Ints


def predict(network: Network, images: Images) -> Ints:
    """The digit for each image of shape (n, 64): the first of the largest outputs, in exact integer arithmetic."""
    hidden = np.maximum(images.astype(np.int64) @ network.hidden + network.hidden_bias, 0)
    outputs: Ints = np.argmax(hidden @ network.output + network.output_bias, axis=1)
    return outputs


def _gradients(parameters: list[Floats], inputs: Floats, labels: Ints) -> list[Floats]:
    """Gradients of the mean cross-entropy over a batch, in the order of ``parameters``."""
    hidden_weights, hidden_bias, output_weights, output_bias = parameters
    before = inputs @ hidden_weights + hidden_bias
    hidden = np.maximum(before, 0)
    logits = hidden @ output_weights + output_bias
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = odds / odds.sum(axis=1, keepdims=True)
    error[np.arange(len(labels)), labels] -= 1
    error /= len(labels)
    hidden_error = (error @ output_weights.T) * (before > 0)
    return [inputs.T @ hidden_error, hidden_error.sum(axis=0), hidden.T @ error, error.sum(axis=0)]


def train(images: Images, labels: Ints) -> list[Floats]:
    """Fit a 64-32-10 network with ReLU by Adam (Kingma and Ba, 2015); returns weights and biases of both layers."""
    random = np.random.default_rng(SEED)
    parameters: list[Floats] = [
        random.normal(0, np.sqrt(2 / PIXELS), (PIXELS, HIDDEN)),
        np.zeros(HIDDEN),
        random.normal(0, np.sqrt(2 / HIDDEN), (HIDDEN, CLASSES)),
        np.zeros(CLASSES),
    ]
    means = [np.zeros_like(one) for one in parameters]
    squares = [np.zeros_like(one) for one in parameters]
    inputs = images / PIXEL_MAX
    step = 0
    for epoch in range(EPOCHS):
        rate = STEP * (1 - epoch / EPOCHS)
        order = random.permutation(len(labels))
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            step += 1
            gradients = _gradients(parameters, inputs[batch], labels[batch])
            for at, gradient in enumerate(gradients):
                means[at] = 0.9 * means[at] + 0.1 * gradient
                squares[at] = 0.999 * squares[at] + 0.001 * gradient**2
                mean, square = means[at] / (1 - 0.9**step), squares[at] / (1 - 0.999**step)
                parameters[at] = parameters[at] * (1 - rate * WEIGHT_DECAY) - rate * mean / (
                    np.sqrt(square) + 1e-8
                )
    return parameters


def quantise(parameters: list[Floats]) -> Network:
    """Round to whole numbers: each layer's weights to int8, biases to the scale its sums then have."""
    hidden_weights, hidden_bias, output_weights, output_bias = parameters
    hidden_scale = WEIGHT_MAX / np.abs(hidden_weights).max()
    output_scale = WEIGHT_MAX / np.abs(output_weights).max()
    sum_scale = hidden_scale * PIXEL_MAX  # the guest feeds pixels 0..16 where training used 0..1
    scaled = (
        hidden_weights * hidden_scale,
        hidden_bias * sum_scale,
        output_weights * output_scale,
        output_bias * sum_scale * output_scale,
    )
    return Network(*(np.rint(one).astype(np.int64) for one in scaled))


def _load() -> tuple[Images, Ints]:
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]  # noqa: PLC0415 (training only)

    data = load_digits()
    return data.data.astype(np.uint8), data.target.astype(np.int64)


def _array(kind: str, name: str, values: Ints) -> str:
    rows = values.reshape(-1, values.shape[-1])
    shape = "".join(f"[{size}]" for size in values.shape)
    body = ",\n".join("    " + ", ".join(str(value) for value in row) for row in rows)
    if values.ndim > 1:
        body = ",\n".join("    {" + ", ".join(str(value) for value in row) + "}" for row in rows)
    return f"static const {kind} {name}{shape} = {{\n{body},\n}};\n"


def _header(network: Network) -> str:
    return "\n".join(
        [
            "/* Weights of the digit classifier, written by train.py: change that, not this. */",
            "#include <stdint.h>",
            "",
            _array("int8_t", "hidden_weights", network.hidden),
            _array("int32_t", "hidden_bias", network.hidden_bias),
            _array("int8_t", "output_weights", network.output),
            _array("int32_t", "output_bias", network.output_bias),
        ]
    )


def outputs() -> tuple[dict[Path, bytes], float]:
    """Every file training decides, with its content, and the share of hold-out images classified rightly."""
    images, labels = _load()
    order = np.random.default_rng(SEED).permutation(len(labels))
    held, used = order[:HOLDOUT], order[HOLDOUT:]
    network = quantise(train(images[used], labels[used]))
    accuracy = float(np.mean(predict(network, images[held]) == labels[held]))
    files = {
        HERE / "weights.h": _header(network).encode(),
        HERE / "holdout_images.bin": images[held].tobytes(),
        HERE / "holdout_labels.txt": "".join(f"{label}\n" for label in labels[held]).encode(),
    }
    return files, accuracy


def main(argv: list[str] | None = None) -> int:
    """Train and write, or compare with what is committed; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m examples.guests.digits.train", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 naming what differs")
    check = parser.parse_args(argv).check
    files, accuracy = outputs()
    print(f"hold-out accuracy {accuracy:.4f} on {HOLDOUT} images")
    different = [path for path, content in files.items() if not path.exists() or path.read_bytes() != content]
    if check:
        for path in different:
            print(f"{path.name} differs: run python -m examples.guests.digits.train", file=sys.stderr)
        return 1 if different else 0
    for path in different:
        path.write_bytes(files[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
