"""A nightly script as one would write it with aiohttp, to hold idvault against: reads the pending CSV, asks for every id
with a signed call, 64 at a time, and appends what came to a file of JSON lines. It keeps no ledger, syncs once, and writes
no Parquet, so it does less than idvault does.

    python3 with_aiohttp.py URL PENDING.csv RESULTS.jsonl
"""

import asyncio
import csv
import datetime
import hashlib
import hmac
import json
import os
import sys
import urllib.parse
import uuid

import aiohttp

KEY_ID, SECRET = "key-id", "secret"
IN_FLIGHT = 64
EMPTY = hashlib.sha256(b"").hexdigest()


def signed(host, query):
    headers = {
        "host": host,
        "x-acs-action": "CheckResult",
        "x-acs-content-sha256": EMPTY,
        "x-acs-date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": uuid.uuid4().hex,
        "x-acs-version": "2022-08-09",
    }
    names = ";".join(headers)
    lines = "".join(f"{name}:{text}\n" for name, text in headers.items())
    canonical = f"POST\n/\n{query}\n{lines}\n{names}\n{EMPTY}"
    to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
    signature = hmac.new(SECRET.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    headers["Authorization"] = f"ACS3-HMAC-SHA256 Credential={KEY_ID},SignedHeaders={names},Signature={signature}"
    return headers


async def ask(session, url, host, rows, out):
    for row in rows:
        query = urllib.parse.urlencode(
            {"MerchantBizId": row["merchant_biz_id"], "TransactionId": row["transaction_id"]}
        )
        async with session.post(f"{url}/?{query}", headers=signed(host, query)) as response:
            reply = json.loads(await response.read())
        result = reply["Result"]
        row.update(passed=result["Passed"], sub_code=result["SubCode"], reply=reply)
        out.write(json.dumps(row) + "\n")


async def main(url, pending, results):
    host = url.removeprefix("http://")
    with open(pending, newline="") as source, open(results, "x") as out:
        rows = csv.DictReader(source)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as session:
            await asyncio.gather(*(ask(session, url, host, rows, out) for _ in range(IN_FLIGHT)))
        out.flush()
        os.fsync(out.fileno())


asyncio.run(main(*sys.argv[1:]))
