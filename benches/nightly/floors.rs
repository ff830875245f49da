//! What lies beneath: the load server's ceiling, and libraries and hardware without idvault.
//!
//! - [`Floors`]: measured once, when they are first asked for
//! - [`generate`]: the load generators, each a process of its own so that it is measured as idvault is

use std::cell::OnceCell;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use idvault::ledger::{Ledger, Lock};
use idvault::record::sha256_hex;
use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use rusqlite::{Connection, named_params};
use rustix::fs::{Advice, fadvise};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::night::{BenchResult, NOW};
use crate::process::measure as run;
use crate::server::{Load, LoadServer};
use crate::source::{id, scrambled, verified_at};
use crate::table::{Goal, Row, count, float, median, megabytes_per_second, micros, per_second, rate};
use crate::{Bench, intake};

/// Connections of a generator: idvault's own default.
const CONNECTIONS: u64 = idvault::fetch::CONCURRENCY as u64;

const MIB: usize = 1 << 20;

/// Figures that others are shown beside.
#[derive(Debug, Default)]
pub(crate) struct Floors {
    filling: OnceCell<f64>,
    disk: OnceCell<(f64, f64)>,
    sha256: OnceCell<f64>,
}

impl Floors {
    /// SQLite by itself fills an empty ledger with rows that are in memory, by idvault's own statements: in rows a second.
    pub(crate) fn filling(&self, base: &Path, rows: u64) -> BenchResult<f64> {
        once(&self.filling, || {
            let dir = base.join("floor");
            let rate = filling(&dir, rows)?;
            std::fs::remove_dir_all(&dir)?;
            Ok(rate)
        })
    }

    /// The disk's sequential writing with a sync, and reading, in bytes a second.
    pub(crate) fn disk(&self, base: &Path) -> BenchResult<(f64, f64)> {
        once(&self.disk, || disk(&base.join("floor.bin")))
    }

    /// SHA-256 of idvault's own on one core, in bytes a second.
    pub(crate) fn sha256(&self) -> BenchResult<f64> {
        once(&self.sha256, || {
            let bytes = vec![7_u8; 64 * MIB];
            let started = Instant::now();
            std::hint::black_box(sha256_hex(&bytes));
            Ok(per_second(bytes.len(), started.elapsed()))
        })
    }
}

fn once<T: Copy>(cell: &OnceCell<T>, measure: impl FnOnce() -> BenchResult<T>) -> BenchResult<T> {
    if let Some(known) = cell.get() {
        return Ok(*known);
    }
    let measured = measure()?;
    Ok(*cell.get_or_init(|| measured))
}

/// What a load generator did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Generated {
    /// Calls a second.
    pub(crate) rate: f64,
    /// CPU of the generator, in µs a call.
    pub(crate) cpu_us: f64,
}

/// Runs a generator of that kind against `server`.
pub(crate) fn generated(kind: &str, server: &LoadServer, calls: u64) -> BenchResult<Generated> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--generate", kind, &server.url, &calls.to_string()]);
    let before = server.calls();
    let ended = run(&mut command)?;
    if ended.code != Some(0) || server.calls() - before != calls {
        return Err(format!("the load generator {kind} failed: {}", ended.stderr).into());
    }
    Ok(Generated {
        rate: per_second(calls, ended.wall),
        cpu_us: ended.cpu.as_secs_f64() * 1e6 / float(calls),
    })
}

