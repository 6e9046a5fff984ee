// What a verdict says, as far as a receipt speaks of it, and whether a node's result was judged as the verdict says.

import { Malformed } from "./errors.js";
import { equal, isBlank, readJson } from "./json.js";
import { bytesOf, quoted } from "./text.js";

const STATUSES = ["verified", "failed", "cancelled", "expired"];
/** What nodes agree on: in these a result must equal the verdict that accepts it, besides its status. */
const SAME = ["exit_code", "output_digest", "trace", "reason"];
/** What was asked: in these every result that counts must equal it. */
const ASKED = ["spec", "module", "input"];
const ENOUGH_TO_READ = 8;

/** { task, status, output, outputDigest, agree, dissent, policy, fields } of a verdict's line. */
export function readVerdict(line) {
  const fields = readJson("verdict", line);
  if (fields.get("kind") !== "verdict") throw new Malformed("verdict.kind", `must be 'verdict', not ${quoted(fields.get("kind"))}`);
  const status = text(fields, "status");
  if (!STATUSES.includes(status)) throw new Malformed("verdict.status", `must be one of ${STATUSES.join(", ")}, not ${quoted(status)}`);
  const output = text(fields, "output");
  return {
    task: text(fields, "task"),
    status,
    output: (fields.get("output") ?? null) === null ? null : bytesOf("verdict.output", output),
    outputDigest: text(fields, "output_digest"),
    agree: names(fields, "agree"),
    dissent: names(fields, "dissent"),
    policy: policyOf(fields.get("verify") ?? null),
    fields,
  };
}

function text(fields, name) {
  const found = fields.get(name);
  if (isBlank(found)) return "";
  if (typeof found !== "string") throw new Malformed(`verdict.${name}`, "must be a string");
  return found;
}

function names(fields, name) {
  const found = fields.get(name) ?? (fields.has(name) ? null : []);
  if (!Array.isArray(found) || !found.every((each) => typeof each === "string") || new Set(found).size !== found.length) {
    throw new Malformed(`verdict.${name}`, "must be a list of different names");
  }
  return found;
}

/** The policy in words. It is left out of a verdict where it is `signature`. */
function policyOf(verify) {
  if (verify === null) return "'signature' (one node is believed)";
  if (!(verify instanceof Map)) throw new Malformed("verdict.verify", "must be an object");
  if (verify.get("kind") === "signature") return "'signature' (one node is believed)";
  if (verify.get("kind") === "quorum") return `'quorum' (${verify.get("agree")} of ${verify.get("of")} nodes must agree)`;
  return `${quoted(verify.get("kind"))}, which this version does not know`;
}

/** What came out, in words. */
export function said(verdict) {
  const reason = [...String(verdict.fields.get("reason") ?? "")].slice(0, 200).join("");
  if (!verdict.outputDigest) return reason || "no answer was accepted";
  const agree = verdict.agree.slice(0, ENOUGH_TO_READ).join(", ") + (verdict.agree.length > ENOUGH_TO_READ ? " and others" : "");
  const dissent = verdict.dissent.length ? `, ${verdict.dissent.length} dissented` : "";
  return `output sha256:${verdict.outputDigest}${reason && ` (${reason})`}, module sha256:${verdict.fields.get("module") ?? ""}, agreed by ${agree}${dissent}`;
}

/** Why a result cannot be one that the verdict counts so; empty if it can. */
export function whyNot(verdict, result, agrees) {
  if (result.get("task") !== verdict.task) return `it is of task ${quoted(result.get("task"), 130)}`;
  const { fields } = verdict;
  for (const name of ASKED) {
    if (!equal(result.get(name) ?? null, fields.get(name) ?? null)) return `its ${name} is not the one of the verdict`;
  }
  const status = verdict.status === "verified" ? "ok" : verdict.status;
  const same = result.get("status") === status && SAME.every((name) => bothBlank(result.get(name), fields.get(name)) || equal(result.get(name), fields.get(name)));
  if (same === agrees) return "";
  return agrees ? "it says something else than the verdict" : "it says what the verdict says, and is counted as dissent";
}

const bothBlank = (one, other) => isBlank(one) && isBlank(other);
