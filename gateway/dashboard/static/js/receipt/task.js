// The receipt of a task: link by link from the verdict to the blocks on top of the commitment to its log.

import { CHAIN_STEPS, checkChain } from "./chain.js";
import { LinkBroken, Malformed } from "./errors.js";
import { commitment, leafHash, rootFromPath, sha256 } from "./hashes.js";
import { readJson } from "./json.js";
import { COSIGNATURE, ED25519, readCheckpoint, readKeys, readNote, signersOf } from "./note.js";
import { readPublished } from "./published.js";
import { moment } from "./report.js";
import { RESULTS, VERDICTS, readStatement, signerOf } from "./statement.js";
import { base64Of, decimal, hashOf, hex, linesOf, same, textOf } from "./text.js";
import { readVerdict, said, whyNot } from "./verdict.js";

const FIRST = "c2sp.org/tlog-proof@v1";
const DEEPEST = 63, MOST_EVIDENCE = 64;
export const TASK_STEPS = ["Form of the receipt", "Verdict's signature", "Verdict in the log", "Output of the verdict", "Signatures of the log's state", "Evidence of the nodes", ...CHAIN_STEPS];

/** The parts of a task's receipt out of its sections. Nothing is verified. */
export async function readTask(sections) {
  const names = sections.map(([name]) => name), order = /^verdict keys proof( bitcoin)?( evidence)*$/;
  if (!order.test(names.join(" "))) {
    throw new Malformed("file", "must have the sections verdict, keys, proof, then bitcoin if any, then evidence if any");
  }
  const rest = sections.slice(3), bitcoin = rest[0]?.[0] === "bitcoin" ? await readPublished(rest.shift()[1]) : null;
  if (rest.length > MOST_EVIDENCE) throw new Malformed("evidence", `is of at most ${MOST_EVIDENCE} nodes, this of ${rest.length}`);
  return {
    verdict: readStatement("verdict", sections[0][1]),
    keys: await readKeys(sections[1][1]),
    proof: readProof(sections[2][1]),
    bitcoin,
    evidence: rest.map(([, body], at) => readStatement(`evidence[${at}]`, body)),
  };
}

/** A C2SP tlog-proof without extra data. */
function readProof(data) {
  const cut = data.findIndex((byte, at) => byte === 10 && data[at + 1] === 10), head = cut < 0 ? data : data.subarray(0, cut);
  const lines = linesOf("proof", `${textOf("proof", head)}\n`);
  if (cut < 0 || lines[0] !== FIRST || !lines[1]?.startsWith("index ")) throw new Malformed("proof", `must begin with the lines '${FIRST}' and 'index N'`);
  const path = lines.slice(2).map((line, at) => hashOf(`proof path[${at}]`, line));
  if (path.length > DEEPEST) throw new Malformed("proof path", `has at most ${DEEPEST} hashes, these are ${path.length}`);
  return { leaf: decimal("proof index", lines[1].slice("index ".length)), path, note: readNote(data.subarray(cut + 2), "proof") };
}

/** Check a receipt that was read; what it shows goes to `report`, how far it came to `trail`. */
export async function checkTask(receipt, report, trail) {
  const { proof } = receipt;
  const signer = await trail.pass(TASK_STEPS[1], () => signerOf(receipt.verdict, VERDICTS, "verdict's signature"));
  const { verdict, checkpoint } = await trail.pass(TASK_STEPS[2], async () => {
    const read = readVerdict(receipt.verdict.member);
    return { verdict: read, checkpoint: await checkInclusion(proof, await leafHash(receipt.verdict.leaf)) };
  });
  Object.assign(report, { kind: "task", name: verdict.task, status: verdict.status, output_digest: verdict.outputDigest, verifier_key: signer,
    log: checkpoint.origin, leaf: Number(proof.leaf), size: Number(checkpoint.size) });
  await trail.pass(TASK_STEPS[3], () => checkOutput(verdict));
  report.proven.push(`Task ${verdict.task} ended as ${verdict.status}: ${said(verdict)}.`, `The verdict is signed by key ${signer}, under the policy ${verdict.policy}.`);
  report.unproven.push(`That key ${signer.slice(0, 16)}… is the verifier that you trust: compare it, or name it with --verifier-key.`);
  await trail.pass(TASK_STEPS[4], () => checkLog(receipt, checkpoint, report));
  if (receipt.evidence.length) await trail.pass(TASK_STEPS[5], () => checkEvidence(receipt.evidence, verdict, report));
  else trail.absent(TASK_STEPS[5]);
  sayEvidence(verdict, report);
  await checkChain(receipt.bitcoin, await commitment(checkpoint.origin, checkpoint.size, checkpoint.root), report, trail, "The log's state");
  if (!receipt.bitcoin) report.unproven.push(`When the verdict was there: no Bitcoin block is shown${seen(report)}.`);
}

