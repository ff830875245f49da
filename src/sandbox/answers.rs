//! What the sandbox knows of a transaction: it follows from the id alone, so that a test can tell what is expected.
//!
//! - [`Mix`]: which answers there are
//! - [`Kind`]: what the answer says
//! - [`Oddity`]: what is strange about the way it says it, as it is with the real service now and then
//! - [`Canned`]: the answer itself
//! - [`answer_for`], [`kind_of`], [`oddity_of`]: those of an id in the realistic mix

use serde_json::json;

use super::dice::Dice;
use super::errors::{Form, JSON, Refusal, request_id};
use super::result;

/// Streams of chance that must not depend on each other.
const KIND_SALT: u64 = 1;
const ODDITY_SALT: u64 = 2;
const REQUEST_SALT: u64 = 3;

/// Which answers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mix {
    /// About 93 % final, the rest pending or in error.
    #[default]
    Realistic,
    /// Every transaction is final.
    AllFinal,
}

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Success, Passed Y, sub code 200.
    Passed,
    /// Success, Passed N, with this sub code.
    Failed(&'static str),
    /// Success, Passed P: not final.
    Undecided,
    /// 404 `ProcessNotCompleted`.
    NotCompleted,
    /// 400 `TransactionIdInvalid`.
    IdInvalid,
    /// 400 `InvalidParameter`.
    ParameterInvalid,
    /// 401 `Forbidden.ExceptionRepeatedInvoke`.
    RepeatedInvoke,
}

/// Out of how many the shares of [`KINDS`] are.
const KINDS_TOTAL: u32 = 100_000;

/// How many of the shares are final; these come first in [`KINDS`].
const FINALS_TOTAL: u32 = 93_000;

/// How often each kind comes up.
const KINDS: [(Kind, u32); 11] = [
    (Kind::Passed, 79_500),
    (Kind::Failed("204"), 5_000),
    (Kind::Failed("205"), 4_000),
    (Kind::Failed("206"), 2_500),
    (Kind::Failed("233"), 1_800),
    // No sub code of the page: it must not be guessed billed or unbilled.
    (Kind::Failed("299"), 200),
    (Kind::NotCompleted, 4_000),
    (Kind::IdInvalid, 1_500),
    (Kind::Undecided, 1_000),
    (Kind::ParameterInvalid, 300),
    (Kind::RepeatedInvoke, 200),
];

/// What is strange about an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Oddity {
    /// `ExtFaceInfo` is an object in place of a string.
    ObjectForString,
    /// `ExtFaceInfo` is JSON in a JSON string in a JSON string.
    JsonTwice,
    /// Scores are strings.
    ScoresAsStrings,
    /// `faceAge` is a number.
    AgeAsNumber,
    /// The members of `ExtFaceInfo` begin with a capital letter.
    PascalCase,
    /// Some members are null.
    Nulls,
    /// `ExtFaceInfo` ends in a comma: not JSON.
    TrailingComma,
    /// `extraFaceImg` has further images, where images are asked for.
    ExtraImages,
    /// `duplicateFace` lacks a comma, as on the vendor's page.
    DuplicateFaceBroken,
    /// `duplicateFace` is an array in place of a string.
    DuplicateFaceArray,
    /// An error whose keys begin with a lower-case letter.
    LowerCaseError,
    /// An error written as XML.
    XmlError,
    /// An error with HTTP status 200.
    ErrorWith200,
}

/// Oddities of final answers, per mille.
const ODDITIES: [(Oddity, u32); 8] = [
    (Oddity::ObjectForString, 3),
    (Oddity::JsonTwice, 3),
    (Oddity::ScoresAsStrings, 4),
    (Oddity::AgeAsNumber, 3),
    (Oddity::PascalCase, 3),
    (Oddity::Nulls, 4),
    (Oddity::TrailingComma, 2),
    (Oddity::ExtraImages, 3),
];

