"""Hostile calls: whatever a guest passes to the host, the node is unharmed and the answer is the same twice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import Job, JobLimits
from sandbox.abi import HOST_FUNCTIONS

# Each host function exported as the guest's own entry, so that a job's arguments are the call's.
IMPORTS = "\n".join(
    f'(import "{module}" "{name}" (func ${name} (param {" ".join(params)}) (result {" ".join(results)})))'
    for (module, name), (params, results) in HOST_FUNCTIONS.items()
)
EXPORTS = "\n".join(f'(export "{name}" (func ${name}))' for _, name in HOST_FUNCTIONS)
RAW = f'(module {IMPORTS} (memory (export "memory") 1 2) {EXPORTS} (data (i32.const 0) "\\40\\00\\00\\00\\ff\\ff\\00\\00"))'
EDGE = [0, 1, 2, 3, 8, 63, 64, 65_480, 65_535, 65_536, 65_537, 2**31 - 1, 2**31, 2**32 - 8, 2**32 - 1]
LIMITS = JobLimits(fuel=10**9, wall_ms=20_000)


@pytest.fixture(scope="module")
def raw(guests):
    return guests.add(RAW)


@pytest.mark.parametrize("name", [name for _, name in HOST_FUNCTIONS])
def test_no_call_breaks_the_host(guests, raw, name):
    """Any numbers in any place end in an errno or in a failure of the guest, never in a fault, and twice the same."""
    kinds = next(params for (_, each), (params, _) in HOST_FUNCTIONS.items() if each == name)
    numbers = {"i32": st.sampled_from(EDGE) | st.integers(0, 2**32 - 1), "i64": st.integers(0, 2**64 - 1)}

    @settings(max_examples=40, deadline=None)
    @given(st.tuples(*(numbers[kind] for kind in kinds)))
    def call(args):
        job = Job(module=raw, entry=name, args=list(args), input=b"some input", seed=b"s", limits=LIMITS)
        first, second = guests.runner.run(job), guests.runner.run(job)

        assert first.status != "fault", first.detail
        assert (first.trace, first.fuel, first.output) == (second.trace, second.fuel, second.output)

    call()
