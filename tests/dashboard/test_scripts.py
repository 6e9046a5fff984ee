"""The dashboard's pure functions, run where they run: in the browser, over histories made here."""

import random
from typing import Any

import pytest

pytest.importorskip("playwright.async_api", reason="the browser tests need playwright: make setup")
from playwright.async_api import Page

from gateway.dashboard.assets import Assets

pytestmark = pytest.mark.asyncio(loop_scope="session")

DASH = "\N{EN DASH}"
_MODULE = f"/assets/{Assets.shipped().version}/js/"
_IMPORT = "const {%s} = await import('" + _MODULE + "%s');"


async def run(page: Page, names: str, module: str, body: str, argument: Any = None) -> Any:
    """Run a function body that uses `names` of a module."""
    return await page.evaluate(f"async (given) => {{ {_IMPORT % (names, module)} {body} }}", argument)


def stream(chance: random.Random) -> tuple[str, list[list[str]]]:
    """An event stream with everything that the standard allows, and the events [type, data, id] in it."""
    text, expected, last = "", [], ""
    for number in range(chance.randint(1, 12)):
        end = chance.choice(["\n", "\r\n", "\r"])
        kind, data, lines = "message", [], []
        for _ in range(chance.randint(0, 4)):
            match chance.randrange(6):
                case 0:
                    lines.append(f": comment {number}")
                case 1:
                    kind = chance.choice(["log", "stats"])
                    lines.append(f"event:{kind}" if chance.random() < 0.5 else f"event: {kind}")
                case 2:
                    last = f"t{number}-a0"
                    lines.append(f"id: {last}")
                case 3:
                    lines.append("unknown: field")
                case _:
                    data.append(chance.choice(['{"a":1}', "", " led by a space", "ümlaut:colon"]))
                    lines.append(f"data: {data[-1]}")
        text += "".join(line + end for line in lines) + end
        if data:
            expected.append([kind, "\n".join(data), last])
    return text, expected


async def test_an_event_stream_is_read_the_same_however_it_is_cut(scripts: Page) -> None:
    """Every kind of line end, comments, fields that are unknown, pieces of any size: the events are those of the standard."""
    chance = random.Random(11)  # noqa: S311 -- repeatable, not secret
    cases = []
    for _ in range(300):
        text, expected = stream(chance)
        cuts = sorted(chance.choices(range(len(text) + 1), k=chance.randint(0, 8)))
        pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        cases.append({"pieces": pieces, "expected": expected})
    body = """return given.map(({ pieces }) => {
        const parser = new Parser();
        return pieces.flatMap((piece) => parser.feed(piece)).map(({ type, data, id }) => [type, data, id]);
    });"""
    read = await run(scripts, "Parser", "sse.js", body, cases)

    assert read == [case["expected"] for case in cases]


async def test_tries_grow_rarer_and_never_come_together(scripts: Page) -> None:
    """After each failure the wait is longer, up to ten seconds; two browsers that lost the same gateway do not return at the same moment."""
    soonest, latest = await run(
        scripts,
        "waitMs",
        "sse.js",
        "return [0, 1].map((random) => Array.from({length: 12}, (_, at) => waitMs(at + 1, random)));",
    )

    assert latest == sorted(latest)
    assert (soonest[0], latest[0], latest[-1]) == (250, 500, 10_000)
    assert all(first == second / 2 for first, second in zip(soonest, latest, strict=True))


async def test_ten_thousand_cells_fit_any_width(scripts: Page) -> None:
    """The heat map's cells never run over the side, none is too small to hit, and few nodes do not make giants."""
    chance = random.Random(3)  # noqa: S311 -- repeatable, not secret
    cases = [[chance.randint(1, 12_000), chance.randint(200, 2_000), 230] for _ in range(200)]
    places = await run(scripts, "layout", "heatmap.js", "return given.map((each) => layout(...each));", cases)

    for (count, width, _), place in zip(cases, places, strict=True):
        assert place["columns"] * place["cell"] <= width
        assert place["columns"] * place["rows"] >= count
        assert 4 <= place["cell"] <= 26


async def test_a_board_is_read_as_it_was_sent(scripts: Page) -> None:
    """Columns come as they were sent; the next board takes their place, one of another shape or length is refused."""
    body = """
        const words = (values) => btoa(String.fromCharCode(...values.flatMap((value) => [value & 255, value >> 8])));
        const bytes = (values) => btoa(String.fromCharCode(...values));
        const board = (shape, states, scores) => ({ shape, total: states.length, at_ms: 1, state: bytes(states), score: words(scores),
            open: words(states), cpu_free: bytes(states.map(() => 150)), memory_free: bytes(states.map(() => 50)),
            latency: words(states.map(() => 125)), silent: words(states.map(() => 7)) });
        const nodes = new NodeColumns();
        nodes.replace({ ...board('a', [0, 1, 4], [5000, 2500, 9999]), names: ['n10', 'n2', 'n1'] });
        const known = nodes.apply(board('a', [0, 1, 0], [5000, 2600, 9999]));
        return { known, counts: [...nodes.counts], score: nodes.score(1), cpu: nodes.cpuUsed(0),
            latency: nodes.latencyMs(0), silent: nodes.silentS(0), state: nodes.stateName(1), row: nodes.row('n1'),
            byName: nodes.view({}).map((row) => nodes.names[row]), byScore: nodes.view({ key: 'score', descending: true }),
            safe: nodes.view({ state: 'safe' }), found: nodes.view({ search: 'N1' }),
            otherShape: nodes.apply(board('b', [0, 0, 0], [1, 1, 1])), longer: nodes.apply(board('a', [0, 0, 0, 0], [1, 1, 1, 1])) };
    """
    told = await run(scripts, "NodeColumns", "nodes-store.js", body)

    assert told["known"] is True
    assert told["otherShape"] is told["longer"] is False
    assert told["counts"] == [2, 1, 0, 0, 0, 0]
    assert (told["score"], told["cpu"], told["latency"], told["silent"]) == (0.26, 0.25, 12.5, 0.7)
    assert (told["state"], told["row"]) == ("safe", 2)
    assert told["byName"] == ["n1", "n2", "n10"]
    assert (told["byScore"], told["safe"], sorted(told["found"])) == ([2, 0, 1], [1], [0, 2])


