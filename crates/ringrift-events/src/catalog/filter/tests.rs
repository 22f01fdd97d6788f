use proptest::prelude::*;
use serde_json::Value;

use super::syntax::{Comparison, Node};
use super::*;
use crate::catalog::payload;

fn takes(filter: &str, payload_text: &str) -> bool {
    let payload = payload::check(payload_text.as_bytes()).unwrap();
    let filter = Filter::parse(filter).unwrap();
    let answer = filter.evaluate(&payload);
    assert_eq!(filter.explain(&payload).takes, answer);
    answer
}

fn refused(filter: &str) -> FilterError {
    Filter::parse(filter).unwrap_err()
}

#[test]
fn every_operator_says_yes_and_no() {
    let payload = r#"{"n":5,"s":"hex8","l":[1,"a"],"o":{"x":{"y":true}},"z":null}"#;
    for (yes, no) in [
        ("n = 5", "n = 6"),
        ("n__eq = 5.0", "n__eq = 5.5"),
        ("n__ne = 6", "n__ne = 5"),
        ("n__lt = 5.5", "n__lt = 5"),
        ("n__lte = 5", "n__lte = 4"),
        ("n__gt = 4", "n__gt = 5"),
        ("n__gte = 5", "n__gte = 6"),
        ("s__in = [a, hex8]", "s__in = [a, b]"),
        ("s__contains = ex", "s__contains = ax"),
        ("l__contains = a", "l__contains = b"),
        ("s__startswith = hex", "s__startswith = ex"),
        ("s__gte = hex", "s__gte = hey"),
        ("o.x.y = true", "o.x.y = false"),
        ("l.1 = a", "l.0 = a"),
        ("z__exists = true", "z__exists = false"),
        ("q__exists = false", "q.q__exists = true"),
        ("z = null", "n = null"),
        ("n__ne = null", "z__ne = null"),
        ("o = {\"x\":{\"y\":true}}", "o = {}"),
    ] {
        assert!(takes(yes, payload), "{yes}");
        assert!(!takes(no, payload), "{no}");
    }
}

