//! The columns of the archive's files: one table for the schema, for how a column is stored, and for its description.
//!
//! A column keeps its field id and its meaning for good. A new column goes to the end, and is a new
//! [`SCHEMA_VERSION`]. Older files are read as if it were null in them.
//!
//! - [`Column`]: one of them; [`Kind`]: its type; [`Storage`]: its encoding and compression
//! - [`of`]: those of a dataset, in the order in which they are written

use super::Dataset;

/// The version of the columns below.
pub const SCHEMA_VERSION: u32 = 2;

/// A column of a dataset.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    /// The field id in the file: readers that go by ids find the column under any name.
    pub(super) id: i32,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Whether every row has a value.
    pub(super) required: bool,
    pub(super) storage: Storage,
    /// Whether the least and the greatest value stand in the footer, which catalogs copy and tools print.
    pub(super) statistics: bool,
    /// Whether it says something about a person, beyond the ids.
    pub(super) personal: bool,
    /// The schema version that brought it.
    pub(super) since: u32,
    pub(super) unit: &'static str,
    /// The values that occur, where they are few.
    pub(super) vocabulary: &'static str,
    pub(super) description: &'static str,
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bool,
    /// Microseconds in UTC.
    Instant,
    Date,
    Int16,
    Int64,
    Float64,
    Binary,
    /// A list of [`DUPLICATE_FACE`].
    DuplicateFaces,
}

/// How a column's values are stored. Only plain and dictionary encodings: every reader has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Storage {
    /// Plain and compressed: most values differ.
    Plain,
    /// Plain and not compressed: a bit a row, or a format that is compressed already.
    Uncompressed,
    /// A dictionary, compressed.
    Dictionary,
    /// A dictionary, not compressed: it leaves a byte or two a row. Not for what may be null in every row of a file:
    /// fastparquet can't read an empty dictionary.
    FewValues,
}

const fn column(id: i32, name: &'static str, kind: Kind, description: &'static str) -> Column {
    Column {
        id,
        name,
        kind,
        required: false,
        storage: match kind {
            Kind::Bool => Storage::Uncompressed,
            _ => Storage::Plain,
        },
        statistics: true,
        personal: false,
        since: 1,
        unit: "",
        vocabulary: "",
        description,
    }
}

impl Column {
    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    const fn stored(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }

    /// Its values are random, so nobody looks for a range of them.
    const fn random(mut self) -> Self {
        self.statistics = false;
        self
    }

    /// It tells of a person, so no value of it stands in the footer.
    const fn personal(mut self) -> Self {
        self.personal = true;
        self.statistics = false;
        self
    }

    const fn since(mut self, version: u32) -> Self {
        self.since = version;
        self
    }

    const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    const fn of(mut self, vocabulary: &'static str) -> Self {
        self.vocabulary = vocabulary;
        self
    }

    /// The type as Parquet's readers call it.
    pub(super) fn type_name(&self) -> &str {
        match self.kind {
            Kind::Text => "string",
            Kind::Bool => "boolean",
            Kind::Instant => "timestamp(us, UTC)",
            Kind::Date => "date",
            Kind::Int16 => "int16",
            Kind::Int64 => "int64",
            Kind::Float64 => "double",
            Kind::Binary => "binary",
            Kind::DuplicateFaces => "list<struct>",
        }
    }
}

/// The columns of `dataset`, in the order in which they are written.
pub(super) const fn of(dataset: Dataset) -> &'static [Column] {
    match dataset {
        Dataset::Verifications => &VERIFICATIONS,
        Dataset::FaceImages => &FACE_IMAGES,
    }
}

use Kind::{Binary, Bool, Date, DuplicateFaces, Float64, Instant, Int16, Int64, Text};
use Storage::{Dictionary, FewValues, Uncompressed};