async def test_an_hour_put_together_of_pieces_is_the_hour(scripts: Page) -> None:
    """Asked again from the newest bucket on, which has grown meanwhile, however often: the same points as asked once; the last 360, holes where nothing was heard."""
    chance = random.Random(9)  # noqa: S311 -- repeatable, not secret
    cases, wanted = [], []
    for _ in range(30):
        size, begins = chance.randint(1, 500), 10_000 * chance.randint(1, 10**6)
        whole = [chance.choice([None, (at, at + 0.5, at + 2)]) for at in range(size)]
        cuts = sorted({size, *chance.choices(range(1, size + 1), k=chance.randint(0, 6))})
        answers, since = [], 0
        for cut in cuts:
            piece = whole[since:cut]
            if chance.random() < 0.5 and piece[-1]:  # the bucket under way has not seen its most, yet
                piece = [*piece[:-1], (piece[-1][0], piece[-1][1], piece[-1][1])]
            answers.append(hour(begins + since * 10_000, piece))
            since = cut - 1
        answers.append(hour(begins + since * 10_000, whole[since:]))
        cases.append(answers)
        known = [(begins + at * 10_000 + 5_000, each) for at, each in enumerate(whole)][-360:]
        is_told = any(each for _, each in known)
        wanted.append(
            [[at, *(each[i] if each else None for i in (1, 0, 2))] for at, each in known if is_told]
        )
    body = """return given.map((answers) => {
        const hour = new Hour();
        for (const each of answers) hour.add(each);
        return [hour.points('latency_ms').map((point) => point.map((value) => (Number.isNaN(value) ? null : value))), hour.points('battery'), hour.range, hour.since];
    });"""
    told = await run(scripts, "Hour", "telemetry.js", body, cases)

    assert [each[0] for each in told] == wanted
    assert [each[1] for each in told] == [[]] * len(cases)
    for (points, _, (begin, end), since), answers in zip(told, cases, strict=True):
        last = answers[-1]["from_ms"] + 10_000 * len(answers[-1]["latency_ms"]["mean"])
        assert (end, since) == (last, last - 10_000)
        assert not points or begin == points[0][0] - 5_000


def hour(from_ms: int, buckets: list[Any]) -> dict[str, Any]:
    """What the gateway says of these buckets: each nothing, or least, mean and most."""
    spread = {
        name: [each[at] if each else None for each in buckets]
        for at, name in enumerate(("min", "mean", "max"))
    }
    return {"from_ms": from_ms, "step_ms": 10_000, "latency_ms": spread, "battery": None}


async def test_figures_are_said_as_people_read_them(scripts: Page) -> None:
    """Units that fit the size, about three digits, and a dash for what is not known."""
    body = """return { spans: [0.4, 84.8, 1370, 150000, 9e6, 4e8].map((ms) => joined(span(ms))), energies: [0.00002, 0.0156, 2.5, 15000, 7.2e6].map((j) => joined(energy(j))),
        sizes: [12, 2048, 5e6].map((n) => joined(bytes(n))), rates: [0, 19.13, 4761, 123456].map((n) => joined(rate(n))), none: [span(NaN)[0], count(undefined), joined(bytes(NaN))],
        amounts: [1000, 1500, 0].map((n) => joined(msat(n))), ago: [ago(1000, 1500), ago(0, 5), ago(1000, 91000)], digests: [short('sha256:' + 'ab'.repeat(32)), short('abc')] };"""
    told = await run(scripts, "span, energy, bytes, rate, count, joined, msat, ago, short", "format.js", body)

    assert told["spans"] == ["0.4 ms", "84.8 ms", "1.37 s", "2.5 min", "2.5 h", "4.63 days"]
    assert told["energies"] == ["20 µJ", "15.6 mJ", "2.5 J", "15 kJ", "2 kWh"]
    assert told["sizes"] == ["12 B", "2 KiB", "4.77 MiB"]
    assert told["rates"] == ["0/s", "19.1/s", "4,761/s", "123k/s"]
    assert told["none"] == [DASH] * 3
    assert told["amounts"] == ["1 sat", "1.5 sat", "0 sat"]
    assert told["ago"] == ["just now", DASH, "90 s ago"]
    assert told["digests"] == ["abababababab…", "abc"]
