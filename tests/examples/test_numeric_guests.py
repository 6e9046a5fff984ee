"""The image filter and the digit classifier compute what numpy computes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from examples.guests import build
from examples.guests.digits import train
from examples.guests.recipes import DIGITS_ACCURACY

EXAMPLES = settings(max_examples=30, deadline=None)
DIGITS = build.HERE / "digits"
SIDES = st.integers(1, 12)


def shifted(image: np.ndarray, dx: int, dy: int) -> np.ndarray:
    """The image moved so that pixel (x, y) shows (x + dx, y + dy), its border repeated."""
    height, width = image.shape
    padded = np.pad(image.astype(np.int64), 2, mode="edge")
    return padded[2 + dy : 2 + dy + height, 2 + dx : 2 + dx + width]


def edges(image: np.ndarray) -> np.ndarray:
    gx = sum((2 - abs(step)) * (shifted(image, 1, step) - shifted(image, -1, step)) for step in (-1, 0, 1))
    gy = sum((2 - abs(step)) * (shifted(image, step, 1) - shifted(image, step, -1)) for step in (-1, 0, 1))
    return np.minimum(abs(gx) + abs(gy), 255)


def blur(image: np.ndarray) -> np.ndarray:
    weights = (1, 4, 6, 4, 1)
    offsets = range(-2, 3)
    return (
        sum(weights[dx + 2] * weights[dy + 2] * shifted(image, dx, dy) for dx in offsets for dy in offsets)
        + 128
    ) // 256


def gray(image: np.ndarray) -> np.ndarray:
    return image


FILTERS = {"edges": edges, "blur": blur, "gray": gray}


def pgm(image: np.ndarray) -> bytes:
    height, width = image.shape
    return b"P5\n%d %d\n255\n" % (width, height) + image.astype(np.uint8).tobytes()


@EXAMPLES
@given(image=arrays.arrays(np.uint8, st.tuples(SIDES, SIDES)), name=st.sampled_from(sorted(FILTERS)))
def test_filters_of_gray_images_are_exact(run, image, name):
    """Every pixel, borders included, is what the kernel's definition says."""
    assert run("imagefilter", pgm(image), [name]).stdout == pgm(FILTERS[name](image))


@EXAMPLES
@given(image=arrays.arrays(np.uint8, st.tuples(SIDES, SIDES, st.just(3))))
def test_colour_becomes_gray_before_edges_are_sought(run, image):
    """The default filter on a PPM whose header has comments."""
    height, width = image.shape[:2]
    ppm = b"P6 # colour\n#\n%d\t%d\n# one more\n255\n" % (width, height) + image.tobytes()
    luminance = (image.astype(np.int64) @ [77, 150, 29] + 128) // 256

    assert run("imagefilter", ppm).stdout == pgm(edges(luminance))


@pytest.mark.parametrize(
    "image",
    [
        b"",
        b"P4\n1 1\n255\n\0",
        b"P5\n2 2\n255\nabc",
        b"P5\n0 2\n255\n",
        b"P5\n16385 1\n255\n",
        b"P5\n99999999999 1\n255\n",
        b"P5\n2 x\n255\nabcd",
        b"P5\n2 2\n65535\nabcdabcd",
        b"P5\n2 2\n255abcd",
        b"P5 # never ends",
    ],
)
def test_bad_images_are_refused_with_status_1(run, image):
    """Nothing on stdout, a reason on stderr, and no trap."""
    outcome = run("imagefilter", image)

    assert (outcome.stdout, outcome.exit_status, outcome.trap) == (b"", 1, "")
    assert outcome.stderr.startswith(b"imagefilter: the ")


def test_an_unknown_filter_is_refused_with_status_2(run):
    """The reason names the filters there are."""
    outcome = run("imagefilter", b"P5\n1 1\n255\n\0", ["sharpen"])

    assert (outcome.stdout, outcome.exit_status) == (b"", 2)
    assert b"edges, blur or gray" in outcome.stderr


def committed_network() -> train.Network:
    """The weights as the committed header states them."""
    text = (DIGITS / "weights.h").read_text("utf-8")
    arrays_by_name = {}
    for declaration in text.split("static const ")[1:]:
        head, _, body = declaration.partition("=")
        name, *sizes = head.split()[1].replace("]", "").split("[")
        numbers = body.replace("{", " ").replace("}", " ").replace(";", " ").replace(",", " ").split()
        arrays_by_name[name] = np.array(numbers, dtype=np.int64).reshape([int(size) for size in sizes])
    return train.Network(
        hidden=arrays_by_name["hidden_weights"],
        hidden_bias=arrays_by_name["hidden_bias"],
        output=arrays_by_name["output_weights"],
        output_bias=arrays_by_name["output_bias"],
    )


def test_digits_reaches_the_stated_accuracy_on_images_it_has_not_seen(run):
    """The whole hold-out set in one input, judged against the labels."""
    found = run("digits", (DIGITS / "holdout_images.bin").read_bytes()).stdout.split()
    labels = (DIGITS / "holdout_labels.txt").read_bytes().split()
    right = sum(digit == label for digit, label in zip(found, labels, strict=True))

    assert len(labels) == train.HOLDOUT
    assert right / len(labels) >= DIGITS_ACCURACY


@EXAMPLES
@given(images=arrays.arrays(np.uint8, st.tuples(st.integers(0, 9), st.just(64)), elements=st.integers(0, 16)))
def test_digits_computes_exactly_what_the_reference_network_computes(run, images):
    """Also on noise, where outputs lie close together."""
    expected = "".join(f"{digit}\n" for digit in train.predict(committed_network(), images))

    assert run("digits", images.tobytes()).stdout == expected.encode()


@pytest.mark.parametrize(
    ("images", "reason"), [(b"\0" * 65, b"cut short"), (b"\0" * 63 + b"\x11", b"above 16")]
)
def test_digits_refuses_what_is_no_image_with_status_1(run, images, reason):
    """A reason on stderr."""
    outcome = run("digits", images)

    assert outcome.exit_status == 1
    assert reason in outcome.stderr


def test_training_again_gives_the_committed_weights_and_hold_out_set():
    """Fixed seed, fixed split: same bytes."""
    pytest.importorskip("sklearn", reason="scikit-learn, which ships the data, is not installed")
    files, accuracy = train.outputs()

    assert {path.name for path, content in files.items() if path.read_bytes() != content} == set()
    assert accuracy >= DIGITS_ACCURACY
