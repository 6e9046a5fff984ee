"""The bound of a rest: the earliest end that was named, once, and none after the rest."""

import asyncio

import uvloop

from workers.rest import Rest


async def _passed(rest_ms: float) -> None:
    await asyncio.sleep(rest_ms / 1000)


async def test_the_earliest_end_counts_however_often_it_is_said() -> None:
    """A later word cannot put it off, and what was given up is not given up again."""
    given_up: list[float] = []
    loop = asyncio.get_running_loop()
    rest = Rest(give_up=lambda: given_up.append(loop.time()), default_s=60)
    begun = loop.time()
    first = rest.begin(None)
    again = [rest.begin(finish_ms) for finish_ms in (20_000, 100, 30_000, None)]
    await _passed(200)
    after = rest.begin(30_000)
    await _passed(20)

    assert (first, again, after) == (True, [False] * 4, False)
    assert len(given_up) == 1
    assert given_up[0] - begun >= 0.1


async def test_a_rest_that_ended_gives_nothing_up() -> None:
    """And the next one has a bound of its own."""
    given_up: list[None] = []
    rest = Rest(give_up=lambda: given_up.append(None), default_s=60)
    rest.begin(10)
    rest.end()
    await _passed(50)

    assert not given_up
    assert rest.begin(0)
    await _passed(20)
    assert len(given_up) == 1


def test_a_bound_that_is_over_at_once_is_said_again_in_vain() -> None:
    """On the event loop that nodes run on where it is installed, too: `--finish-s 0` ends what runs, and its repetitions nothing."""
    given_up: list[None] = []

    async def told_twice() -> list[bool]:
        rest = Rest(give_up=lambda: given_up.append(None), default_s=60)
        begun = [rest.begin(0), rest.begin(0)]
        await _passed(20)
        return [*begun, rest.begin(0), rest.begin(30_000)]

    assert uvloop.run(told_twice()) == [True, False, False, False]
    assert len(given_up) == 1
