//! The vendor's JSON, against a reader of JSON that others keep.

use idvault::vendor::json::{Kind, MAX_VALUES, Node, compact, strict, tolerant, unescape};

/// What serde reads, the strict reader reads as the same; what the strict one reads, the tolerant one reads as the same;
/// every value's text is a part of the whole, and can be read by itself.
pub fn json(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (strictly, tolerantly) = (strict(&text), tolerant(&text));
    let theirs = serde_json::from_str(&text)
        .ok()
        .filter(|value| count(value) <= MAX_VALUES);
    if let Some(theirs) = &theirs {
        let ours = strictly.as_ref().expect("what serde reads is read");
        assert!(same(ours.root(), theirs), "{text:?}: {ours:?}");
    }
    if let Some(json) = &strictly {
        let raw = json.root().raw();
        let forgiving = tolerantly.as_ref().expect("what is valid is read tolerantly too");
        assert_eq!(raw, forgiving.root().raw());
        let compact = compact(raw);
        let again = strict(&compact).expect("without blanks it is still valid");
        assert_eq!((again.root().raw(), &*self::compact(&compact)), (&*compact, &*compact));
        if let Some(theirs) = &theirs {
            assert!(same(again.root(), theirs), "{compact:?}");
        }
    }
    if let Some(json) = &tolerantly {
        let raw = json.root().raw();
        assert!(text.contains(raw));
        let reads_alone = |part: &str| tolerant(part).is_some_and(|again| again.root().raw() == part);
        assert!(
            json.root()
                .items()
                .all(|part| raw.contains(part.raw()) && reads_alone(part.raw()))
        );
    }
    if !text.contains('\\') {
        assert_eq!(unescape(&text), text);
    }
}

fn count(value: &serde_json::Value) -> usize {
    1 + match value {
        serde_json::Value::Array(items) => items.iter().map(count).sum(),
        serde_json::Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// Whether both read the same. Where a name comes twice, serde keeps the last.
fn same(ours: Node<'_, '_>, theirs: &serde_json::Value) -> bool {
    match (ours.kind(), theirs) {
        (Kind::Null, serde_json::Value::Null)
        | (Kind::Deep, serde_json::Value::Array(_) | serde_json::Value::Object(_)) => true,
        (Kind::Bool(ours), serde_json::Value::Bool(theirs)) => ours == *theirs,
        (Kind::Number, serde_json::Value::Number(theirs)) => {
            // serde rounds a long number in its own way.
            let (ours, theirs) = (
                ours.raw().parse().unwrap_or(f64::NAN),
                theirs.as_f64().unwrap_or(f64::NAN),
            );
            (ours - theirs).abs() <= ours.abs() * 4.0 * f64::EPSILON
        }
        (Kind::Text { .. }, serde_json::Value::String(theirs)) => ours.text().is_some_and(|ours| ours == *theirs),
        (Kind::Array, serde_json::Value::Array(theirs)) => {
            ours.items().count() == theirs.len() && ours.items().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
        }
        (Kind::Object, serde_json::Value::Object(theirs)) => theirs.iter().all(|(name, theirs)| {
            let called = ours.items().filter(|member| member.name() == *name);
            called.last().is_some_and(|ours| same(ours, theirs))
        }),
        _ => false,
    }
}
