// The last steps of every receipt: from what was committed to, through a Bitcoin transaction, to the blocks on top of it.

import { doubleSha256 } from "./blocks.js";
import { LinkBroken } from "./errors.js";
import { walk } from "./hashes.js";
import { checkBranches, checkWork, readCommitted } from "./published.js";
import { moment, power } from "./report.js";
import { display, hex } from "./text.js";

const NETWORKS = { main: "the Bitcoin chain", testnet4: "Bitcoin's test chain testnet4", signet: "Bitcoin's test chain signet", regtest: "a private test chain (regtest)" };
export const CHAIN_STEPS = ["Proof of work of the blocks", "Transaction in the block", "Commitment in the transaction"];

/** Note in `report` since when `what` existed, by the commitment to it; says nothing where no block is shown. */
export async function checkChain(published, committed, report, trail, what) {
  if (!published) {
    CHAIN_STEPS.forEach((name) => trail.absent(name));
    return;
  }
  const work = await trail.pass(CHAIN_STEPS[0], () => checkWork(published));
  await trail.pass(CHAIN_STEPS[1], () => checkBranches(published));
  const height = await trail.pass(CHAIN_STEPS[2], async () => {
    const found = readCommitted(published), wanted = hex(await walk(committed, published.batch));
    if (found.committed !== wanted) throw new LinkBroken("commitment in the transaction", `it carries ${found.committed}, the checkpoint's commitment leads to ${wanted}`);
    return found.height;
  });
  const { network, headers: [block, ...successors] } = published, txid = display(await doubleSha256(published.tx)), id = display(block.hash);
  report.block = { txid, block: id, height, time_s: block.timeS, work: String(work) };
  report.proven.push(
    `${what} is committed to by transaction ${txid} in block ${height} of ${NETWORKS[network]} (${id}): by that block's clock it existed at ${moment(block.timeS)} at the latest.`,
    `The block and the ${successors.length} on top of it took about ${power(work)} hashes to make.`);
  report.unproven.push(network === "main"
    ? "That these blocks are in the chain that everybody follows: compare the block's id, or give --headers; until then they are worth their work."
    : `That nobody made these blocks for the purpose: on ${NETWORKS[network]} work costs little or nothing.`);
}
