//! A path into a JSON text, and whether something at its end is as wanted.
//!
//! A subset of RFC 9535: names, indices from the start, and wildcards. What is missing (descendants,
//! slices, filters) can make the work on one small text grow with its square and more; a path of
//! these parts reads the text once, and keeps nothing of it.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess};
use serde_json::Value;

/// The longest path, in bytes.
const PATH_BYTES_MAX: usize = 1024;

/// A path: `$.order.lines[*]['sku']`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// A member of an object.
    Name(String),
    /// An element of an array, from zero.
    Index(usize),
    /// Every member or element.
    Any,
}

impl JsonPath {
    /// Parses a path; `None` for what is none, is too long, or uses more of RFC 9535 than we do.
    pub fn parse(text: &str) -> Option<JsonPath> {
        let mut rest = text.strip_prefix('$').filter(|_| text.len() <= PATH_BYTES_MAX)?;
        let mut segments = Vec::new();
        while !rest.is_empty() {
            let (segment, left) = match rest.strip_prefix('[') {
                Some(inside) => parse_bracket(inside)?,
                None => parse_dot(rest.strip_prefix('.')?)?,
            };
            segments.push(segment);
            rest = left;
        }
        Some(JsonPath { segments })
    }

    /// Whether the text is JSON in which the path leads to something: to this value, if one is
    /// given.
    pub fn leads(&self, text: &[u8], to: Option<&Value>) -> bool {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let walk = Walk { segments: &self.segments, to };
        let found = walk.deserialize(&mut deserializer);
        found.is_ok_and(|found| found) && deserializer.end().is_ok()
    }
}

/// `*`, an index or a quoted name, and the bracket that closes it.
fn parse_bracket(text: &str) -> Option<(Segment, &str)> {
    let quote = text.chars().next()?;
    if quote == '\'' || quote == '"' {
        let (name, rest) = parse_quoted(&text[1..], quote)?;
        return Some((Segment::Name(name), rest.strip_prefix(']')?));
    }
    let (inside, rest) = text.split_once(']')?;
    let segment = match inside {
        "*" => Segment::Any,
        // The number zero, or one that does not begin with it.
        digits if digits == "0" || digits.starts_with(|c: char| ('1'..='9').contains(&c)) => {
            Segment::Index(digits.parse().ok()?)
        }
        _ => return None,
    };
    Some((segment, rest))
}

/// A name up to its closing quote; a backslash takes the next quote or backslash as it is.
fn parse_quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                let (_, escaped) = chars.next()?;
                name.push(Some(escaped).filter(|c| matches!(c, '\\' | '\'' | '"'))?);
            }
            c if c == quote => return Some((name, &text[at + c.len_utf8()..])),
            c => name.push(c),
        }
    }
    None
}

/// `*` or a name.
fn parse_dot(text: &str) -> Option<(Segment, &str)> {
    if let Some(rest) = text.strip_prefix('*') {
        return Some((Segment::Any, rest));
    }
    let in_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii();
    let end = text.find(|c| !in_name(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let begins = |c: char| !c.is_ascii_digit();
    name.starts_with(begins).then(|| (Segment::Name(name.into()), rest))
}

/// What is left of a path, at one value of the text.
#[derive(Clone, Copy)]
struct Walk<'a> {
    segments: &'a [Segment],
    to: Option<&'a Value>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        match (self.segments.split_first(), self.to) {
            (Some((segment, segments)), to) => {
                deserializer.deserialize_any(Step { segment, rest: Walk { segments, to } })
            }
            (None, None) => IgnoredAny::deserialize(deserializer).map(|_| true),
            (None, Some(to)) => Value::deserialize(deserializer).map(|value| equal(&value, to)),
        }
    }
}

/// Numbers are compared by what they are, not by how they are written: `1` is `1.0`.
fn equal(one: &Value, other: &Value) -> bool {
    one == other
        || matches!((one.as_f64(), other.as_f64()), (Some(one), Some(other)) if one == other)
}

