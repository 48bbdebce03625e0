//! Event filter patterns: which messages a function wants to see. The language is EventBridge's, as
//! far as Lambda's event source mappings know it; a pure function of a pattern and a record.

use serde_json::{Map, Value};

/// The longest pattern that Lambda takes, in characters.
const PATTERN_CHARS_MAX: usize = 4_096;

/// The most operands of one `numeric` test: two comparisons.
const NUMERIC_OPERANDS_MAX: usize = 4;

/// A pattern that messages are held against: `{"body": {"kind": ["order"]}}`. It sees the record as
/// the function does, with a body that is a JSON object or array in place of its text.
#[derive(Clone, Debug, PartialEq)]
pub struct FilterPattern(Node);

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a filter pattern: {0}")]
pub struct BadPattern(String);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    /// Every field must match, and of each list of alternatives one.
    All { fields: Vec<(String, Node)>, alternatives: Vec<Vec<Node>> },
    /// One test must hold.
    Leaf(Vec<Test>),
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Equals(Value),
    EqualsIgnoreCase(String),
    Prefix(String),
    Suffix(String),
    AnythingBut(Vec<Test>),
    Numeric(Vec<(Comparison, f64)>),
    Exists(bool),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

impl FilterPattern {
    /// Reads a pattern of at most 4,096 characters of JSON. Fails with a sentence that says what is
    /// wrong with it.
    pub fn parse(text: &str) -> Result<FilterPattern, BadPattern> {
        let bad = |reason: &str| BadPattern(reason.to_owned());
        if text.chars().count() > PATTERN_CHARS_MAX {
            return Err(bad("it is longer than 4,096 characters"));
        }
        let value = serde_json::from_str(text).map_err(|error| BadPattern(error.to_string()))?;
        match value {
            Value::Object(fields) => Ok(FilterPattern(parse_fields(fields)?)),
            _ => Err(bad("it is not an object")),
        }
    }

    /// Whether a record, as [`view`] shows it, is wanted.
    pub(crate) fn matches(&self, record: &Value) -> bool {
        let Node::All { fields, .. } = &self.0 else { return false };
        // Lambda drops messages whose bodies are not of the form that the pattern speaks of: text
        // where it wants fields, fields where it wants text.
        let is_text = record.get("body").is_none_or(Value::is_string);
        let body = fields.iter().find(|(name, _)| name == "body");
        let fits = body.is_none_or(|(_, node)| matches!(node, Node::Leaf(_)) == is_text);
        fits && self.0.matches(Some(record))
    }
}

/// A record as patterns see it: a body that is a JSON object or array takes the place of its text.
pub(crate) fn view(mut record: Value) -> Value {
    if let Some(Value::String(text)) = record.get("body")
        && let Ok(body @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text)
    {
        record["body"] = body;
    }
    record
}

fn parse_fields(object: Map<String, Value>) -> Result<Node, BadPattern> {
    if object.is_empty() {
        return Err(BadPattern("an object in it has no fields".into()));
    }
    let (mut fields, mut alternatives) = (Vec::new(), Vec::new());
    for (name, value) in object {
        match value {
            Value::Array(list) if name == "$or" => {
                let nodes = list.into_iter().map(|value| match value {
                    Value::Object(fields) => parse_fields(fields),
                    _ => Err(BadPattern("what `$or` lists are objects".into())),
                });
                alternatives.push(nodes.collect::<Result<_, _>>()?);
            }
            Value::Array(tests) => {
                let tests: Vec<Test> =
                    tests.into_iter().map(parse_test).collect::<Result<_, _>>()?;
                if tests.is_empty() {
                    return Err(BadPattern(format!("the list of {name:?} is empty")));
                }
                fields.push((name, Node::Leaf(tests)));
            }
            Value::Object(inner) => fields.push((name, parse_fields(inner)?)),
            _ => return Err(BadPattern(format!("{name:?} has neither a list nor an object"))),
        }
    }
    Ok(Node::All { fields, alternatives })
}