#[test]
fn a_missing_or_mistyped_field_makes_the_comparison_false_and_not_turns_it() {
    for operator in ["eq", "ne", "lt", "lte", "gt", "gte"] {
        for payload in ["{}", r#"{"a":"5"}"#, r#"{"a":null}"#, r#"{"a":[5]}"#] {
            assert!(
                !takes(&format!("a__{operator} = 5"), payload),
                "{operator} {payload}"
            );
            assert!(
                takes(&format!("not a__{operator} = 5"), payload),
                "{operator} {payload}"
            );
        }
    }
    assert!(!takes("a__in = [1, 2]", r#"{"a":"1"}"#));
    assert!(!takes("a.b = 1", r#"{"a":1}"#));
}

#[test]
fn integers_are_compared_without_rounding() {
    let big = r#"{"n":9007199254740993}"#;
    assert!(takes("n = 9007199254740993", big));
    assert!(!takes("n = 9007199254740992", big));
    assert!(!takes("n = 9007199254740992.0", big));
    assert!(takes("n__gt = 9007199254740992.0", big));
    assert!(takes("n__lt = 1e30", r#"{"n":18446744073709551615}"#));
    assert!(takes("n__gt = -0.5", r#"{"n":0}"#));
    assert!(takes("n__lt = 0.5", r#"{"n":0}"#));
}

#[test]
fn canonical_text_is_what_it_says() {
    for (given, canonical) in [
        ("a=b", r#"a = "b""#),
        ("a__eq=1", "a = 1"),
        ("((a=1))", "a = 1"),
        ("a=1 and (b=2 and c=3)", "a = 1 and b = 2 and c = 3"),
        ("a=1 and (b=2 or c=3)", "a = 1 and (b = 2 or c = 3)"),
        ("(a=1 and b=2) or c=3", "a = 1 and b = 2 or c = 3"),
        ("not not a=1", "a = 1"),
        ("not (a=1 or b=2)", "not (a = 1 or b = 2)"),
        (
            r#""odd name"."a__b"__gte = 1"#,
            r#""odd name"."a__b"__gte = 1"#,
        ),
        (r#""plain" = 1"#, "plain = 1"),
        ("order = 1 and nothing = 2", "order = 1 and nothing = 2"),
        ("m__in=[hex8_2p,1]", r#"m__in = ["hex8_2p",1]"#),
        ("p = models/a-1.bin", r#"p = "models/a-1.bin""#),
    ] {
        assert_eq!(
            Filter::parse(given).unwrap().to_string(),
            canonical,
            "{given}"
        );
    }
}

#[test]
fn what_is_no_filter_is_refused_with_its_place() {
    for (text, at, part) in [
        ("", 0, "field"),
        ("a", 1, "= value"),
        ("a >= 3", 2, "a__gte = 3".replace("a__", "field__").as_str()),
        ("a = ", 4, "value"),
        ("a = 1 b = 2", 6, "`and`"),
        ("a = 1 and", 9, "field"),
        ("(a = 1", 6, "`)`"),
        ("a__like = x", 0, "`like` is no operator"),
        ("a__in = 3", 8, "list"),
        ("a__exists = 3", 12, "true or false"),
        ("a__gt = true", 8, "number or a string"),
        ("a = and", 4, "quote"),
        ("a = 1e999", 4, "out of range"),
        ("a = \"x", 4, "JSON"),
    ] {
        let error = refused(text);
        assert_eq!(error.at, at, "{text}: {error}");
        assert!(error.reason.contains(part), "{text}: {error}");
    }
}

#[test]
fn length_and_nesting_are_bounded() {
    assert!(
        refused(&format!("a = {}", "x".repeat(FILTER_BYTES_MAX)))
            .reason
            .contains("more than")
    );
    for opening in ["(", "not ", "a = ["] {
        let text = opening.repeat(10_000);
        refused(&text[..text.len().min(FILTER_BYTES_MAX)]);
    }
    let grows = format!("a__in = [{}b]", "b,".repeat(2000));
    assert!(refused(&grows).reason.contains("canonical"));
    let deep = FILTER_NESTING_MAX;
    assert!(Filter::parse(&format!("{}a=1{}", "(".repeat(deep), ")".repeat(deep))).is_ok());
}

#[test]
fn an_explanation_shows_what_each_comparison_met() {
    let payload = payload::check(br#"{"elo":"high","m":{"a":1},"n":3}"#).unwrap();
    let filter =
        Filter::parse("elo__gte = 1900 or m.b.c = 1 or n__gt = 5 or n__exists=false").unwrap();
    let explained = filter.explain(&payload);
    assert!(!explained.takes);
    let found: Vec<&Found> = explained.comparisons.iter().map(|one| &one.found).collect();
    assert_eq!(
        found,
        [
            &Found::Mistyped {
                is: "string",
                value: "\"high\"".to_owned()
            },
            &Found::Missing("m.b".to_owned()),
            &Found::Value("3".to_owned()),
            &Found::Value("3".to_owned()),
        ]
    );
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(".{0,4}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn comparison() -> impl Strategy<Value = Node> {
    let name = prop_oneof!["[a-z_0-9-]{1,6}", ".{0,4}", Just("and".to_owned())];
    let path = prop::collection::vec(name, 1..4);
    (path, prop::sample::select(Operator::ALL.to_vec()), value()).prop_map(
        |(path, operator, value)| {
            let expected = match operator {
                Operator::In => Value::Array(vec![value]),
                Operator::Exists => Value::Bool(value.is_null()),
                Operator::Startswith => Value::from(value.to_string()),
                Operator::Lt | Operator::Lte | Operator::Gt | Operator::Gte => {
                    if value.is_number() {
                        value
                    } else {
                        Value::from(value.to_string())
                    }
                }
                Operator::Eq | Operator::Ne | Operator::Contains => value,
            };
            Node::Compare(Comparison {
                path,
                operator,
                expected,
            })
        },
    )
}

fn node() -> impl Strategy<Value = Node> {
    comparison().prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Node::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Node::Or),
            inner.prop_map(|part| Node::Not(Box::new(part))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn canonical_text_reads_back_as_itself(root in node()) {
        let text = Filter { root }.to_string();
        prop_assume!(text.len() <= FILTER_BYTES_MAX);
        let read = Filter::parse(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let again = Filter::parse(&read.to_string()).unwrap();
        prop_assert_eq!(&again, &read);
        prop_assert_eq!(again.to_string(), read.to_string());
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,60}") {
        if let Ok(filter) = Filter::parse(&text) {
            let canonical = filter.to_string();
            prop_assert_eq!(Filter::parse(&canonical).unwrap(), filter);
        }
    }

    #[test]
    fn no_near_miss_makes_the_parser_panic(
        parts in prop::collection::vec(
            prop::sample::select(vec!["a", "b__gte", "=", "1", "(", ")", "and", "or", "not", "[", "]", ",", "\"x\"", ".", "__in", "é"]),
            0..14,
        ),
    ) {
        let text = parts.join(" ");
        if let Ok(filter) = Filter::parse(&text) {
            prop_assert_eq!(Filter::parse(&filter.to_string()).unwrap(), filter);
        }
    }
}
