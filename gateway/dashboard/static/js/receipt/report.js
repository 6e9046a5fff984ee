// What a check found, as it is told: sentences for people, and each step with how it ended.

/** Steps in the order in which they are made; where one fails, those behind it were not made. */
export class Trail {
  constructor(names) {
    this.steps = names.map((name) => ({ name, state: "not looked at" }));
  }

  /** What `work` brings; the step holds if it does not throw. */
  async pass(name, work) {
    const step = this.step(name);
    step.state = "broken";
    const found = await work();
    step.state = "holds";
    return found;
  }

  /** The receipt has nothing for this step. */
  absent(name) {
    this.step(name).state = "not in this receipt";
  }

  step(name) {
    return this.steps.find((each) => each.name === name);
  }
}

/** A whole number with separators, exactly. */
export const count = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, ",");

/** Seconds since 1970 as people read them. */
export function moment(timeS) {
  const last = 253_402_300_799n; // of the year 9999
  return BigInt(timeS) > last ? `${timeS} s after 1970` : `${new Date(Number(timeS) * 1000).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** A number of hashes as a power of two. */
export const power = (work) => `2^${Math.log2(Number(work)).toFixed(1)}`;
