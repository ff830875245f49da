//! The journal, read in a thread of its own, a little ahead of whoever publishes it. It hashes the replies, as there is less to do for
//! it than for the others.
//!
//! - [`Batch`]: rows, copied out of the ledger
//! - [`read`]: what the thread does

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::mpsc::SyncSender;

use jiff::Timestamp;

use crate::ledger::{JournalledRow, Ledger, LedgerError, Place};
use crate::record::sha256_hex;

/// Batches that wait for the publisher, beside the one that it works on and the one that is being read: enough that it goes on while
/// the encoder has the reader's core. Many small ones leave the allocator less to keep than a few large ones. Of the longest replies
/// that are read, 8 MiB, they hold one each.
pub(super) const BATCHES_AHEAD: usize = 16;

/// Rows of a batch.
const BATCH_ROWS: usize = 64;

/// Bytes of the replies of a batch; the last may be on top.
const BATCH_BYTES: usize = 256 * 1024;

/// Rows, copied out of the ledger: all texts in one, all replies in one.
#[derive(Debug, Default)]
pub(super) struct Batch {
    rows: Vec<Row>,
    texts: String,
    bodies: Vec<u8>,
}

/// A row without its texts and its reply, whose lengths it has.
#[derive(Debug)]
struct Row {
    place: Place,
    verified_at: Option<Timestamp>,
    passed: bool,
    fetched_at: Timestamp,
    text_bytes: [usize; 7],
    body_bytes: usize,
}

impl Batch {
    fn push(&mut self, row: &JournalledRow<'_>) {
        let reply_sha256 = sha256_hex(row.body);
        let texts = [
            row.transaction_id,
            &row.merchant_biz_id,
            row.product_code,
            row.region,
            row.sub_code,
            row.run_id,
            &reply_sha256,
        ];
        self.texts.extend(texts);
        self.bodies.extend_from_slice(row.body);
        self.rows.push(Row {
            place: row.place,
            verified_at: row.verified_at,
            passed: row.passed,
            fetched_at: row.fetched_at,
            text_bytes: texts.map(str::len),
            body_bytes: row.body.len(),
        });
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= BATCH_ROWS || self.bodies.len() >= BATCH_BYTES
    }

    /// The rows, in their order, each with the SHA-256 of its reply.
    pub(super) fn rows(&self) -> impl Iterator<Item = (JournalledRow<'_>, &str)> {
        let (mut texts, mut bodies) = (self.texts.as_str(), self.bodies.as_slice());
        self.rows.iter().map(move |row| {
            let [
                transaction_id,
                merchant_biz_id,
                product_code,
                region,
                sub_code,
                run_id,
                reply_sha256,
            ] = row.text_bytes.map(|bytes| {
                let (text, rest) = texts.split_at(bytes);
                texts = rest;
                text
            });
            let (body, rest) = bodies.split_at(row.body_bytes);
            bodies = rest;
            let row = JournalledRow {
                place: row.place,
                transaction_id,
                merchant_biz_id: Cow::Borrowed(merchant_biz_id),
                product_code,
                region,
                verified_at: row.verified_at,
                passed: row.passed,
                sub_code,
                run_id,
                fetched_at: row.fetched_at,
                body,
            };
            (row, reply_sha256)
        })
    }
}

/// Reads the journal in the order of publication, until nobody takes its batches any more.
pub(super) fn read(ledger: &Ledger, batches: &SyncSender<Batch>) -> Result<(), LedgerError> {
    let mut batch = Batch::default();
    ledger.for_each_journalled(|row| {
        batch.push(&row);
        let left = batch.is_full() && batches.send(std::mem::take(&mut batch)).is_err();
        Ok::<_, LedgerError>(if left {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    })?;
    // An error is a publisher that has enough.
    let _ = batches.send(batch);
    Ok(())
}
