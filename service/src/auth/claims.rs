//! What a token says about whoever holds it, and what a role wants to hear.

use std::time::Duration;

use serde_json::{Map, Value};

/// The claims of a token whose signature is right.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims(pub Map<String, Value>);

impl Claims {
    /// Whom the token is about: `sub`, which every token of OpenID Connect has.
    pub fn subject(&self) -> Option<&str> {
        self.0.get("sub")?.as_str()
    }

    /// Whom it is meant for: one text, or several.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        let aud = self.0.get("aud");
        let several = aud.and_then(Value::as_array).into_iter().flatten();
        aud.into_iter().chain(several).filter_map(Value::as_str)
    }

    /// A moment such as `exp`, since 1970, in whole seconds; fractions are allowed and dropped.
    pub fn moment(&self, name: &str) -> Option<Duration> {
        let value = self.0.get(name)?;
        // What does not fit is as good as infinite; what is negative is no moment.
        let seconds = value.as_u64().or_else(|| {
            value.as_f64().filter(|seconds| *seconds >= 0.0).map(|seconds| seconds as u64)
        });
        seconds.map(Duration::from_secs)
    }

    /// Whether a claim, or one of its values if it is a list, is as one of the patterns says.
    pub fn has(&self, name: &str, patterns: &[String]) -> bool {
        let is_like = |value: &Value| {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Bool(bool) => bool.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => return false,
            };
            patterns.iter().any(|pattern| like(pattern, &text))
        };
        match self.0.get(name) {
            Some(Value::Array(values)) => values.iter().any(is_like),
            Some(value) => is_like(value),
            None => false,
        }
    }
}

/// Whether all of `text` is as `pattern` says, in which `*` stands for anything and `?` for one
/// character.
pub fn like(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // Behind the last `*`, and the text that it has not taken yet: an earlier one never has to take
    // more, so the time is at most the product of the lengths.
    let mut retry = None;
    loop {
        let before = text.clone();
        match (pattern.next(), text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                text = before;
                retry = Some((pattern.clone(), text.clone()));
            }
            (Some('?'), Some(_)) => {}
            (Some(wanted), Some(c)) if wanted == c => {}
            (Some(_), None) => return false,
            (_, Some(_)) => {
                let Some((after, from)) = &mut retry else { return false };
                from.next();
                pattern = after.clone();
                text = from.clone();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Claims {
        let Value::Object(map) = value else { panic!("claims are an object") };
        Claims(map)
    }

    #[test]
    fn patterns_have_stars_and_question_marks() {
        for (pattern, yes, no) in [
            ("", &[""][..], &["a"][..]),
            ("*", &["", "a:b/c"], &[]),
            ("a*", &["a", "ab"], &["", "ba"]),
            ("*a?", &["ab", "xaab"], &["a", "abc"]),
            ("a*b*c", &["abc", "axbxc", "abbcbc"], &["ab", "acb", "abcd"]),
        ] {
            assert!(yes.iter().all(|text| like(pattern, text)), "{pattern}");
            assert!(!no.iter().any(|text| like(pattern, text)), "{pattern}");
        }
        assert!(!like(&"a*".repeat(1000), &"b".repeat(4000)));
    }

    #[test]
    fn a_claim_may_be_a_text_a_number_a_boolean_or_a_list() {
        let claims = claims(json!({
            "sub": "system:serviceaccount:shop:orders", "aud": ["a", "b"], "level": 3,
            "admin": true, "odd": {"sub": "x"}, "nothing": null,
        }));
        let has = |name: &str, pattern: &str| claims.has(name, &[pattern.to_string()]);
        assert!(has("sub", "system:serviceaccount:shop:*") && has("level", "3"));
        assert!(has("aud", "b") && has("admin", "true"));
        assert!(!has("sub", "system:serviceaccount:other:*") && !has("aud", "c"));
        assert!(!has("odd", "*") && !has("nothing", "*") && !has("missing", "*"));
        assert!(!claims.has("sub", &[]));
        assert_eq!(claims.audiences().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn moments_are_numbers_that_are_not_negative() {
        let claims = claims(json!({"a": 5, "b": 5.9, "c": -1, "d": "5", "e": 1e300, "f": -0.5}));
        let seconds = |name| claims.moment(name).map(|moment| moment.as_secs());
        assert_eq!([seconds("a"), seconds("b")], [Some(5), Some(5)]);
        assert_eq!([seconds("c"), seconds("d"), seconds("f")], [None, None, None]);
        assert_eq!(seconds("e"), Some(u64::MAX));
    }
}
