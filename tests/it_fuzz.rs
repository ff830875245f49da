//! The rules that the fuzz targets of `fuzz/` check, on made-up input: any bytes, and the seeds with edits that keep them
//! near to what is understood. `PROPTEST_CASES` sets the number of cases.

#[expect(unreachable_pub, reason = "the fuzz targets reach them")]
#[path = "../fuzz/src/lib.rs"]
mod rules;

use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use idvault::clock::FixedClock;
use idvault::host::Host;
use idvault::intake::{IntakeSettings, Item, Source};
use idvault::plain::clean;
use idvault::vendor::{CredentialsChain, CredentialsSettings};
use idvault::{error_chain, files, intake};
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// Bytes that a failure shows so that a person can read them.
#[derive(Clone)]
struct Bytes(Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// A step to one of a text's near neighbours.
#[derive(Debug, Clone)]
enum Edit {
    Insert(Index, Vec<u8>),
    Delete(Index, usize),
    Copy(Index, Index, usize),
}

impl Edit {
    fn any(pieces: &'static [&'static str]) -> impl Strategy<Value = Self> {
        let piece = prop_oneof![
            4 => prop::sample::select(pieces).prop_map(|piece| piece.as_bytes().to_vec()),
            1 => vec(any::<u8>(), 1..4),
        ];
        prop_oneof![
            (any::<Index>(), piece).prop_map(|(at, piece)| Self::Insert(at, piece)),
            (any::<Index>(), 1..40_usize).prop_map(|(at, length)| Self::Delete(at, length)),
            (any::<Index>(), any::<Index>(), 1..400_usize).prop_map(|(from, to, length)| Self::Copy(from, to, length)),
        ]
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        let range = |from: &Index, length: usize| {
            let start = from.index(bytes.len() + 1);
            start..(start + length).min(bytes.len())
        };
        match self {
            Self::Insert(at, piece) => {
                let at = range(at, 0);
                bytes.splice(at, piece.iter().copied());
            }
            Self::Delete(at, length) => {
                let gone = range(at, *length);
                bytes.drain(gone);
            }
            Self::Copy(from, to, length) => {
                let piece = bytes[range(from, *length)].to_vec();
                let at = range(to, 0);
                bytes.splice(at, piece);
            }
        }
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Any bytes, or a seed with up to eight edits.
fn input(target: &str, pieces: &'static [&'static str]) -> impl Strategy<Value = Bytes> + use<> {
    let edited = (prop::sample::select(seeds(target)), vec(Edit::any(pieces), 0..8));
    let edited = edited.prop_map(|(mut bytes, edits)| {
        for edit in &edits {
            edit.apply(&mut bytes);
        }
        bytes
    });
    prop_oneof![1 => vec(any::<u8>(), 0..200), 4 => edited].prop_map(Bytes)
}

const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\\"",
    "\\u00e9",
    "\\ud83d",
    "\\n",
    " ",
    "\n",
    "null",
    "true",
    "NaN",
    "-1.5e3",
    "\"Code\":\"Success\",",
    "\"Result\":",
    "\"Passed\":\"Y\",",
    "\"Passed\":\"P\",",
    "\"SubCode\":205,",
    "\"faceImg\":\"",
    "\"extraFaceImg\":[",
    "\"faceAge\":",
    "/9j/4AAQSkZJRgABAQAA",
    "<Error><Code>",
    "</Code>",
    "<![CDATA[",
    "\u{feff}",
    "é",
    "\u{202e}",
];
const CSV: &[&str] = &[
    "\"",
    "\"\"",
    ",",
    ";",
    "\t",
    "\n",
    "\r",
    "\r\n",
    " ",
    "transaction_id",
    "transaction_id,verified_at\n",
    "good1,\n",
    "\"good2\",x\n",
    "2026-11-01T09:30:00Z",
    "é",
    "\u{feff}",
    "=",
    "-",
    "\0",
];
const RECORDS: &[&str] = &[
    "\"",
    ",",
    ";",
    "\n",
    "\r\n",
    "TransactionId",
    "VerifyTime",
    "交易ID",
    "hks2,2026-11-01 09:30:00,",
    "2026/11/01 09:30",
    "FACE_LIVENESS",
    "ap-southeast-1",
    "Y",
    "205",
    "\u{feff}",
    "\u{1b}[2J",
    "=1+1",
    "PK\u{3}\u{4}",
    "PK\u{1}\u{2}",
    "PK\u{5}\u{6}",
    "<row r=\"3\">",
    "<c r=\"A2\" t=\"s\"><v>0</v></c>",
    "uniqueCount=\"9999999999\"",
    "\0",
];
const TOML: &[&str] = &[
    "[",
    "]",
    "[[",
    "\"",
    "'",
    "\"\"\"",
    "=",
    ".",
    "{",
    "}",
    ",",
    "\n",
    "#",
    " ",
    "\\u001b",
    "0",
    "-1",
    "1e400",
    "nan",
    "inf",
    "true",
    "\"6h\"",
    "\"unlimited\"",
    "'http://127.0.0.1:1'",
    "'http://example.com'",
    "qps = ",
    "concurrency = ",
    "[endpoints]\n",
    "[quotas]\n",
    "[quotas.regions]\n",
    "[quotas.products]\n",
    "é",
];
const WORDS: &[&str] = &[
    "=",
    "+",
    "-",
    "@",
    ";",
    ",",
    "'",
    "\"",
    "\t",
    "\r\n",
    "\u{1b}[",
    "\u{202e}",
    "http://",
    "https://",
    "127.0.0.1",
    "user:pass@",
    "/",
    "?",
    "5xx=",
    "0.5",
    "hang=",
    "6h",
    "ms",
    "d",
    "1e10",
    "nan",
    "-0",
    "unlimited",
    "é",
    "＝",
];