pub(crate) fn measure(bench: &mut Bench) -> BenchResult<()> {
    let server = LoadServer::start(Load::default())?;
    let calls = bench.size(20_000, 200_000, 200_000);
    for (kind, what) in [
        (
            "raw",
            format!("the load server's ceiling: bare sockets, {CONNECTIONS} connections"),
        ),
        ("reqwest", format!("reqwest alone, unsigned, {CONNECTIONS} at a time")),
    ] {
        let runs: BenchResult<Vec<Generated>> = (0..3).map(|_| generated(kind, &server, calls)).collect();
        let (rates, cpus): (Vec<f64>, Vec<f64>) = runs?.iter().map(|run| (run.rate, run.cpu_us)).unzip();
        let row = Row::new(what, Goal::None, median(rates), rate);
        bench
            .table
            .add(row.beside(format!("{} of CPU a call", micros(median(cpus)))));
    }
    let rows = intake::rows(bench);
    let filling = bench.floors.filling(&bench.base, rows)?;
    bench.table.add(Row::new(
        format!("SQLite alone: fills an empty ledger with {} rows", count(float(rows))),
        Goal::None,
        filling,
        rate,
    ));
    let sha256 = bench.floors.sha256()? / 1e6;
    bench.table.add(Row::new(
        "SHA-256 on one core",
        Goal::None,
        sha256,
        megabytes_per_second,
    ));
    let (write, read) = bench.floors.disk(&bench.base)?;
    let row = Row::new(
        "disk: write in one go with a sync",
        Goal::None,
        write / 1e6,
        megabytes_per_second,
    );
    bench.table.add(row);
    bench.table.add(Row::new(
        "disk: read in one go",
        Goal::None,
        read / 1e6,
        megabytes_per_second,
    ));
    Ok(())
}

fn filling(dir: &Path, rows: u64) -> BenchResult<f64> {
    std::fs::create_dir(dir)?;
    let lock = Lock::acquire(dir)?;
    let mut ledger = Ledger::open(dir, &lock)?;
    let now: Timestamp = NOW.parse()?;
    let run = ledger.begin_run(now, None)?;
    ledger.close()?;
    let made: Vec<(String, String, i64)> = (0..rows)
        .map(|number| {
            let verified_at = verified_at(number, 20, now).as_microsecond();
            (id(0, number), format!("order{:016x}", scrambled(number)), verified_at)
        })
        .collect();

    let ledger = Connection::open(dir.join("ledger.sqlite"))?;
    ledger.execute_batch(include_str!("../../sql/pragmas.sql"))?;
    let started = Instant::now();
    ledger.execute_batch("BEGIN IMMEDIATE")?;
    let mut insert = ledger.prepare(include_str!("../../sql/admit_insert.sql"))?;
    for (id, merchant_biz_id, verified_at) in &made {
        insert.execute(named_params! {
            ":transaction_id": id,
            ":merchant_biz_id": merchant_biz_id,
            ":product_code": "FACE_LIVENESS",
            ":product_assumed": false,
            ":region": "ap-southeast-1",
            ":region_assumed": false,
            ":verified_at": verified_at,
            ":first_seen_at": now.as_microsecond(),
            ":first_run": run.number,
        })?;
    }
    ledger.execute_batch("COMMIT")?;
    Ok(per_second(made.len(), started.elapsed()))
}

fn disk(path: &Path) -> BenchResult<(f64, f64)> {
    const PIECES: usize = 512;
    let piece: Vec<u8> = (0..MIB as u64 / 8)
        .flat_map(|number| scrambled(number).to_le_bytes())
        .collect();
    let mut file = File::options().read(true).write(true).create_new(true).open(path)?;
    let started = Instant::now();
    for _ in 0..PIECES {
        file.write_all(&piece)?;
    }
    file.sync_all()?;
    let written = per_second(PIECES * MIB, started.elapsed());
    fadvise(&file, 0, None, Advice::DontNeed)?;
    file.rewind()?;
    let mut piece = piece;
    let started = Instant::now();
    while file.read(&mut piece)? > 0 {}
    let read = per_second(PIECES * MIB, started.elapsed());
    std::fs::remove_file(path)?;
    Ok((written, read))
}