/** The checkpoint whose tree holds the leaf. */
async function checkInclusion({ leaf, path, note }, hash) {
  const checkpoint = readCheckpoint(note.text), root = await rootFromPath(hash, leaf, checkpoint.size, path);
  if (!root || !same(root, checkpoint.root)) {
    const found = root ? `to ${base64Of(root)}` : "to no root of a tree of that size";
    throw new LinkBroken("inclusion in the log", `the path of leaf ${leaf} leads ${found}, the checkpoint of size ${checkpoint.size} says ${base64Of(checkpoint.root)}`);
  }
  return checkpoint;
}

async function checkOutput({ output, outputDigest }) {
  if (output && hex(await sha256(output)) !== outputDigest) throw new LinkBroken("output", "the verdict's output is not the one whose digest the verdict names");
}

async function checkLog({ keys, proof }, checkpoint, report) {
  const [log, ...witnesses] = keys;
  if (log.kind !== ED25519 || log.name !== checkpoint.origin) throw new LinkBroken("log's key", `the first key must be that of the log ${checkpoint.origin}, it is ${log.text}`);
  const signed = await signersOf(proof.note, keys), silent = keys.find((key) => !signed.has(key.text));
  if (silent) throw new LinkBroken(`signature of ${silent.name}`, "its key is in the receipt, its signature is not");
  if (proof.note.signatures.length !== signed.size) throw new LinkBroken("checkpoint", "it bears signatures of keys that the receipt does not name");
  if (witnesses.some((key) => key.kind !== COSIGNATURE)) throw new LinkBroken("witnesses' keys", "every key but the log's own must be that of a cosigner");
  const witnessed = new Map(witnesses.map((key) => [key.name, signed.get(key.text)]));
  report.witnesses = Object.fromEntries([...witnessed].map(([name, timeS]) => [name, Number(timeS)]));
  report.proven.push(`It is entry ${proof.leaf} of the log ${checkpoint.origin}, whose key ${log.text} signed a state of ${checkpoint.size} entries.`,
    ...[...witnessed].map(([name, timeS]) => `Witness ${name} saw that state at ${moment(timeS)}.`));
  report.unproven.push(`That ${log.text} is the log that you trust: compare it, or name it with --log-key.`,
    "That everybody is shown the same log: no witness that you named has signed.");
}

async function checkEvidence(evidence, verdict, report) {
  const nodes = new Map();
  for (const [at, statement] of evidence.entries()) {
    const result = readJson(`evidence[${at}]`, statement.member), node = String(result.get("node") ?? ""), link = `evidence of node ${node.slice(0, 64)}`;
    const key = await signerOf(statement, RESULTS, link);
    if (nodes.has(node) || ![...verdict.agree, ...verdict.dissent].includes(node)) throw new LinkBroken(link, "the verdict does not count it, or counts it once and it is there twice");
    const why = whyNot(verdict, result, verdict.agree.includes(node));
    if (why) throw new LinkBroken(link, why);
    nodes.set(node, key);
  }
  report.nodes = Object.fromEntries(nodes);
}

function sayEvidence(verdict, report) {
  const counted = verdict.agree.length + verdict.dissent.length, shown = Object.entries(report.nodes);
  if (shown.length) {
    const keys = shown.map(([node, key]) => `${node} (key ${key.slice(0, 16)}…)`).join(", ");
    report.proven.push(`${shown.length} of ${counted} counted results are shown, each signed by its node and judged rightly: ${keys}.`);
    report.unproven.push("That each of these keys is its node's: for that stands the verifier.");
  }
  if (shown.length < counted) report.unproven.push(`What ${counted - shown.length} of ${counted} counted nodes answered: for that stands the verifier.`);
  if (!counted) report.unproven.push("What nodes answered: no answer was accepted.");
  else if (verdict.agree.length === 1) report.unproven.push("That the answer is right: one node alone gave it.");
  else report.unproven.push("That the answer is right, beyond that these nodes agree.");
}

/** When the first witness saw it, in words. */
function seen({ witnesses }) {
  const times = Object.values(witnesses);
  return times.length ? `, and only witnesses say that it was at ${moment(Math.min(...times))}` : "";
}
