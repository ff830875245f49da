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
    let json = tolerant(r#"{"a": "x" "b": [1 2,], "c": NaN, "d": -Infinity,}"#).unwrap();
    let node = json.root();
    assert_eq!(node.get("A").unwrap().text().unwrap(), "x");
    assert_eq!(node.get("b").unwrap().raw(), "[1 2,]");
    assert_eq!(node.get("c").unwrap().kind(), Kind::Number);
    assert_eq!(node.get("c").unwrap().text().unwrap(), "NaN");
    assert!(node.get("d").is_some());
    assert!(tolerant("{\"a\":").is_none());
}

#[test]
fn members_are_found_whatever_stands_within_the_others() {
    let text = r#"{"a": {"b": [1, {"c": 2}], "d": {}}, "\u0062": [[], "x"], "C": null, "c": 3, "C": 4, "c": null}"#;
    let json = strict(text).unwrap();
    let raw = |name: &str| json.root().get(name).map(Node::raw);
    assert_eq!(raw("a"), Some(r#"{"b": [1, {"c": 2}], "d": {}}"#));
    assert_eq!(raw("B"), Some(r#"[[], "x"]"#), "escapes in a name are resolved");
    assert_eq!(raw("c"), Some("4"), "the last one that is not null");
    assert_eq!((raw("d"), raw("x")), (None, None));
    let inner = json.root().get("a").unwrap().get("b").unwrap();
    assert_eq!(inner.items().map(Node::raw).collect::<Vec<_>>(), ["1", r#"{"c": 2}"#]);
    assert_eq!(inner.get("c").map(Node::raw), None, "an array has no members");
    let names: Vec<_> = json.root().items().map(Node::name).collect();
    assert_eq!(names, ["a", "b", "C", "c", "C", "c"]);
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
        if let Some(json) = strict(&text) {
            prop_assert_eq!(json.root().raw(), text.trim_matches([' ']));
        }
        let _ = (unescape(&text), compact(&text));
    }

    #[test]
    fn whatever_serde_reads_is_read(value in any::<Vec<(String, f64, Option<bool>)>>()) {
        let text = serde_json::to_string(&value).unwrap();
        prop_assert!(strict(&text).is_some());
        let first = serde_json::to_string(&value.iter().map(|v| &v.0).collect::<Vec<_>>()).unwrap();
        let json = strict(&first).unwrap();
        prop_assert_eq!(json.root().items().count(), value.len());
        for (item, original) in json.root().items().zip(&value) {
            prop_assert_eq!(item.text().unwrap(), original.0.as_str());
        }
    }
}
