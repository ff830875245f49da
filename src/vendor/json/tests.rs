use proptest::prelude::*;

use super::*;

#[test]
fn strict_takes_json_and_nothing_else() {
    for good in [
        "{}",
        " [1, -2.5e+3, \"a\\\"b\", {\"k\": [null, true, false]}] ",
        "\u{feff}{\"a\":1}",
        "\"\\é\"",
    ] {
        assert!(strict(good).is_some(), "{good}");
    }
    for bad in [
        "",
        "{",
        "{\"a\":1,}",
        "{\"a\":1 \"b\":2}",
        "[1 2]",
        "[,]",
        "NaN",
        "{} x",
        "{a:1}",
        "\"",
        "\"\\",
        "<html>",
        "01x",
    ] {
        assert!(strict(bad).is_none(), "{bad}");
    }
}

#[test]
fn tolerant_forgives_commas_and_nan() {
    let node = tolerant(r#"{"a": "x" "b": [1 2,], "c": NaN, "d": -Infinity,}"#).unwrap();
    assert_eq!(node.get("A").unwrap().text().unwrap(), "x");
    assert_eq!(node.get("b").unwrap().raw, "[1 2,]");
    assert!(matches!(node.get("c").unwrap().value, Value::Number("NaN")));
    assert!(node.get("d").is_some());
    assert!(tolerant("{\"a\":").is_none());
}

#[test]
fn deep_nesting_is_stepped_over() {
    let deep = format!("{}\"]\"{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(strict(&deep).is_some());
    assert!(strict(&deep[..deep.len() - 1]).is_none());
}

/// Guards the bound on memory.
#[test]
fn more_values_than_any_reply_has_are_not_read() {
    let list = |values: usize| format!("[{}0]", "0,".repeat(values - 2));
    assert!(strict(&list(MAX_VALUES)).is_some());
    assert!(strict(&list(MAX_VALUES + 1)).is_none());
    assert!(tolerant(&list(MAX_VALUES + 1)).is_none());
}

#[test]
fn escapes_are_resolved() {
    assert_eq!(
        unescape(r"a\/b\n\u00e9\ud83d\ude00\ud83dx\q\u12"),
        "a/b\né😀\u{fffd}x\\q\\u12"
    );
    assert_eq!(
        compact("{ \"a b\" : [1,\n 2], \"c\\\" \": 3 }"),
        "{\"a b\":[1,2],\"c\\\" \":3}"
    );
}

proptest! {
    #[test]
    fn nothing_panics(text in "[\\[\\]{}:,\"\\\\a-fu0-9.éNn \\-]{0,60}") {
        let _ = tolerant(&text);
        if let Some(node) = strict(&text) {
            prop_assert_eq!(node.raw, text.trim_matches([' ']));
        }
        let _ = (unescape(&text), compact(&text));
    }

    #[test]
    fn whatever_serde_reads_is_read(value in any::<Vec<(String, f64, Option<bool>)>>()) {
        let text = serde_json::to_string(&value).unwrap();
        prop_assert!(strict(&text).is_some());
        let first = serde_json::to_string(&value.iter().map(|v| &v.0).collect::<Vec<_>>()).unwrap();
        let node = strict(&first).unwrap();
        let Value::Array(items) = node.value else { panic!("no array") };
        for (item, original) in items.iter().zip(&value) {
            prop_assert_eq!(item.text().unwrap(), original.0.as_str());
        }
    }
}