fn parse_test(value: Value) -> Result<Test, BadPattern> {
    let object = match value {
        Value::Object(object) => object,
        Value::Array(_) => return Err(BadPattern("a list in a list".into())),
        plain => return Ok(Test::Equals(plain)),
    };
    let mut entries = object.into_iter();
    let (Some((name, operand)), None) = (entries.next(), entries.next()) else {
        return Err(BadPattern("a test has exactly one operator".into()));
    };
    match (name.as_str(), operand) {
        ("prefix", Value::String(text)) => Ok(Test::Prefix(text)),
        ("suffix", Value::String(text)) => Ok(Test::Suffix(text)),
        ("equals-ignore-case", Value::String(text)) => {
            Ok(Test::EqualsIgnoreCase(text.to_lowercase()))
        }
        ("exists", Value::Bool(wanted)) => Ok(Test::Exists(wanted)),
        ("numeric", Value::Array(operands)) => parse_numeric(&operands),
        ("anything-but", Value::Array(list)) if !list.is_empty() => {
            let tests = list.into_iter().map(|value| match value {
                Value::Object(_) => Err(BadPattern("`anything-but` lists plain values".into())),
                plain => parse_test(plain),
            });
            Ok(Test::AnythingBut(tests.collect::<Result<_, _>>()?))
        }
        ("anything-but", one @ (Value::String(_) | Value::Number(_) | Value::Object(_))) => {
            match parse_test(one)? {
                Test::AnythingBut(_) | Test::Exists(_) | Test::Numeric(_) => Err(BadPattern(
                    "`anything-but` denies plain values, `prefix` or `suffix`".into(),
                )),
                test => Ok(Test::AnythingBut(vec![test])),
            }
        }
        (name, _) => Err(BadPattern(format!("no operator {name:?} with such an operand"))),
    }
}

fn parse_numeric(operands: &[Value]) -> Result<Test, BadPattern> {
    let bad =
        || BadPattern("`numeric` has one or two comparisons, such as [\">\", 0, \"<\", 5]".into());
    if operands.is_empty() || operands.len() > NUMERIC_OPERANDS_MAX {
        return Err(bad());
    }
    let (pairs, []) = operands.as_chunks::<2>() else { return Err(bad()) };
    let comparisons = pairs.iter().map(|[comparison, number]| {
        let comparison = match comparison.as_str()? {
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            "=" => Comparison::Equal,
            ">=" => Comparison::GreaterOrEqual,
            ">" => Comparison::Greater,
            _ => return None,
        };
        Some((comparison, number.as_f64()?))
    });
    Ok(Test::Numeric(comparisons.collect::<Option<_>>().ok_or_else(bad)?))
}

impl Node {
    /// None is a field that is not there: only `exists: false` wants it.
    fn matches(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Node::All { .. }, Some(Value::Array(list))) => {
                list.iter().any(|element| self.matches(Some(element)))
            }
            (Node::All { fields, alternatives }, value) => {
                let field = |name: &str| value?.get(name);
                fields.iter().all(|(name, node)| node.matches(field(name)))
                    && alternatives.iter().all(|nodes| nodes.iter().any(|node| node.matches(value)))
            }
            (Node::Leaf(tests), value) => tests.iter().any(|test| test.holds(value)),
        }
    }
}

impl Test {
    fn holds(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            // Of leaves only: an object is not one.
            (Test::Exists(wanted), value) => {
                value.is_some_and(|value| !value.is_object()) == *wanted
            }
            (_, None | Some(Value::Object(_))) => false,
            (_, Some(Value::Array(list))) => list.iter().any(|element| self.holds(Some(element))),
            (Test::Equals(wanted), Some(value)) => is_equal(wanted, value),
            (Test::AnythingBut(tests), value) => !tests.iter().any(|test| test.holds(value)),
            (Test::Numeric(comparisons), Some(value)) => value.as_f64().is_some_and(|number| {
                comparisons.iter().all(|(comparison, than)| comparison.holds(number, *than))
            }),
            (test, Some(value)) => value.as_str().is_some_and(|text| test.holds_for(text)),
        }
    }

    fn holds_for(&self, text: &str) -> bool {
        match self {
            Test::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Test::Suffix(suffix) => text.ends_with(suffix.as_str()),
            Test::EqualsIgnoreCase(wanted) => text.to_lowercase() == *wanted,
            _ => false,
        }
    }
}

impl Comparison {
    fn holds(self, number: f64, than: f64) -> bool {
        match self {
            Comparison::Less => number < than,
            Comparison::LessOrEqual => number <= than,
            Comparison::Equal => number == than,
            Comparison::GreaterOrEqual => number >= than,
            Comparison::Greater => number > than,
        }
    }
}

