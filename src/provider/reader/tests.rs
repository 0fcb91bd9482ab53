use std::collections::BTreeMap;
use std::fmt::Write;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::policy::document::PolicyDocument;
use crate::policy::origin::At;
use crate::provider::yaml::parse;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct House {
    name: At<String>,
    #[serde(default)]
    floors: u8,
    #[serde(default)]
    garden: bool,
    #[serde(default)]
    roof: Roof,
    #[serde(default)]
    motto: Option<At<String>>,
    #[serde(default)]
    rooms: BTreeMap<At<String>, Room>,
    #[serde(default)]
    guests: Vec<At<String>>,
    #[serde(default)]
    password: Option<u8>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Room {
    doors: u8,
    windows: u8,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
enum Roof {
    #[default]
    Flat,
    Gable,
}

fn house(text: &str) -> (Option<House>, Vec<String>) {
    let mut problems = Problems::new();
    let house = parse("house.yaml", text, &mut problems).and_then(|tree| read(tree, &mut problems));
    let shown = problems.sorted().iter().map(|p| p.to_string().replace("house.yaml:", "")).collect();
    (house, shown)
}

fn problems(text: &str) -> Vec<String> {
    house(text).1
}

#[test]
fn every_text_knows_where_it_was_written() {
    let (house, problems) = house("name: Seaside\nrooms:\n  \"kitchen\": {doors: 1, windows: 2}\nguests: [a,\n  bb]\n");
    assert_eq!(problems, Vec::<String>::new());
    let house = house.unwrap();
    let place = |at: &At<String>| format!("{}={:?}", at.value, at.origin);
    assert_eq!(place(&house.name), "Seaside=house.yaml:1:7");
    assert_eq!(place(house.rooms.keys().next().unwrap()), "kitchen=house.yaml:3:3");
    assert_eq!(place(&house.guests[1]), "bb=house.yaml:5:3");
    assert_eq!(house.rooms.values().next(), Some(&Room { doors: 1, windows: 2 }));
}

#[test]
fn a_text_may_look_like_a_number_or_a_boolean_and_keeps_its_spelling() {
    for (written, read) in [("12345", "12345"), ("0012", "0012"), ("1.10", "1.10"), ("true", "true"), ("'~'", "~")] {
        let (house, problems) = house(&format!("name: {written}\nrooms: {{7: {{doors: 1, windows: 1}}}}"));
        assert_eq!(problems, Vec::<String>::new(), "{written}");
        let house = house.unwrap();
        assert_eq!(house.name.value, read);
        assert_eq!(house.rooms.keys().next().unwrap().value, "7");
    }
}

#[test]
fn only_plain_scalars_are_booleans_and_numbers() {
    for (line, problem) in [
        ("garden: \"true\"", "1:9: expected true or false, found text \"true\"\n  hint: write it without quotes"),
        ("garden: yes", "1:9: expected true or false, found text \"yes\""),
        ("garden: 1", "1:9: expected true or false, found the number 1"),
        (
            "floors: '3'",
            "1:9: expected a whole number from 0 to 255, found text \"3\"\n  hint: write it without quotes",
        ),
        ("floors: 256", "1:9: expected a whole number from 0 to 255, found the number 256"),
        ("floors: -1", "1:9: expected a whole number from 0 to 255, found the number -1"),
        ("floors: 2.5", "1:9: expected a whole number from 0 to 255, found the number 2.5"),
        ("floors: 0x10", "1:9: expected a whole number from 0 to 255, found text \"0x10\""),
        ("floors: .inf", "1:9: expected a whole number from 0 to 255, found text \".inf\""),
        ("floors: true", "1:9: expected a whole number from 0 to 255, found true"),
        ("floors: [1]", "1:9: expected a whole number from 0 to 255, found a list"),
        ("motto: {a: b}", "1:8: expected text, found a mapping"),
        ("rooms: []", "1:8: expected a mapping, found a list"),
        ("rooms: {a: 5}", "1:12: expected a mapping, found a number"),
        ("guests: Ann", "1:9: expected a list, found text"),
        ("roof: [Flat]", "1:7: expected one of \"Flat\", \"Gable\", found a list"),
        ("roof: Gabel", "1:7: \"Gabel\" is not one of \"Flat\", \"Gable\"\n  hint: did you mean \"Gable\"?"),
        ("roof: straw", "1:7: \"straw\" is not one of \"Flat\", \"Gable\""),
    ] {
        let (house, problems) = house(&format!("{line}\nname: x"));
        assert_eq!(problems, [problem]);
        assert_eq!(house, None, "{line}");
    }
}

#[test]
fn nothing_is_a_problem_wherever_it_is_written() {
    for line in ["garden:", "motto: ~", "rooms: null", "guests:", "roof:", "floors: Null", "guests: [~]"] {
        let problems = problems(&format!("{line}\nname: x"));
        assert_eq!(problems.len(), 1, "{line}");
        assert!(problems[0].contains("found nothing\n  hint: give it a value"), "{problems:?}");
        assert!(problems[0].starts_with("1:"), "{problems:?}");
    }
}

#[test]
fn all_problems_are_found_at_once() {
    let text = "flors: 2\ngarden: maybe\nrooms:\n  attic: {windows: x, color: red}\n  cellar: {doors: 1}\n  hall: 3\n\
        guests: [a, [b], c, {}]\nroof: Thatch\nfloors: 1\nfloors: 2\n";
    assert_eq!(
        problems(text),
        [
            "1:1: unknown key \"flors\"\n  hint: did you mean \"floors\"?",
            "1:1: missing \"name\"",
            "2:9: expected true or false, found text \"maybe\"",
            "4:10: missing \"doors\"",
            "4:20: expected a whole number from 0 to 255, found text \"x\"",
            "4:23: unknown key \"color\"\n  hint: the keys here are doors, windows",
            "5:11: missing \"windows\"",
            "6:9: expected a mapping, found a number",
            "7:13: expected text, found a list",
            "7:21: expected text, found a mapping",
            "8:7: \"Thatch\" is not one of \"Flat\", \"Gable\"",
            "10:1: duplicate key \"floors\"\n  hint: first at 9:1",
        ]
    );
}

#[test]
fn a_value_with_skipped_keys_is_given_back_and_one_with_inventions_is_not() {
    let (house_, problems) = house("name: x\nwings: 2");
    assert_eq!(
        problems,
        [
            "2:1: unknown key \"wings\"\n  hint: the keys here are name, floors, garden, roof, motto, rooms, guests, password"
        ]
    );
    assert!(house_.is_some());
    assert_eq!(house("floors: 2").0, None);
}

#[test]
fn what_stands_below_a_secret_key_is_never_repeated() {
    for text in [
        "name: x\npassword: hunter2",
        "name: x\nclientSecret: hunter2",
        "name: x\nrooms: {a: {passwordHash: hunter2, doors: 1, windows: 1}}",
        "name: x\npassword: [hunter2]",
        "name: x\npassword: *hunter2",
        "name: x\npassword: &hunter2 a",
        "name: x\npassword: !hunter2 a",
        "name: x\npassword: 'hunter2",
    ] {
        let problems = problems(text);
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert!(!problems[0].contains("hunter2"), "{problems:?}");
    }
    let long = "hunter2".repeat(5);
    assert!(!problems(&format!("name: x\ngarden: {long}")).concat().contains("hunter2"));
}

#[test]
fn a_clear_text_secret_gets_its_own_hint() {
    let problems = problems("name: x\nsecret: hunter2");
    assert!(problems[0].contains("file, env or hash"), "{problems:?}");
}

#[test]
fn what_seawall_leaves_out_of_yaml_is_refused_by_name() {
    for (text, problem) in [
        ("name: &a x\nmotto: *a", "1:7: anchors and aliases are not supported"),
        ("name: x\nmotto: *a", "2:8: there is no such anchor"),
        ("name: !!str x", "1:7: tags are not supported"),
        ("name: x\n<<: {floors: 2}", "2:1: merge keys are not supported"),
        ("name: x\n[a]: b", "2:1: a key must be plain or quoted text"),
        ("name: x\n~: b", "2:1: a key must not be empty"),
        ("%YAML 1.2\n---\nname: x", "1:1: not YAML"),
        ("name: x\n---\nname: y", "2:1: a second document starts here"),
        ("name: x\nrooms:\n\tattic: {}", "3:2: not YAML: a tab in the indentation"),
        ("name: [x", "1:7: not YAML"),
        ("", "1:1: the file is empty"),
        ("# nothing\n", "1:1: the file is empty"),
    ] {
        let problems = problems(text);
        assert_eq!(problems.len(), 1, "{text:?}: {problems:?}");
        assert!(problems[0].starts_with(problem), "{text:?}: {problems:?}");
    }
}

#[test]
fn depth_size_and_number_of_problems_are_bounded() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("[{a: ", "}]")] {
        let problems = problems(&format!("name: {}{}", open.repeat(10_000), close.repeat(10_000)));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].contains("nested deeper than 64"), "{problems:?}");
    }
    let steps: String = (0..10_000).fold(String::new(), |mut text, depth| {
        writeln!(text, "{}a:", " ".repeat(depth.min(100))).unwrap();
        text
    });
    assert!(house(&steps).0.is_none());
    assert!(problems(&" ".repeat(crate::provider::yaml::MAX_BYTES + 1))[0].contains("larger than 16 MiB"));
    let many = format!("name: x\nguests: [{}]", "[],".repeat(100_000));
    assert_eq!(problems(&many).len(), MAX_PROBLEMS);
    let many: String = (0..100_000).fold("name: x\n".into(), |text, _| text + "a: 1\n");
    assert_eq!(problems(&many).len(), MAX_PROBLEMS);
    let many: String = (0..200).fold("name: x\nrooms:\n".into(), |text, n| format!("{text}  r{n}: {{}}\n"));
    assert_eq!(problems(&many).len(), MAX_PROBLEMS);
}

