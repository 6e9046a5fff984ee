// Why a receipt is not accepted. `link` names the part that is broken, as the check of the command line names it.

/** Whoever catches it has a receipt that proves nothing. */
export class ReceiptError extends Error {
  constructor(link, why) {
    super(link ? `${link}: ${why}` : why);
    this.link = link;
  }
}

/** The bytes break the format: `link` is the field, `why` what is allowed there. */
export class Malformed extends ReceiptError {}

/** The receipt can be read, but one link of what it claims does not hold. */
export class LinkBroken extends ReceiptError {}
