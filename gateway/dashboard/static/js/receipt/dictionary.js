// The preset dictionary of receipts (RFC 1950, section 2.2): text that every receipt has, so that none needs to carry it. It is part of the
// format, byte for byte the one of `anchor/receipt/dictionary.py`.

import { encode } from "./text.js";

export const DICTIONARY = encode(
  '"energy_method":"measured","energy_j":0.,"wall_ms":,"peak_memory_bytes":,"stderr":"","exit_code":1,"reason":"' +
  '"status":"failed","faulted":["evidence {"payloadType":"application/vnd.ambient.results+merkle","status":"ok",' +
  '{"decision":,"attempt":1,"node":"bitcoin network\nregtest\nbatch\ntransaction\nbranch\ncoinbase\ncoinbase-branch\nheader\nsuccessors\n' +
  'L R proof c2sp.org/tlog-proof@v1\nindex \n\n\u2014 keys +","dissent":["],"evidence":[[,"verify":{"kind":"signature"},' +
  '"verify":{"kind":"quorum","agree":2,"of":3},"spec":"","module":"","input":"","trace":"","attempts":1,"fuel":,"source":[' +
  'verdict {"payloadType":"application/vnd.ambient.verdicts+merkle","keyid":"","sig":"=="}\n' +
  '{"kind":"verdict","task":"","status":"verified","output":"","output_digest":"","output_size":,"agree":["node-1","node-2"],');
