"""A kernel's native and guest builds do the same work, and it is the work its name says."""

import hashlib
import importlib.util
import struct

import numpy as np
import pytest

from bench import kernels
from bench.kernels.__main__ import compare, guest_functions

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ziglang") is None, reason="the C compiler is not installed: extra [guests]"
)
ROUNDS = 3


@pytest.fixture(scope="module")
def builds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernels")
    module = kernels.build_wasm(folder)
    return {
        "native": kernels.load_native(kernels.build_native(folder)),
        "guest": guest_functions(module, fuel=True, epochs=True, canonical_nan=True),
    }


@pytest.mark.parametrize("kernel", [kernel.name for kernel in kernels.KERNELS])
def test_native_and_guest_agree(builds, kernel):
    """The same checksum, so the times compare the same work."""
    assert builds["native"][kernel](ROUNDS) == builds["guest"][kernel](ROUNDS)


@pytest.mark.parametrize("kernel", [kernel.name for kernel in kernels.KERNELS])
def test_more_rounds_are_more_work(builds, kernel):
    """The checksum depends on the number of rounds."""
    assert builds["guest"][kernel](ROUNDS) != builds["guest"][kernel](ROUNDS + 1)


@pytest.mark.parametrize("blocks", [0, 1, 100])
def test_sha256_is_sha256(builds, blocks):
    """The digest of so many blocks of zeros, by the standard library."""
    (expected,) = struct.unpack(">q", hashlib.sha256(bytes(64 * blocks)).digest()[:8])

    assert builds["native"]["sha256"](blocks) == expected


def test_sieve_counts_the_primes_below_two_to_the_17(builds):
    """12,251 of them."""
    assert builds["guest"]["sieve"](2) == 2 * 12_251


def generated(count: int) -> np.ndarray:
    state, numbers = 1, []
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        numbers.append(state)
    return np.array(numbers, dtype=np.uint32)


def test_matrix_products_are_products(builds):
    """One round shows one element of the product, in whole numbers and in doubles."""
    numbers = generated(2 * 96 * 96)
    left, right = numbers[0::2].reshape(96, 96), numbers[1::2].reshape(96, 96)
    assert builds["guest"]["matmul_int"](1) == (left @ right)[0, 95]

    fractions = numbers / 2**31 - 1
    left, right = fractions[0::2].reshape(96, 96), fractions[1::2].reshape(96, 96)
    (element,) = struct.unpack("<d", struct.pack("<q", builds["guest"]["matmul_float"](1)))
    assert element == pytest.approx((left @ right)[0, 95], rel=1e-12)


def test_builds_that_disagree_are_not_compared():
    """A wrong result is never shown as a fast one."""
    right = {kernel.name: lambda rounds: rounds for kernel in kernels.KERNELS}
    wrong = {kernel.name: lambda rounds: rounds + 1 for kernel in kernels.KERNELS}

    with pytest.raises(RuntimeError, match="builds disagree"):
        compare({"native": right, "guest": wrong}, runs=1)