/// One step of a path, from one value of the text.
struct Step<'a> {
    segment: &'a Segment,
    rest: Walk<'a>,
}

impl<'de> serde::de::Visitor<'de> for Step<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(key) = map.next_key::<String>()? {
            let leads = match self.segment {
                Segment::Name(name) => *name == key,
                Segment::Index(_) => false,
                Segment::Any => true,
            };
            match leads && !found {
                true => found = map.next_value_seed(self.rest)?,
                false => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        let mut found = false;
        for at in 0.. {
            let leads = match self.segment {
                Segment::Name(_) => false,
                Segment::Index(index) => *index == at,
                Segment::Any => true,
            };
            let more = match leads && !found {
                true => seq.next_element_seed(self.rest)?.map(|hit| found = hit),
                false => seq.next_element::<IgnoredAny>()?.map(drop),
            };
            if more.is_none() {
                break;
            }
        }
        Ok(found)
    }

    fn visit_bool<E>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E>(self, _: &str) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn leads(path: &str, text: &str, to: Option<Value>) -> bool {
        JsonPath::parse(path).unwrap().leads(text.as_bytes(), to.as_ref())
    }

    #[test]
    fn a_path_leads_to_what_is_there() {
        let text = r#"{"a":{"b c":[1,{"d":null}],"é":true,"q'\"":""},"x":[[1],[2,3]]}"#;
        for path in
            ["$", "$.a", "$.a['b c']", "$['a'][\"b c\"][1].d", "$.a.é", "$.*.*", "$.x[*][1]"]
        {
            assert!(leads(path, text, None), "{path}");
        }
        assert!(leads(r#"$.a['q\'\"']"#, text, None));
        for path in
            ["$.b", "$.a.a", "$[0]", "$.x.a", "$.x[2]", "$.x[*][2]", "$.a.é.x", "$.x[*].*.*"]
        {
            assert!(!leads(path, text, None), "{path}");
        }
    }

    #[test]
    fn a_value_is_compared_with_every_end_of_the_path() {
        let text = r#"{"lines":[{"sku":"A"},{"sku":"B","n":2.0},{"sku":{"x":[1]}}]}"#;
        assert!(leads("$.lines[*].sku", text, Some(json!("B"))));
        assert!(leads("$.lines[*].sku", text, Some(json!({ "x": [1] }))));
        assert!(leads("$.lines[*].n", text, Some(json!(2))));
        assert!(!leads("$.lines[0].sku", text, Some(json!("B"))));
        assert!(!leads("$.lines[*].sku", text, Some(json!("C"))));
        assert!(leads("$", "null", Some(Value::Null)));
    }

    #[test]
    fn what_is_no_json_has_nothing_at_the_end_of_any_path() {
        let deep = "[".repeat(100_000);
        for text in ["", "a", "{", r#"{"a":1"#, r#"{"a":1} x"#, "\u{0}", &deep] {
            assert!(!leads("$.a", text, None), "{text:.20}");
            assert!(!leads("$", text, None), "{text:.20}");
        }
    }

    #[test]
    fn what_could_cost_too_much_is_no_path() {
        let long = format!("${}", ".a".repeat(PATH_BYTES_MAX));
        for path in [
            "",
            "a",
            "$..a",
            "$.",
            "$.a.",
            "$[",
            "$[]",
            "$[-1]",
            "$[01]",
            "$[1:2]",
            "$[?@.a]",
            "$['a]",
            "$['a'",
            r"$['\n']",
            "$.1a",
            "$ .a",
            "$[99999999999999999999]",
            &long,
        ] {
            assert_eq!(JsonPath::parse(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(path in "\\$?[.\\[\\]*'\"\\\\a0é]{0,12}", text in ".{0,40}") {
            if let Some(path) = JsonPath::parse(&path) {
                path.leads(text.as_bytes(), None);
            }
        }
    }
}
