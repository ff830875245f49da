//! SQLite sources: what is read, what is refused, and that the file stays as it is.

use std::path::PathBuf;

use tempfile::TempDir;

use super::super::{ColumnNames, Source};
use super::*;
use crate::record::Pending;

struct Database {
    _dir: TempDir,
    path: PathBuf,
}

impl Database {
    fn new(sql: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.sqlite");
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        Self { _dir: dir, path }
    }

    fn take(&self, settings: &IntakeSettings) -> Result<(Vec<Pending>, Vec<Rejected>), IntakeError> {
        let source = Source::parse(self.path.to_str().unwrap()).unwrap();
        assert_eq!(source, Source::Sqlite(self.path.clone()));
        take(&source, settings)
    }

    fn take_query(&self, query: &str) -> Result<(Vec<Pending>, Vec<Rejected>), IntakeError> {
        self.take(&IntakeSettings {
            sqlite_query: Some(query.to_owned()),
            ..IntakeSettings::default()
        })
    }
}

fn take(source: &Source, settings: &IntakeSettings) -> Result<(Vec<Pending>, Vec<Rejected>), IntakeError> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    super::super::read(source, Box::new(std::io::empty()), settings, &mut |item| {
        match item {
            Item::Good { line, row, unread } => {
                bad.extend(unread.map(|reason| Rejected {
                    source: source.to_string(),
                    line,
                    transaction_id: Some(row.transaction_id.to_string()),
                    reason,
                }));
                good.push(row);
            }
            Item::Bad(rejected) => bad.push(rejected),
        }
        ControlFlow::Continue(())
    })?;
    Ok((good, bad))
}

fn ids(rows: &[Pending]) -> Vec<&str> {
    rows.iter().map(|row| row.transaction_id.as_str()).collect()
}

#[test]
fn the_samples_give_the_same_rows_as_csv_and_as_sqlite() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let csv = Source::Csv(samples.join("pending.csv"));
    let database = Database::new(&std::fs::read_to_string(samples.join("pending.sql")).unwrap());
    let settings = IntakeSettings::default();
    let (rows, bad) = take(&csv, &settings).unwrap();
    assert_eq!((rows.len(), bad.len()), (500, 0));
    assert_eq!(database.take(&settings).unwrap(), (rows, bad));
}

