use super::*;

fn merged(base: &str, patch: &str) -> Merged {
    let base = Document::parse(base.as_bytes()).unwrap();
    base.merged(&Document::parse(patch.as_bytes()).unwrap())
}

fn text(base: &str, patch: &str) -> String {
    String::from_utf8(merged(base, patch).text).unwrap()
}

/// Without blanks, as the cases of the RFC are written.
fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

#[test]
fn the_cases_of_rfc_7386_whose_sides_are_objects() {
    for (base, patch, wanted) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        (r#"{"a":"foo"}"#, r#"{"a":{"b":1,"c":null}}"#, r#"{"a":{"b":1}}"#),
        (r#"{"a":"foo"}"#, r#"{"a":{}}"#, r#"{"a":{}}"#),
        ("{}", r#"{"a":[{"b":null}]}"#, r#"{"a":[{"b":null}]}"#),
    ] {
        assert_eq!(squeezed(&text(base, patch)), wanted, "{base} and {patch}");
    }
}

#[test]
fn what_is_not_changed_stays_as_it_is_written() {
    let base = "{\n  \"big\": 123456789012345678901234567890,\n  \"one\": 1.0, \"far\": 1e5,\n\
                \x20 \"list\": [1,   2],\n  \"caf\\u00e9\": { \"x\":1 },\n  \"z\": true\n}\n";
    let wanted = "{\n  \"big\": 123456789012345678901234567890,\n  \"one\": 1.0,\n  \"far\": 1e5,\n\
                  \x20 \"list\": [1,   2],\n  \"caf\\u00e9\": { \"x\":1 },\n  \"z\": false,\n  \"new\": [\n    1.50\n  ]\n}\n";
    assert_eq!(text(base, r#"{"z": false, "new": [1.50]}"#), wanted);
}

#[test]
fn where_nothing_changes_not_a_byte_does() {
    let base = "{\"a\" : {\"b\":[ 1,2 ], \"c\":\"\\u0061\"},\"n\":1.0}";
    for patch in ["{}", r#"{"n":1.0}"#, r#"{"a":{"c":"a"}}"#, r#"{"a":{"b":[1, 2]}}"#, r#"{"x":null}"#] {
        let merged = merged(base, patch);
        assert_eq!((merged.text.as_slice(), merged.keys.len()), (base.as_bytes(), 0), "{patch}");
    }
    assert_eq!(merged(base, r#"{"n":1}"#).keys, ["n"], "a number is what is written");
}

#[test]
fn an_object_in_an_array_is_the_same_in_any_order() {
    assert!(merged(r#"{"a":[{"x":1,"y":2}]}"#, r#"{"a":[{"y":2,"x":1}]}"#).keys.is_empty());
    assert_eq!(merged(r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#).keys, ["a"]);
    assert_eq!(merged(r#"{"a":[{"x":1}]}"#, r#"{"a":[{"x":1,"y":2}]}"#).keys, ["a"]);
}

#[test]
fn the_keys_that_change_are_named_in_the_patchs_order() {
    let keys = merged(r#"{"a":1,"b":{"c":1},"d":4}"#, r#"{"d":5,"b":{"c":1},"a":null,"e":[]}"#).keys;
    assert_eq!(keys, ["d", "a", "e"]);
}

#[test]
fn a_file_without_content_is_an_empty_object_and_a_byte_order_mark_is_none() {
    for base in ["", " \n\t", "{}", "\u{feff}{}"] {
        assert_eq!(text(base, r#"{"a":1}"#), "{\n    \"a\": 1\n}\n", "{base:?}");
        assert_eq!(merged(base, "{}").keys.len(), 0);
    }
}

#[test]
fn a_file_is_indented_as_it_was() {
    assert_eq!(
        text("{\n\t\"a\": 1\n}", r#"{"b":{"c":2}}"#),
        "{\n\t\"a\": 1,\n\t\"b\": {\n\t\t\"c\": 2\n\t}\n}\n"
    );
    assert_eq!(
        text("{\n  \"a\": {\"b\":1}\n}\n", r#"{"a":{"b":2}}"#),
        "{\n  \"a\": {\n    \"b\": 2\n  }\n}\n"
    );
}

fn refused(text: &[u8]) -> String {
    Document::parse(text).unwrap_err().to_string()
}

#[test]
fn what_cannot_be_merged_is_told_with_its_place() {
    for (text, wanted) in [
        (&b"{\n \"a\": 1,\n}"[..], "line 3, column 1: this is no JSON: key must be a string"),
        (b"{\"a\": 01}", "line 1, column 8: this is no JSON: invalid number"),
        (b"{} x", "line 1, column 4: this is no JSON: trailing characters"),
        (b"\n [1]", "line 2, column 2: this is JSON, but no object ({ … })"),
        (
            b"{\"a\":1,\n \"b\":2, \"\\u0061\":3}",
            "line 2, column 9: the key \"\\u0061\" stands twice in the same object",
        ),
        (b"{\"a\":[{\"x\":1,\n\"x\":1}]}", "line 2, column 1: the key \"x\" stands twice in the same object"),
        (b"{\n\"a\": \"\xff\"}", "line 2: this is no UTF-8 text"),
        (b"{\n\"\\ud800\": 1}", "line 2, column 8: this is no JSON: unexpected end of hex escape"),
    ] {
        assert_eq!(refused(text), wanted, "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn nesting_has_an_end_that_is_told() {
    let deep = |levels: usize| "{\"a\":".repeat(levels) + "1" + &"}".repeat(levels);
    assert!(Document::parse(deep(DEEPEST).as_bytes()).is_ok());
    assert!(refused(deep(DEEPEST + 1).as_bytes()).ends_with("nested deeper than 100 levels"));
    // The parser itself has no depth at which it falls over.
    let very = "[".repeat(20_000) + &"]".repeat(20_000);
    assert!(Document::parse(very.as_bytes()).is_err());
}

/// A text that is cut anywhere is refused, or is blank; it never panics.
#[test]
fn a_text_that_is_cut_anywhere_is_no_other_object() {
    let whole = "{\"a\": [1, {\"b\": \"ü\\n\"}], \"c\": -1.5e+3}";
    for end in 1..whole.len() {
        assert!(Document::parse(&whole.as_bytes()[..end]).is_err(), "{end}");
    }
}
