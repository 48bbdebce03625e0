//! What a token says about whoever holds it, and what a role wants to hear.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::model::policy::wildcards::{exactly, matches, wild};

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

    /// Whether a claim, or one of its values if it is a list, is as one of the patterns says, in which
    /// `*` stands for anything and `?` for one character.
    pub fn has(&self, name: &str, patterns: &[String]) -> bool {
        let is_like = |value: &Value| {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Bool(bool) => bool.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => return false,
            };
            patterns.iter().any(|pattern| matches(pattern.chars().map(wild), &text, exactly))
        };
        match self.0.get(name) {
            Some(Value::Array(values)) => values.iter().any(is_like),
            Some(value) => is_like(value),
            None => false,
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