/// Calls `url` so often: `raw` over bare sockets, `reqwest` through the HTTP library that idvault uses.
pub(crate) fn generate(kind_url_calls: &[String]) -> BenchResult<()> {
    let [kind, url, calls] = kind_url_calls else {
        return Err("a generator needs kind, URL and calls".into());
    };
    let calls = Arc::new(AtomicU64::new(calls.parse()?));
    let mut builder = match kind.as_str() {
        "raw" => tokio::runtime::Builder::new_current_thread(),
        "reqwest" => tokio::runtime::Builder::new_multi_thread(),
        _ => return Err(format!("there is no generator {kind}").into()),
    };
    builder.enable_all().build()?.block_on(async {
        // reqwest wants a TLS provider even where there is no TLS. A second one can't be installed, and needn't be.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build()?;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (calls, url, client, raw) = (Arc::clone(&calls), url.clone(), client.clone(), kind == "raw");
            tasks.spawn(async move {
                let called = if raw {
                    raw_calls(&url, &calls).await
                } else {
                    reqwest_calls(&client, &url, &calls).await
                };
                called.map_err(|error| error.to_string())
            });
        }
        for task in tasks.join_all().await {
            task?;
        }
        Ok(())
    })
}

/// The number of the next call, while there are any.
fn next(calls: &AtomicU64) -> Option<u64> {
    let taken = calls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    taken.ok()
}

fn query(number: u64) -> String {
    format!(
        "/?MerchantBizId=order{:016x}&TransactionId={}",
        scrambled(number),
        id(0, number)
    )
}

/// Headers as long as idvault's.
fn headers() -> [(&'static str, String); 8] {
    [
        ("x-acs-action", "CheckResult".to_owned()),
        ("x-acs-version", "2022-08-09".to_owned()),
        ("x-acs-date", "2026-11-22T02:00:00Z".to_owned()),
        ("x-acs-signature-nonce", "0".repeat(32)),
        ("x-acs-content-sha256", "0".repeat(64)),
        ("authorization", "0".repeat(240)),
        ("accept", "application/json".to_owned()),
        ("content-length", "0".to_owned()),
    ]
}

async fn raw_calls(url: &str, calls: &AtomicU64) -> BenchResult<()> {
    let host = url.strip_prefix("http://").ok_or("not an http URL")?;
    let mut stream = TcpStream::connect(host).await?;
    stream.set_nodelay(true)?;
    let headers = headers().map(|(name, text)| format!("{name}: {text}\r\n")).concat();
    let mut inbox = Vec::with_capacity(4096);
    while let Some(number) = next(calls) {
        let request = format!("POST {} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n", query(number));
        stream.write_all(request.as_bytes()).await?;
        inbox.clear();
        while !is_whole(&inbox)? {
            if stream.read_buf(&mut inbox).await? == 0 {
                return Err("the server closed a connection".into());
            }
        }
    }
    Ok(())
}

/// Whether a reply with a content length is there to its end.
fn is_whole(inbox: &[u8]) -> BenchResult<bool> {
    const END: &[u8] = b"\r\n\r\n";
    const LENGTH: &str = "Content-Length: ";
    let Some(head) = inbox.windows(END.len()).position(|bytes| bytes == END) else {
        return Ok(false);
    };
    let mut lines = std::str::from_utf8(&inbox[..head])?.lines();
    let length = lines
        .find_map(|line| line.strip_prefix(LENGTH))
        .ok_or("a reply without a length")?;
    Ok(inbox.len() >= head + END.len() + length.parse::<usize>()?)
}

async fn reqwest_calls(client: &reqwest::Client, url: &str, calls: &AtomicU64) -> BenchResult<()> {
    let headers: HeaderMap = headers()
        .iter()
        .map(|(name, text)| Ok((HeaderName::from_static(name), HeaderValue::from_str(text)?)))
        .collect::<BenchResult<_>>()?;
    while let Some(number) = next(calls) {
        let request = client.post(format!("{url}{}", query(number))).headers(headers.clone());
        request.send().await?.error_for_status()?.bytes().await?;
    }
    Ok(())
}
