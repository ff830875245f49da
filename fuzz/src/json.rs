//! The vendor's JSON, against a reader of JSON that others keep.

use idvault::vendor::json::{MAX_VALUES, Node, Value, compact, strict, tolerant, unescape};

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
        assert!(same(ours, theirs), "{text:?}: {ours:?}");
    }
    if let Some(node) = &strictly {
        let forgiving = tolerantly.as_ref().expect("what is valid is read tolerantly too");
        assert_eq!(node.raw, forgiving.raw);
        let compact = compact(node.raw);
        let again = strict(&compact).expect("without blanks it is still valid");
        assert_eq!((again.raw, &*self::compact(&compact)), (&*compact, &*compact));
        if let Some(theirs) = &theirs {
            assert!(same(&again, theirs), "{compact:?}");
        }
    }
    if let Some(node) = &tolerantly {
        assert!(text.contains(node.raw));
        assert!(
            parts(node).all(
                |part| node.raw.contains(part.raw) && tolerant(part.raw).is_some_and(|again| again.raw == part.raw)
            )
        );
    }
    if !text.contains('\\') {
        assert_eq!(unescape(&text), text);
    }
}

fn parts<'n, 'a>(node: &'n Node<'a>) -> Box<dyn Iterator<Item = &'n Node<'a>> + 'n> {
    match &node.value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(members) => Box::new(members.iter().map(|(_, value)| value)),
        _ => Box::new(std::iter::empty()),
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
fn same(ours: &Node<'_>, theirs: &serde_json::Value) -> bool {
    match (&ours.value, theirs) {
        (Value::Null, serde_json::Value::Null)
        | (Value::Deep, serde_json::Value::Array(_) | serde_json::Value::Object(_)) => true,
        (Value::Bool(ours), serde_json::Value::Bool(theirs)) => ours == theirs,
        (Value::Number(digits), serde_json::Value::Number(theirs)) => {
            // serde rounds a long number in its own way.
            let (ours, theirs) = (digits.parse().unwrap_or(f64::NAN), theirs.as_f64().unwrap_or(f64::NAN));
            (ours - theirs).abs() <= ours.abs() * 4.0 * f64::EPSILON
        }
        (Value::Text(_), serde_json::Value::String(theirs)) => ours.text().is_some_and(|ours| ours == *theirs),
        (Value::Array(ours), serde_json::Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
        }
        (Value::Object(ours), serde_json::Value::Object(theirs)) => theirs.iter().all(|(name, theirs)| {
            let mut members = ours.iter().rev();
            members
                .find(|(key, _)| unescape(key) == *name)
                .is_some_and(|(_, ours)| same(ours, theirs))
        }),
        _ => false,
    }
}