#[test]
fn a_type_that_refuses_even_the_stand_in_ends_the_reading() {
    #[derive(Debug, Deserialize)]
    struct Holder {
        #[expect(dead_code, reason = "only its reading matters")]
        address: std::net::IpAddr,
    }
    let mut problems = Problems::new();
    let tree = parse("h.yaml", "address: here\nextra: 1", &mut problems).unwrap();
    assert!(read::<Holder>(tree, &mut problems).is_none());
    let shown: Vec<_> = problems.sorted().iter().map(ToString::to_string).collect();
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(shown[0].starts_with("h.yaml:1:10: "), "{shown:?}");
}

/// Lines that look like ours, so that random documents get past the parser.
fn line() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        "[a-z]{1,3}",
        Just("loginServer".into()),
        Just("upstream".into()),
        Just("url".into()),
        Just("tokens".into()),
        Just("scopeMap".into()),
        Just("passwords".into()),
        Just("networkRuleSet".into()),
        Just("ipRules".into())
    ];
    let value = prop_oneof![
        Just(String::new()),
        Just("[".into()),
        Just("]".into()),
        Just("{a: b}".into()),
        Just("&a x".into()),
        Just("*a".into()),
        Just("true".into()),
        Just("Deny".into()),
        "\\PC{0,8}"
    ];
    (0_usize..4, key, value).prop_map(|(depth, key, value)| format!("{}{key}: {value}\n", "  ".repeat(depth)))
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic_or_stay_silent_about_a_failure(
        text in prop_oneof!["\\PC{0,64}", "[-:{}\\[\\]&*!|>'\" \t\na0~]{0,48}",
            proptest::collection::vec(line(), 0..12).prop_map(|lines| lines.concat())]
    ) {
        let mut problems = Problems::new();
        let value = parse("any", &text, &mut problems).and_then(|tree| read::<PolicyDocument>(tree, &mut problems));
        prop_assert!(value.is_some() || !problems.is_empty());
        prop_assert!(problems.len() <= MAX_PROBLEMS);
    }
}

#[test]
fn a_field_that_many_mappings_lack_costs_one_more_pass_and_not_many() {
    thread_local!(static READ: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });
    #[derive(Debug, PartialEq)]
    struct Counted;
    impl<'de> Deserialize<'de> for Counted {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            READ.set(READ.get() + 1);
            String::deserialize(deserializer).map(|_| Self)
        }
    }
    #[derive(Debug, Deserialize)]
    struct Item {
        #[expect(dead_code, reason = "only its reading matters")]
        wanted: Counted,
    }
    let text = "- {wanted: x}\n".repeat(1000) + &"- {}\n".repeat(50);
    let mut problems = Problems::new();
    let tree = parse("items.yaml", &text, &mut problems).unwrap();
    assert!(draft::<Vec<Item>>(tree, &mut problems).is_some_and(|items| items.examine().len() == 1050));
    assert_eq!(problems.len(), 50);
    // Between the passes serde asks the type once whether it can be made of nothing.
    assert_eq!(READ.get(), 1000 + 1 + 1050);
}