const CREDENTIALS: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    "\"",
    ":",
    "=",
    ",",
    "\n",
    " ",
    "#",
    "[default]\n",
    "[work]\n",
    "type = sts\n",
    "access_key_id = id\n",
    "access_key_secret = \n",
    "\"mode\":\"StsToken\",",
    "\"profiles\":[",
    "\"current\":\"default\",",
    "é",
    "\u{1b}[2J",
    "\u{202e}",
    "\0",
];

/// A workbook with this XML for its sheet and for its shared texts.
fn workbook(sheet: &[u8], shared: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(seeds("workbook").remove(0))).unwrap();
    let mut out = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
    for name in names {
        let mut bytes = Vec::new();
        std::io::copy(&mut zip.by_name(&name).unwrap(), &mut bytes).unwrap();
        let bytes = match name.as_str() {
            "xl/worksheets/sheet1.xml" => sheet,
            "xl/sharedStrings.xml" => shared,
            _ => &bytes,
        };
        out.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        out.write_all(bytes).unwrap();
    }
    out.finish().unwrap().into_inner()
}

/// Credentials of a home folder with these two files: they can be sent in a header, or the error steers nothing.
fn find_credentials(cli: &[u8], ini: &[u8]) {
    let home = tempfile::tempdir().unwrap();
    for (folder, name, bytes) in [(".aliyun", "config.json", cli), (".alibabacloud", "credentials", ini)] {
        let folder = home.path().join(folder);
        files::create_private_dir(&folder).unwrap();
        files::create_private(&folder.join(name))
            .unwrap()
            .write_all(bytes)
            .unwrap();
    }
    let env = [
        ("HOME", home.path().to_str().unwrap()),
        ("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true"),
    ];
    let host = Host {
        env: env.map(|(name, value)| (name.to_owned(), value.into())).into(),
        clock: Arc::new(FixedClock(Timestamp::UNIX_EPOCH)),
        stdout_is_terminal: false,
        stderr_is_terminal: false,
    };
    let chain = CredentialsChain::new(host, CredentialsSettings::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    match runtime.block_on(chain.get()) {
        Ok(found) => {
            let id = found.access_key_id();
            assert!(
                !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic()),
                "{id:?}"
            );
        }
        Err(error) => {
            let text = error_chain(&error);
            assert_eq!(clean(&text), text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replies(bytes in input("reply", JSON)) {
        rules::reply(&bytes.0);
    }

    #[test]
    fn json(bytes in input("json", JSON)) {
        rules::json(&bytes.0);
    }

    #[test]
    fn csv(bytes in input("csv", CSV)) {
        rules::csv(&bytes.0);
    }

    #[test]
    fn exports_of_records(bytes in input("records", RECORDS)) {
        rules::records(&bytes.0);
    }

    /// The same in the XML of a workbook, which edits of the packed bytes seldom reach.
    #[test]
    fn workbooks_of_records(sheet in input("sheet", RECORDS), shared in input("shared", RECORDS)) {
        rules::records(&workbook(&sheet.0, &shared.0));
    }

    #[test]
    fn configurations(bytes in input("config", TOML)) {
        rules::config(&bytes.0);
    }

    #[test]
    fn credentials_files(cli in input("credentials", CREDENTIALS), ini in input("credentials", CREDENTIALS)) {
        find_credentials(&cli.0, &ini.0);
    }

    #[test]
    fn words(bytes in input("words", WORDS)) {
        rules::words(&bytes.0);
    }

    /// What a well-kept library writes is read as it was meant, whatever stands in the columns that nobody asked for.
    #[test]
    fn what_the_csv_crate_writes_is_read(notes in vec(any::<String>(), 1..20), delimiter in prop::sample::select(b",;\t".as_slice())) {
        // The reader refuses NUL, and more lines than `MAX_ROW_LINES`.
        let notes: Vec<String> = notes.iter().map(|note| note.replace('\0', "")).collect();
        let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
        writer.write_record(["note", "transaction_id"]).unwrap();
        for (number, note) in notes.iter().enumerate() {
            writer.write_record([note, &format!("good{number}")]).unwrap();
        }
        let mut ids = Vec::new();
        let source = std::io::Cursor::new(writer.into_inner().unwrap());
        let settings = IntakeSettings::default();
        intake::read(&Source::Stdin, Box::new(source), &settings, &mut |item| {
            if let Item::Good { row, .. } = item {
                ids.push(row.transaction_id.to_string());
            }
            std::ops::ControlFlow::Continue(())
        }).unwrap();
        let expected: Vec<String> = (0..notes.len()).map(|number| format!("good{number}")).collect();
        prop_assert_eq!(ids, expected);
    }
}