#[test]
fn bad_rows_are_numbered_and_the_rest_goes_on() {
    let database = Database::new(
        "CREATE TABLE pending (note, Transaction_ID, verified_at);
         INSERT INTO pending VALUES
            (x'00', 'a1', '2026-11-01T09:30:00Z'), (NULL, x'6132', NULL), (1.5, 'a3', 1793525400),
            (NULL, NULL, NULL), (NULL, 'a5', 1.5), (NULL, CAST(x'ff' AS TEXT), NULL), (NULL, 'a7', 'soon'), (NULL, 8, NULL);",
    );
    let (good, bad) = database.take(&IntakeSettings::default()).unwrap();
    assert_eq!(ids(&good), ["a1", "a3", "a5", "a7", "8"]);
    assert_eq!(good[0].verified_at, good[1].verified_at);
    let name = database.path.display().to_string();
    assert!(bad.iter().all(|rejected| rejected.source == name));
    let reasons: Vec<String> = bad.iter().map(|bad| format!("{} {}", bad.line, bad.reason)).collect();
    insta::assert_snapshot!(reasons.join("\n"), @r#"
    2 transaction_id is a BLOB; text or an INTEGER is needed
    4 transaction_id is empty
    5 verified_at is a REAL number; text or an INTEGER is needed
    6 transaction_id is not UTF-8 text
    7 verified_at "soon" is not a date and time such as 2026-11-01T09:30:00Z or 2026-11-01 17:30:00+08:00
    "#);
}

#[test]
fn columns_can_be_mapped_and_a_query_set() {
    let database = Database::new(
        "CREATE TABLE checks (vendor_id TEXT, done INT);
         INSERT INTO checks VALUES ('a1', 1), ('a2', 0), ('a3', 0);",
    );
    let settings = IntakeSettings {
        columns: ColumnNames {
            transaction_id: "Vendor_Id".to_owned(),
            ..ColumnNames::default()
        },
        sqlite_query: Some("SELECT * FROM checks WHERE NOT done; -- open ones".to_owned()),
        ..IntakeSettings::default()
    };
    assert_eq!(ids(&database.take(&settings).unwrap().0), ["a2", "a3"]);
}

#[test]
fn a_view_serves_as_the_table() {
    let database = Database::new(
        "CREATE TABLE checks (id TEXT); INSERT INTO checks VALUES ('a1');
         CREATE VIEW Pending AS SELECT id AS transaction_id FROM checks;",
    );
    assert_eq!(ids(&database.take(&IntakeSettings::default()).unwrap().0), ["a1"]);
}

#[test]
fn a_query_that_does_more_than_read_is_refused_and_the_file_stays_as_it_is() {
    let database = Database::new("CREATE TABLE pending (transaction_id); INSERT INTO pending VALUES ('a1');");
    let before = std::fs::read(&database.path).unwrap();
    let other = database.path.with_file_name("other.sqlite");
    let attach = format!("ATTACH '{}' AS other", other.display());
    for query in [
        "DELETE FROM pending",
        "DELETE FROM pending RETURNING transaction_id",
        "INSERT INTO pending VALUES ('a2')",
        "DROP TABLE pending",
        "SELECT * FROM pending; DELETE FROM pending",
        "VACUUM",
        "BEGIN",
        &attach,
        "",
    ] {
        let refused = database.take_query(query);
        assert!(
            matches!(refused, Err(IntakeError::NotARead { .. })),
            "{query}: {refused:?}"
        );
    }
    assert!(database.take_query("SELECT * FROM pending").is_ok());
    assert_eq!(std::fs::read(&database.path).unwrap(), before);
    assert!(!other.exists());
}

#[test]
fn a_database_that_does_not_fit_is_explained() {
    let error = |sql: &str, query: Option<&str>| {
        let database = Database::new(sql);
        let settings = IntakeSettings {
            sqlite_query: query.map(str::to_owned),
            ..IntakeSettings::default()
        };
        let error = database.take(&settings).unwrap_err().to_string();
        error.replace(&database.path.display().to_string(), "FILE")
    };
    let errors = [
        error("CREATE TABLE a (x); CREATE TABLE b (x);", None),
        error("CREATE TABLE pending (id, x);", None),
        error(
            "CREATE TABLE a (transaction_id);",
            Some("SELECT *, transaction_id FROM a"),
        ),
        error("CREATE TABLE a (x);", Some("SELECT * FROM nowhere")),
        error("CREATE TABLE a (x);", Some("DELETE FROM a")),
    ];
    insta::assert_snapshot!(errors.join("\n"), @r#"
    FILE has no table pending; it has "a", "b". Create a table or view of that name, or set intake.sqlite_query in the configuration to a query that selects the rows
    FILE has no column "transaction_id"; it has "id", "x". Name the column of the ids so (a CSV file's first line is its header), or set intake.columns.transaction_id in the configuration to the name that it has
    FILE has more than one column "transaction_id"; rename or remove all but one
    failed to query FILE; check the file, and intake.sqlite_query if it is set
    the query for FILE must be one statement that only reads; set intake.sqlite_query to a SELECT
    "#);
}

/// SQLite may put its log beside it, empty; the database itself stays as it is to the byte.
#[test]
fn a_database_with_a_log_is_not_changed_either() {
    let database = Database::new("PRAGMA journal_mode = WAL; CREATE TABLE pending (transaction_id);");
    let before = std::fs::read(&database.path).unwrap();
    database.take(&IntakeSettings::default()).unwrap();
    assert_eq!(std::fs::read(&database.path).unwrap(), before);
    let log = std::fs::metadata(database.path.with_file_name("app.sqlite-wal"));
    assert!(log.map_or(true, |log| log.len() == 0));
}

/// A row that the company's program has written and not yet moved from its write-ahead log counts too.
#[test]
fn a_database_in_use_is_read_with_its_log() {
    let database = Database::new("PRAGMA journal_mode = WAL; CREATE TABLE pending (transaction_id);");
    let writer = Connection::open(&database.path).unwrap();
    writer
        .execute_batch("BEGIN; INSERT INTO pending VALUES ('a1'); COMMIT; BEGIN; INSERT INTO pending VALUES ('a2');")
        .unwrap();
    assert_eq!(ids(&database.take(&IntakeSettings::default()).unwrap().0), ["a1"]);
}
