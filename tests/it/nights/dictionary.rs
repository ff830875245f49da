//! The data dictionary: `archive/dim/columns.parquet` describes the files that are there, and `docs/analyst/columns.md` is
//! what it says. `IDVAULT_WRITE_DOCS=1 cargo test --test it dictionary` writes that page.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;

use super::{Place, made_up, setting};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/analyst/columns.md");

type Row = BTreeMap<String, Field>;

fn text(row: &Row, name: &str) -> String {
    match &row[name] {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The page as it should be.
fn page(rows: &[Row]) -> String {
    let mut page =
        "# Columns of the archive\n\nEach run writes this table to `archive/dim/columns.parquet`. A column keeps \
                    its field id and its meaning. New columns are at the end.\n"
            .to_owned();
    for (dataset, title) in [
        ("verifications", "`verifications` and `verifications_undated`"),
        ("face_images", "`face_images` and `face_images_undated`"),
    ] {
        let head = "| id | column | type | null | since | personal | meaning |\n|---|---|---|---|---|---|---|";
        writeln!(page, "\n## {title}\n\n{head}").unwrap();
        for row in rows.iter().filter(|row| text(row, "dataset") == dataset) {
            let yes = |name: &str| if text(row, name) == "true" { "yes" } else { "" };
            let mut meaning = text(row, "description");
            for (name, label) in [("unit", "Unit"), ("vocabulary", "Values")] {
                if !text(row, name).is_empty() {
                    write!(meaning, " {label}: {}.", text(row, name)).unwrap();
                }
            }
            writeln!(
                page,
                "| {} | {} | {} | {} | {} | {} | {meaning} |",
                text(row, "field_id"),
                text(row, "column"),
                text(row, "type"),
                yes("nullable"),
                text(row, "since_schema_version"),
                yes("personal"),
            )
            .unwrap();
        }
    }
    page
}

#[test]
fn the_dictionary_describes_the_files_and_is_the_page_of_the_documents() {
    let place = Place::new();
    let source = place.write("pending.csv", made_up(20, 2, "FACE_LIVENESS"));
    place.night(&["--pending", &source, "--images"]);
    let dictionary = place.data().join("archive/dim/columns.parquet");
    let reader = SerializedFileReader::new(File::open(&dictionary).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    let rows: Vec<Row> = rows
        .map(|row| row.unwrap().into_columns().into_iter().collect())
        .collect();

    for dataset in ["verifications", "face_images"] {
        let files = place.archive_files();
        let file = files
            .iter()
            .find(|file| file.starts_with(&format!("{dataset}/")))
            .unwrap();
        let reader = SerializedFileReader::new(File::open(place.data().join("archive").join(file)).unwrap()).unwrap();
        let schema = reader.metadata().file_metadata().schema_descr().root_schema_ptr();
        let in_file = schema.get_fields().iter().map(|field| {
            let info = field.get_basic_info();
            (
                info.name().to_owned(),
                info.id().to_string(),
                field.is_optional().to_string(),
            )
        });
        let described = rows.iter().filter(|row| text(row, "dataset") == dataset);
        let described = described.map(|row| (text(row, "column"), text(row, "field_id"), text(row, "nullable")));
        let described = described.filter(|(name, ..)| !name.contains('.'));
        assert_eq!(in_file.collect::<Vec<_>>(), described.collect::<Vec<_>>());
    }

    let page = page(&rows);
    if setting("IDVAULT_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(std::path::Path::new(PAGE).parent().unwrap()).unwrap();
        std::fs::write(PAGE, &page).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(PAGE).unwrap(),
        page,
        "IDVAULT_WRITE_DOCS=1 writes it"
    );

    // A run that has nothing new to say leaves it alone, and nobody takes it for a file of the manifest.
    let before = std::fs::metadata(&dictionary).unwrap().modified().unwrap();
    let source = place.write("more.csv", made_up(30, 2, "FACE_LIVENESS"));
    place.night(&["--pending", &source]);
    assert_eq!(std::fs::metadata(&dictionary).unwrap().modified().unwrap(), before);
    place.idvault(&["verify", "--read-data"]).expect(0);
}
