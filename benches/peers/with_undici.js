// A nightly script as one would write it with undici, to hold idvault against: reads the pending CSV, asks for every id with a
// signed call, 64 at a time, and appends what came to a file of JSON lines. It keeps no ledger, syncs once, and writes no
// Parquet, so it does less than idvault does.
//
//     node with_undici.js URL PENDING.csv RESULTS.jsonl

"use strict";

const { createHash, createHmac, randomUUID } = require("node:crypto");
const fs = require("node:fs");
const readline = require("node:readline");
const { Pool } = require("undici");

const [KEY_ID, SECRET] = ["key-id", "secret"];
const IN_FLIGHT = 64;
const EMPTY = createHash("sha256").digest("hex");

function signed(host, query) {
  const headers = {
    host,
    "x-acs-action": "CheckResult",
    "x-acs-content-sha256": EMPTY,
    "x-acs-date": new Date().toISOString().replace(/\.\d+Z$/, "Z"),
    "x-acs-signature-nonce": randomUUID(),
    "x-acs-version": "2022-08-09",
  };
  const names = Object.keys(headers).join(";");
  const lines = Object.entries(headers)
    .map(([name, text]) => `${name}:${text}\n`)
    .join("");
  const canonical = `POST\n/\n${query}\n${lines}\n${names}\n${EMPTY}`;
  const toSign = "ACS3-HMAC-SHA256\n" + createHash("sha256").update(canonical).digest("hex");
  const signature = createHmac("sha256", SECRET).update(toSign).digest("hex");
  headers.Authorization = `ACS3-HMAC-SHA256 Credential=${KEY_ID},SignedHeaders=${names},Signature=${signature}`;
  return headers;
}

async function* pending(path) {
  let names;
  for await (const line of readline.createInterface({ input: fs.createReadStream(path) })) {
    const fields = line.split(",");
    if (names) yield Object.fromEntries(fields.map((field, column) => [names[column], field]));
    else names = fields;
  }
}

async function ask(pool, host, rows, out) {
  for (;;) {
    const { value: row, done } = await rows.next();
    if (done) return;
    const query = new URLSearchParams({
      MerchantBizId: row.merchant_biz_id,
      TransactionId: row.transaction_id,
    }).toString();
    const response = await pool.request({ method: "POST", path: `/?${query}`, headers: signed(host, query) });
    const reply = await response.body.json();
    const { Passed: passed, SubCode: sub_code } = reply.Result;
    out.write(JSON.stringify({ ...row, passed, sub_code, reply }) + "\n");
  }
}

async function main(url, source, results) {
  const pool = new Pool(url, { connections: IN_FLIGHT });
  const out = fs.createWriteStream(results, { flags: "wx", flush: true });
  const [host, rows] = [new URL(url).host, pending(source)];
  await Promise.all(Array.from({ length: IN_FLIGHT }, () => ask(pool, host, rows, out)));
  await new Promise((resolve, reject) => out.end((error) => (error ? reject(error) : resolve())));
  await pool.close();
}

main(...process.argv.slice(2));