/// 300 and 300.0 are the same number.
fn is_equal(wanted: &Value, value: &Value) -> bool {
    match (wanted.as_f64(), value.as_f64()) {
        (Some(wanted), Some(value)) => wanted == value,
        _ => wanted == value,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pattern_wants_what_it_says() {
        let json = r#"{"kind":"order","n":7,"on":true,"no":null,"empty":"","in":{"x":"Abc"},"list":[1,2],"rows":[{"y":1},{"y":2}]}"#;
        #[rustfmt::skip]
        let cases = [
            (json, r#"{"body":{"kind":["order"]}}"#, true),
            (json, r#"{"body":{"kind":["refund","order"]}}"#, true),
            (json, r#"{"body":{"kind":["Order"]}}"#, false),
            (json, r#"{"body":{"kind":["order"],"n":[8]}}"#, false),
            (json, r#"{"body":{"n":[7.0]}}"#, true),
            (json, r#"{"body":{"n":["7"]}}"#, false),
            (json, r#"{"body":{"on":[true]}}"#, true),
            (json, r#"{"body":{"no":[null]}}"#, true),
            (json, r#"{"body":{"empty":[""]}}"#, true),
            (json, r#"{"body":{"in":{"x":[{"prefix":"A"}]}}}"#, true),
            (json, r#"{"body":{"in":{"x":[{"suffix":"bc"}]}}}"#, true),
            (json, r#"{"body":{"in":{"x":[{"equals-ignore-case":"aBC"}]}}}"#, true),
            (json, r#"{"body":{"in":{"x":[{"anything-but":["Abc"]}]}}}"#, false),
            (json, r#"{"body":{"in":{"x":[{"anything-but":"abc"}]}}}"#, true),
            (json, r#"{"body":{"in":{"x":[{"anything-but":{"prefix":"A"}}]}}}"#, false),
            (json, r#"{"body":{"missing":[{"anything-but":"abc"}]}}"#, false),
            (json, r#"{"body":{"n":[{"numeric":[">",6,"<=",7]}]}}"#, true),
            (json, r#"{"body":{"n":[{"numeric":["=",6]}]}}"#, false),
            (json, r#"{"body":{"kind":[{"numeric":[">",0]}]}}"#, false),
            (json, r#"{"body":{"missing":[{"exists":false}]}}"#, true),
            (json, r#"{"body":{"in":{"deep":{"er":[{"exists":false}]}}}}"#, true),
            (json, r#"{"body":{"kind":[{"exists":true}]}}"#, true),
            (json, r#"{"body":{"in":[{"exists":true}]}}"#, false),
            (json, r#"{"body":{"list":[2]}}"#, true),
            (json, r#"{"body":{"list":[3]}}"#, false),
            (json, r#"{"body":{"rows":{"y":[2]}}}"#, true),
            (json, r#"{"body":{"$or":[{"kind":["refund"]},{"n":[7]}]}}"#, true),
            (json, r#"{"body":{"$or":[{"kind":["refund"]},{"n":[8]}]}}"#, false),
            (json, r#"{"messageAttributes":{"kind":{"stringValue":["order"]}}}"#, true),
            (json, r#"{"attributes":{"MessageGroupId":["b"]}}"#, false),
            // The form of the body must be the one that the pattern speaks of.
            (json, r#"{"body":[{"prefix":"{"}]}"#, false),
            ("plain", r#"{"body":[{"prefix":"pl"}]}"#, true),
            ("plain", r#"{"body":["other"]}"#, false),
            ("plain", r#"{"body":{"kind":[{"exists":false}]}}"#, false),
            ("{broken", r#"{"body":["{broken"]}"#, true),
        ];
        for (body, pattern, wanted) in cases {
            let record = json!({
                "body": body,
                "messageAttributes": {"kind": {"stringValue": "order", "dataType": "String"}},
                "attributes": {"MessageGroupId": "a"},
            });
            let pattern_read = FilterPattern::parse(pattern).unwrap();
            assert_eq!(pattern_read.matches(&view(record)), wanted, "{pattern} on {body}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let long = format!(r#"{{"body":["{}"]}}"#, "x".repeat(4_096));
        let deep = format!("{}1{}", r#"{"a":"#.repeat(300), "}".repeat(300));
        let cases = [
            "",
            "[]",
            "{}",
            r#"{"body":"order"}"#,
            r#"{"body":[]}"#,
            r#"{"body":{}}"#,
            r#"{"body":[["x"]]}"#,
            r#"{"body":[{"wildcard":"*"}]}"#,
            r#"{"body":[{"prefix":1}]}"#,
            r#"{"body":[{"prefix":"a","suffix":"b"}]}"#,
            r#"{"body":[{"numeric":[">"]}]}"#,
            r#"{"body":[{"numeric":["!",1]}]}"#,
            r#"{"body":[{"numeric":[">",1,"<",2,"<",3]}]}"#,
            r#"{"body":[{"anything-but":[]}]}"#,
            r#"{"body":[{"anything-but":{"exists":true}}]}"#,
            r#"{"$or":["x"]}"#,
            long.as_str(),
            deep.as_str(),
        ];
        for text in cases {
            assert!(FilterPattern::parse(text).is_err(), "{text}");
        }
    }
}
