// A node's last hour as the gateway tells it, piece by piece, put together. Pure: answers go in, points for charts come out.
//
// Guarantees that asking again from `since` on loses nothing and doubles nothing, also where another gateway answers that remembers less.

const MOST_BUCKETS = 360;
const QUANTITIES = ["cpu_free", "memory_free", "latency_ms", "temperature_c", "battery", "power_w"];

export class Hour {
  constructor() {
    this.stepMs = 0;
    this._buckets = new Map(); // beginning in ms -> { quantity: [least, mean, most] }
  }

  /** From when to ask again: the newest bucket may have grown. */
  get since() {
    return Math.max(0, ...this._buckets.keys());
  }

  /** [from, to] in ms of all that is known. */
  get range() {
    const known = [...this._buckets.keys()];
    return known.length ? [Math.min(...known), Math.max(...known) + this.stepMs] : [0, 1];
  }

  add(answer) {
    if (!answer.from_ms) return;
    if (answer.step_ms !== this.stepMs) this._buckets.clear();
    this.stepMs = answer.step_ms;
    for (const name of QUANTITIES) {
      answer[name]?.mean.forEach((mean, at) => {
        const begins = answer.from_ms + at * this.stepMs, bucket = this._buckets.get(begins) ?? {};
        if (mean !== null) bucket[name] = [answer[name].min[at], mean, answer[name].max[at]];
        this._buckets.set(begins, bucket);
      });
    }
    const oldest = this.since - (MOST_BUCKETS - 1) * this.stepMs;
    for (const begins of this._buckets.keys()) if (begins < oldest) this._buckets.delete(begins);
  }

  /** Points [ms, mean, least, most] in their order, at the middle of each bucket, NaN where nothing was heard; none at all of what was never told. */
  points(name, change = (value) => value) {
    const known = [...this._buckets].sort(([one], [other]) => one - other);
    if (!known.some(([, bucket]) => bucket[name])) return [];
    return known.map(([begins, bucket]) => {
      const [least, mean, most] = (bucket[name] ?? [NaN, NaN, NaN]).map(change);
      return [begins + this.stepMs / 2, mean, Math.min(least, most), Math.max(least, most)];
    });
  }
}
