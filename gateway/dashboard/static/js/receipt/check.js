// The check of a receipt in the browser: each step that `ambient verify` makes offline, with the browser's own SHA-256 and Ed25519.
//
// Guarantees that a receipt which does not hold is reported with the first link that is broken, named as `anchor.receipt` names it, and that what no
// receipt can show is said. Nothing here asks anybody, and nothing here knows the page: bytes go in, a report comes out.
//
// Left to whoever reads: which verifier, log and chain of blocks to trust; `ambient verify` takes those as options.

import { ACCOUNT_STEPS, checkAccount, readAccount } from "./account.js";
import { ReceiptError } from "./errors.js";
import { readSections } from "./file.js";
import { Trail } from "./report.js";
import { TASK_STEPS, checkTask, readTask } from "./task.js";

const FILE = "File";

/**
 * What the bytes of a receipt show: the gateway's report of one (`ReceiptReport` in the API), and `steps`, each with the state `holds`, `broken`,
 * `not looked at` or `not in this receipt`.
 */
export async function checkReceipt(data) {
  const report = { holds: false, link: "", error: "", kind: "", name: "", status: "", output_digest: "", verifier_key: "", log: "", leaf: 0, size: 0,
    witnesses: {}, nodes: {}, held: null, block: null, proven: [], unproven: [] };
  let trail = new Trail([FILE]);
  try {
    const sections = await trail.pass(FILE, () => readSections(data)), isAccount = sections[0]?.[0] === "account";
    const [form, ...behind] = isAccount ? ACCOUNT_STEPS : TASK_STEPS;
    const opened = trail;
    trail = new Trail([form, ...behind]);
    trail.steps.unshift(...opened.steps);
    const receipt = await trail.pass(form, () => (isAccount ? readAccount : readTask)(sections));
    await (isAccount ? checkAccount : checkTask)(receipt, report, trail);
    return { ...report, holds: true, steps: trail.steps };
  } catch (error) {
    if (!(error instanceof ReceiptError)) throw error;
    return { ...report, link: error.link, error: error.message, proven: [], unproven: [], steps: trail.steps };
  }
}