static VERIFICATIONS: [Column; 38] = [
    column(1, "transaction_id", Text, "The vendor's id of the verification.").required(),
    column(
        2,
        "merchant_biz_id",
        Text,
        "The company's own id; derived from the transaction id where no source named one.",
    )
    .required(),
    column(3, "product_code", Text, "The vendor's product, such as FACE_LIVENESS.")
        .required()
        .stored(FewValues),
    column(
        4,
        "region",
        Text,
        "The vendor's region that made the verification, such as ap-southeast-1.",
    )
    .required()
    .stored(FewValues),
    column(
        5,
        "verified_at",
        Instant,
        "When the verification was made; null where no source said it.",
    )
    .unit("UTC"),
    column(
        6,
        "expires_at",
        Instant,
        "When the vendor deletes the result: 30 days after verified_at.",
    )
    .unit("UTC"),
    column(7, "fetched_at", Instant, "When the vendor's reply came.")
        .required()
        .unit("UTC"),
    column(8, "request_id", Text, "The vendor's id of the exchange.").random(),
    column(9, "passed", Bool, "The verdict.").required(),
    column(
        10,
        "sub_code",
        Text,
        "Why; its meaning belongs to the product: see `idvault subcodes`.",
    )
    .required()
    .stored(FewValues),
    column(
        11,
        "billed",
        Bool,
        "Whether the vendor bills it, as known at publication; null where the table of sub codes did not say.",
    ),
    column(12, "face_attack", Bool, "A liveness attack was detected."),
    column(
        13,
        "face_registered",
        Bool,
        "The face was registered in the company's face database.",
    ),
    column(14, "face_attack_score", Float64, "How likely an attack is.").unit("0 to 100"),
    column(
        15,
        "guard_risk_score",
        Float64,
        "The vendor's risk score of the device.",
    )
    .unit("0 to 100"),
    column(16, "face_comparison_score", Float64, "How alike the two faces are.").unit("0 to 100"),
    column(17, "face_age", Int16, "The age that the vendor estimates.")
        .unit("years")
        .personal(),
    column(18, "face_gender", Text, "The gender that the vendor estimates.")
        .of("M, F")
        .personal(),
    column(19, "face_registration_id", Text, "The id of the registered face.").personal(),
    column(20, "device_token", Text, "The vendor's token of the device.").personal(),
    column(
        21,
        "video_url",
        Text,
        "Where the video was; the address was valid for minutes.",
    )
    .personal(),
    column(
        22,
        "duplicate_faces",
        DuplicateFaces,
        "Similar faces in the company's face database; null where the vendor said nothing.",
    )
    .personal(),
    column(
        23,
        "face_image_sha256",
        Text,
        "SHA-256 of the first face in lower-case hex, where faces were fetched.",
    )
    .random(),
    column(24, "ext_face_info", Text, "ExtFaceInfo as it came, without images.").personal(),
    column(25, "ekyc_result", Text, "EkycResult as it came.").personal(),
    column(26, "ext_basic_info", Text, "ExtBasicInfo as it came, without images.").personal(),
    column(27, "ext_id_info", Text, "ExtIdInfo as it came, without images.").personal(),
    column(28, "ext_info", Text, "ExtInfo as it came, without images.").personal(),
    column(29, "ext_risk_info", Text, "ExtRiskInfo as it came, without images.").personal(),
    column(30, "ext_source_info", Text, "ExtSourceInfo as it came, without images.").personal(),
    column(31, "parse_status", Text, "How much of the reply could be read.")
        .of("ok, partial (a member could not be read), unparsed (not JSON)")
        .stored(FewValues),
    column(32, "reply_sha256", Text, "SHA-256 of the raw reply in lower-case hex.").random(),
    column(33, "run_id", Text, "The run that fetched it.").stored(FewValues),
    column(
        34,
        "billing_date",
        Date,
        "The billing day, as the folder's name has it; null in verifications_undated.",
    )
    .unit("the billing zone's day, UTC+8 by default")
    .since(2),
    column(
        35,
        "business_unit",
        Text,
        "Who pays for it inside the company, where the pending source named it.",
    )
    .since(2),
    column(
        36,
        "video_sha256",
        Text,
        "SHA-256 of the video in lower-case hex, where it was kept.",
    )
    .random()
    .since(2),
    column(37, "video_bytes", Int64, "Length of the video, where it was kept.")
        .unit("bytes")
        .since(2),
    column(
        38,
        "video_encrypted_sha256",
        Text,
        "SHA-256 of the encrypted video file in lower-case hex, where it was encrypted.",
    )
    .random()
    .since(2),
];

static FACE_IMAGES: [Column; 6] = [
    column(1, "transaction_id", Text, "The vendor's id of the verification.").required(),
    column(
        2,
        "image",
        Binary,
        "The face: an image file, or an age file where recipients are configured.",
    )
    .required()
    .stored(Uncompressed)
    .personal(),
    column(
        3,
        "sha256",
        Text,
        "SHA-256 of the image in lower-case hex, of the plain one where it is encrypted.",
    )
    .required()
    .random(),
    column(4, "media_type", Text, "What the image's first bytes look like.")
        .required()
        .of("image/jpeg, image/png, image/webp, application/octet-stream")
        .stored(FewValues),
    column(
        5,
        "billing_date",
        Date,
        "The billing day, as the folder's name has it; null in face_images_undated.",
    )
    .unit("the billing zone's day, UTC+8 by default")
    .since(2),
    column(
        6,
        "encrypted_sha256",
        Text,
        "SHA-256 of the age file in lower-case hex; null where the image is plain.",
    )
    .random()
    .since(2),
];

/// The id of the element of `duplicate_faces`.
pub(super) const DUPLICATE_FACE_ID: i32 = 101;

/// The members of an element of `duplicate_faces`.
pub(super) static DUPLICATE_FACE: [Column; 4] = [
    column(102, "face_group_code", Text, "The group of the similar face.").stored(Dictionary),
    column(103, "face_id", Text, "The id of the similar face.").personal(),
    column(104, "merchant_user_id", Text, "The company's user with that face.").personal(),
    column(105, "score", Float64, "How alike the two faces are.").unit("0 to 100"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_and_names_are_unique_and_a_new_column_is_at_the_end_and_may_be_null() {
        for dataset in Dataset::ALL {
            let columns = of(dataset);
            let ids: BTreeSet<i32> = columns.iter().map(|column| column.id).collect();
            let names: BTreeSet<&str> = columns.iter().map(|column| column.name).collect();
            assert_eq!((ids.len(), names.len()), (columns.len(), columns.len()));
            assert!(columns.is_sorted_by_key(|column| (column.since, column.id)));
            assert!(columns.iter().all(|column| column.since == 1 || !column.required));
            assert!(columns.iter().all(|column| column.since <= SCHEMA_VERSION));
        }
    }

    #[test]
    fn a_description_is_one_or_two_short_sentences() {
        let all = Dataset::ALL.into_iter().flat_map(of).chain(&DUPLICATE_FACE);
        for column in all {
            assert!(column.description.ends_with('.'), "{}", column.name);
            assert!(column.description.split_whitespace().count() <= 25, "{}", column.name);
        }
    }
}
