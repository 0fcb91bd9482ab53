use serde_json::json;

use super::*;

fn shown(value: Value, query: &str, output: Output) -> String {
    let query = (!query.is_empty()).then(|| query.parse().unwrap());
    text(value.into(), query.as_ref(), output, false).unwrap()
}

#[test]
fn json_is_indented_by_two_and_sorted() {
    let value = json!({"b": [], "a": {"d": null, "c": "é"}});
    let expected = "{\n  \"a\": {\n    \"c\": \"é\",\n    \"d\": null\n  },\n  \"b\": []\n}\n";
    assert_eq!(shown(value, "", Output::Json), expected);
}

#[test]
fn yaml_is_a_block_without_a_document_mark() {
    let value = json!({"b": [{"d": 1, "c": "x"}], "a": null});
    assert_eq!(shown(value, "", Output::Yaml), "a: null\nb:\n- c: x\n  d: 1\n");
}

#[test]
fn tsv_of_everything() {
    let table: &[(Value, &str, &str)] = &[
        (json!("secret"), "", "secret\n"),
        (json!(["a", "b"]), "", "a\nb\n"),
        (json!([]), "", ""),
        (json!(true), "", "true\n"),
        (json!({"b": 1, "a": "x", "c": [1, 2], "d": {}, "e": null, "f": false}), "", "x\t1\t2\t\tNone\tFalse\n"),
        (json!([["a", 1], ["b", 2]]), "", "a\t1\nb\t2\n"),
        (json!({"passwords": [{"value": "p"}]}), "passwords[0].value", "p\n"),
        (json!({"passwords": []}), "passwords[0].value", ""),
        (json!([{"a": 1, "b": 2}]), "[].{Zeta: a, Alpha: b}", "1\t2\n"),
        (json!([{"a": 1, "b": 2}]), "[0].{Zeta: a, Alpha: b}", "1\t2\n"),
        (json!([{"a": 1, "b": 2}]), "[?a==`1`].{Zeta: a, Alpha: b} | [0]", "1\t2\n"),
        (json!([{"a": 2}, {"a": 1}]), "sort_by([].{Zeta: a, Alpha: a}, &Zeta)", "1\t1\n2\t2\n"),
    ];
    for (value, query, expected) in table {
        assert_eq!(shown(value.clone(), query, Output::Tsv), *expected, "{value} {query}");
    }
}

#[test]
fn a_table_is_as_wide_as_its_names_and_two_more() {
    let value = json!([
        {"name": "one", "id": "/long", "enabled": true, "list": [1], "nothing": null},
        {"name": "a-much-longer-name", "enabled": false},
    ]);
    let expected = "\
Enabled    Name
---------  ------------------
True       one
False      a-much-longer-name
";
    assert_eq!(shown(value.clone(), "", Output::Table), expected);
    let chosen = "\
Name                On
------------------  -----
one                 True
a-much-longer-name  False
";
    assert_eq!(shown(value.clone(), "[].{Name:name, On:enabled}", Output::Table), chosen);
    assert_eq!(shown(value.clone(), "length(@)", Output::Table), "Result\n--------\n2\n");
    let expected = "Column1             Column2\n------------------  ---------\none                 True\na-much-longer-name  False\n";
    assert_eq!(shown(value, "[].[name, enabled]", Output::Table), expected);
    assert_eq!(shown(json!([]), "", Output::Table), "\n");
    assert!(text(json!([{"list": []}]).into(), None, Output::Table, false).is_err());
}

#[test]
fn nothing_prints_nothing() {
    for output in Output::value_variants() {
        assert_eq!(shown(Value::Null, "", *output), "", "{output:?}");
    }
    assert_eq!(shown(json!({"a": 1}), "", Output::None), "");
}

#[test]
fn colors_leave_the_text_as_it_is() {
    let value = json!({"a": [1, "x", null, {}], "b": {"c": true}});
    let bare = |text: &str| {
        let mut rest = text;
        let mut bare = String::new();
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            bare.push_str(before);
            rest = after.split_once('m').unwrap().1;
        }
        bare + rest
    };
    for (colored, plain) in [(Output::Jsonc, Output::Json), (Output::Yamlc, Output::Yaml)] {
        let painted = text(value.clone().into(), None, colored, true).unwrap();
        assert_ne!(painted, shown(value.clone(), "", plain));
        assert_eq!(bare(&painted), shown(value.clone(), "", plain));
        assert_eq!(shown(value.clone(), "", colored), shown(value.clone(), "", plain));
    }
}

#[test]
fn a_query_that_is_none_is_refused_before_anything_happens() {
    assert!("passwords[".parse::<Query>().is_err());
    let query: Query = "length(a)".parse().unwrap();
    let error = text(json!({"a": 1}).into(), Some(&query), Output::Json, false).unwrap_err();
    assert!(error.starts_with("--query: "), "{error}");
}

const HOSTILE: &str = "a\u{1b}[2J\tb\r\nc\u{7f}\u{9b}31m\u{202e}d";
const SHOWN: &str = "a\\u{1b}[2J\\tb\\r\\nc\\u{7f}\\u{9b}31m\\u{202e}d";

/// Whoever may write a description does not write to the terminals of others.
#[test]
fn what_a_terminal_would_obey_is_shown() {
    let value = json!([{ "name": HOSTILE, "other": 1 }]);
    assert_eq!(shown(value.clone(), "", Output::Tsv), format!("{SHOWN}\t1\n"));
    assert_eq!(shown(json!(HOSTILE), "", Output::Tsv), format!("{SHOWN}\n"));
    let width = SHOWN.chars().count();
    let table = |name: &str| format!("{name:width$}  Other\n{}  -------\n{SHOWN}  1\n", "-".repeat(width));
    assert_eq!(shown(value.clone(), "", Output::Table), table("Name"));
    // The names of columns may be written by others, too.
    let tags = shown(json!({ HOSTILE: "x" }), "", Output::Table);
    assert!(tags.contains(&SHOWN[1..]), "{tags}");
    for output in [Output::Json, Output::Jsonc] {
        let json = shown(value.clone(), "", output);
        let expected = r"a\u001b[2J\tb\r\nc\u007f\u009b31m\u202ed";
        assert!(json.contains(expected), "{json}");
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), value);
        let colored = text(value.clone().into(), None, Output::Jsonc, true).unwrap();
        assert!(colored.contains(expected), "{colored}");
    }
    for colored in [false, true] {
        let yaml = text(value.clone().into(), None, Output::Yamlc, colored).unwrap();
        assert!(!yaml.contains(['\u{7f}', '\u{9b}', '\r', '\t']) && !yaml.contains("\u{1b}[2J"), "{yaml}");
    }
}