/// Oddities of final answers with a duplicate face, per mille of those.
const DUPLICATE_ODDITIES: [(Oddity, u32); 2] = [(Oddity::DuplicateFaceBroken, 150), (Oddity::DuplicateFaceArray, 150)];

/// Oddities of errors, per mille.
const ERROR_ODDITIES: [(Oddity, u32); 3] = [
    (Oddity::LowerCaseError, 8),
    (Oddity::XmlError, 8),
    (Oddity::ErrorWith200, 8),
];

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canned {
    /// The HTTP status.
    pub http_status: u16,
    /// The content type.
    pub content_type: &'static str,
    /// The id of the exchange, in the header and in the body.
    pub request_id: String,
    /// The body.
    pub body: String,
}

/// The answer for a transaction in the realistic mix.
pub fn answer_for(transaction_id: &str, want_image: bool) -> Canned {
    Mix::Realistic.answer_for(transaction_id, want_image)
}

/// What the answer for a transaction says in the realistic mix.
pub fn kind_of(transaction_id: &str) -> Kind {
    Mix::Realistic.kind_of(transaction_id)
}

/// What is strange about the answer for a transaction in the realistic mix.
pub fn oddity_of(transaction_id: &str) -> Option<Oddity> {
    Mix::Realistic.oddity_of(transaction_id)
}

impl Mix {
    /// What the answer for a transaction says.
    pub fn kind_of(self, transaction_id: &str) -> Kind {
        let total = match self {
            Self::Realistic => KINDS_TOTAL,
            Self::AllFinal => FINALS_TOTAL,
        };
        let drawn = Dice::of_text(transaction_id, KIND_SALT).pick(&KINDS, total);
        drawn.unwrap_or(Kind::Passed)
    }

    /// What is strange about the answer for a transaction.
    pub fn oddity_of(self, transaction_id: &str) -> Option<Oddity> {
        let mut dice = Dice::of_text(transaction_id, ODDITY_SALT);
        match self.kind_of(transaction_id) {
            Kind::Failed("233") => dice
                .pick(&DUPLICATE_ODDITIES, 1000)
                .or_else(|| dice.pick(&ODDITIES, 1000)),
            Kind::Passed | Kind::Failed(_) => dice.pick(&ODDITIES, 1000),
            Kind::Undecided => None,
            Kind::NotCompleted | Kind::IdInvalid | Kind::ParameterInvalid | Kind::RepeatedInvoke => {
                dice.pick(&ERROR_ODDITIES, 1000)
            }
        }
    }

    /// The answer for a transaction.
    pub fn answer_for(self, transaction_id: &str, want_image: bool) -> Canned {
        let kind = self.kind_of(transaction_id);
        let oddity = self.oddity_of(transaction_id);
        let request_id = request_id(&mut Dice::of_text(transaction_id, REQUEST_SALT));
        if let Some(refusal) = kind.error() {
            return error(&refusal, oddity, request_id);
        }
        let result = result::of(transaction_id, kind, oddity, want_image);
        let body = json!({"RequestId": request_id, "Code": "Success", "Message": "success", "Result": result});
        Canned {
            http_status: 200,
            content_type: JSON,
            request_id,
            body: body.to_string(),
        }
    }
}

impl Kind {
    /// Whether it will never change: Passed Y or N.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Passed | Self::Failed(_))
    }

    /// The sub code of a final answer.
    pub const fn sub_code(self) -> Option<&'static str> {
        match self {
            Self::Passed => Some("200"),
            Self::Failed(sub_code) => Some(sub_code),
            _ => None,
        }
    }

    /// The body's `Code`.
    pub fn call_code(self) -> &'static str {
        self.error().map_or("Success", |refusal| refusal.code)
    }

    /// Whether the scan of the face succeeded, so that there is an image to be asked for.
    pub fn has_image(self) -> bool {
        // 205 is an attack and 206 a refusal of the device: no scan succeeded there.
        matches!(self, Self::Passed | Self::Failed("204" | "233"))
    }

    fn error(self) -> Option<Refusal> {
        let (http_status, code, message) = match self {
            Self::Passed | Self::Failed(_) | Self::Undecided => return None,
            Self::NotCompleted => (
                404,
                "ProcessNotCompleted",
                "The entire authentication process is not completed.",
            ),
            Self::IdInvalid => (400, "TransactionIdInvalid", "Invalid Transaction ID."),
            Self::ParameterInvalid => (400, "InvalidParameter", "Invalid parameter."),
            Self::RepeatedInvoke => (
                401,
                "Forbidden.ExceptionRepeatedInvoke",
                "The same failing request was made too often.",
            ),
        };
        Some(Refusal::new(http_status, code, message))
    }
}

fn error(refusal: &Refusal, oddity: Option<Oddity>, request_id: String) -> Canned {
    let form = match oddity {
        Some(Oddity::LowerCaseError) => Form::LowerCase,
        Some(Oddity::XmlError) => Form::Xml,
        _ => Form::Usual,
    };
    let http_status = match oddity {
        Some(Oddity::ErrorWith200) => 200,
        _ => refusal.http_status,
    };
    Canned {
        http_status,
        content_type: form.content_type(),
        body: refusal.body(form, &request_id),
        request_id,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn ids() -> impl Iterator<Item = String> {
        (0..20_000).map(|n| format!("hks{n:029}"))
    }

    #[test]
    fn the_shares_add_up() {
        assert_eq!(KINDS.iter().map(|(_, share)| share).sum::<u32>(), KINDS_TOTAL);
        let finals = KINDS.iter().filter(|(kind, _)| kind.is_final());
        assert_eq!(finals.map(|(_, share)| share).sum::<u32>(), FINALS_TOTAL);
        assert!(
            KINDS.is_sorted_by_key(|(kind, _)| !kind.is_final()),
            "finals come first"
        );
    }

    #[test]
    fn over_many_ids_each_kind_and_oddity_has_its_share() {
        let mut kinds: HashMap<Kind, u32> = HashMap::new();
        let mut oddities: HashMap<Oddity, u32> = HashMap::new();
        for id in ids() {
            *kinds.entry(kind_of(&id)).or_default() += 1;
            if let Some(oddity) = oddity_of(&id) {
                *oddities.entry(oddity).or_default() += 1;
            }
        }
        for (kind, share) in KINDS {
            let expected = share / 5;
            let slack = 20 + expected / 10;
            let seen = kinds.get(&kind).copied().unwrap_or_default();
            assert!(
                seen.abs_diff(expected) <= slack,
                "{kind:?}: {seen}, expected {expected}"
            );
        }
        assert_eq!(oddities.len(), 13, "{oddities:?}");
    }

    #[test]
    fn in_the_other_mix_every_id_is_final() {
        assert!(ids().all(|id| Mix::AllFinal.kind_of(&id).is_final()));
    }

    #[test]
    fn an_id_is_always_answered_alike() {
        for id in ids().take(50) {
            assert_eq!(answer_for(&id, true), answer_for(&id, true));
        }
    }

    #[test]
    fn a_body_says_what_its_kind_says() {
        for id in ids().take(2_000) {
            let (kind, answer) = (kind_of(&id), answer_for(&id, false));
            assert!(answer.body.contains(kind.call_code()), "{}", answer.body);
            assert!(answer.body.contains(&answer.request_id));
            if answer.content_type != JSON {
                continue;
            }
            let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
            let result = body.get("Result");
            assert_eq!(result.is_some(), kind.call_code() == "Success");
            if let (Some(result), Some(sub_code)) = (result, kind.sub_code()) {
                assert_eq!(result["SubCode"], sub_code);
                assert_eq!(result["Passed"], if sub_code == "200" { "Y" } else { "N" });
            }
        }
    }
}
