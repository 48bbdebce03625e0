//! Parameters of STS, checked as AWS does: all of them at once, and all that is wrong is told.

use crate::error::Error;

/// What is wrong with the parameters, so far.
#[derive(Debug, Default)]
pub(super) struct Validation(Vec<String>);

/// What a text may be.
pub(super) struct Rule {
    /// As AWS calls it: with a small letter.
    pub(super) name: &'static str,
    pub(super) required: bool,
    /// In characters.
    pub(super) length: std::ops::RangeInclusive<usize>,
    /// Of which characters it is.
    pub(super) pattern: Option<Pattern>,
    /// The value is for the client to know, and not to be repeated.
    pub(super) secret: bool,
}

/// Characters that a text is of.
pub(super) struct Pattern {
    /// What people are told.
    text: &'static str,
    legal: fn(char) -> bool,
}

pub(super) const ROLE_ARN: Rule = Rule::new("roleArn", 20..=2048);
pub(super) const POLICY: Rule =
    Rule { required: false, ..Rule::new("policy", 1..=crate::limits::SESSION_POLICY_BYTES_MAX) };
pub(super) const ROLE_SESSION_NAME: Rule = Rule {
    pattern: Some(Pattern { text: r"[\w+=,.@-]*", legal: |c| is_word(c) || "+=,.@-".contains(c) }),
    ..Rule::new("roleSessionName", 2..=64)
};
pub(super) const EXTERNAL_ID: Rule = Rule {
    required: false,
    pattern: Some(Pattern {
        text: r"[\w+=,.@:\/-]*",
        legal: |c| is_word(c) || "+=,.@:/-".contains(c),
    }),
    ..Rule::new("externalId", 2..=1224)
};
pub(super) const WEB_IDENTITY_TOKEN: Rule =
    Rule { secret: true, ..Rule::new("webIdentityToken", 4..=20_000) };

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

impl Rule {
    const fn new(name: &'static str, length: std::ops::RangeInclusive<usize>) -> Rule {
        Rule { name, required: true, length, pattern: None, secret: false }
    }
}

impl Validation {
    /// A text; empty, it is not there.
    pub(super) fn text<'v>(&mut self, rule: &Rule, value: Option<&'v str>) -> &'v str {
        let value = value.unwrap_or_default();
        if value.is_empty() {
            if rule.required {
                self.fault("null", rule.name, "Member must not be null");
            }
            return value;
        }
        // A character is a byte at least: no text of many is counted.
        let length = match value.len() > 4 * rule.length.end() {
            true => usize::MAX,
            false => value.chars().count(),
        };
        let shown = if rule.secret { "'…'".into() } else { shown(value) };
        if length < *rule.length.start() {
            let what = "Member must have length greater than or equal to";
            self.fault(&shown, rule.name, &format!("{what} {}", rule.length.start()));
        }
        if length > *rule.length.end() {
            let what = "Member must have length less than or equal to";
            self.fault(&shown, rule.name, &format!("{what} {}", rule.length.end()));
        }
        if let Some(Pattern { text, legal }) = &rule.pattern
            && !value.chars().all(legal)
        {
            let what = "Member must satisfy regular expression pattern:";
            self.fault(&shown, rule.name, &format!("{what} {text}"));
        }
        value
    }

    /// A whole number of seconds in a range, or none.
    pub(super) fn seconds(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<u32>,
        value: Option<&str>,
    ) -> Option<u32> {
        let text = value.filter(|text| !text.is_empty())?;
        let Ok(number) = text.parse::<i64>() else {
            self.fault(&shown(text), name, "Member must be an integer");
            return None;
        };
        let what = match number {
            number if number < i64::from(*range.start()) => {
                format!("Member must have value greater than or equal to {}", range.start())
            }
            number if number > i64::from(*range.end()) => {
                format!("Member must have value less than or equal to {}", range.end())
            }
            number => return u32::try_from(number).ok(),
        };
        self.fault(&shown(text), name, &what);
        None
    }

    fn fault(&mut self, value: &str, name: &str, what: &str) {
        let fault = format!("Value {value} at '{name}' failed to satisfy constraint: {what}");
        self.0.push(fault);
    }

    /// `ValidationError` with everything that is wrong.
    pub(super) fn done(self) -> Result<(), Error> {
        let errors = match self.0.len() {
            0 => return Ok(()),
            1 => "1 validation error".into(),
            count => format!("{count} validation errors"),
        };
        Err(Error::ValidationError(format!("{errors} detected: {}", self.0.join("; "))))
    }
}

/// A value in quotation marks; of a long one no more than helps.
fn shown(value: &str) -> String {
    match value.char_indices().nth(256) {
        Some((end, _)) => format!("'{}…'", &value[..end]),
        None => format!("'{value}'"),
    }
}

/// Refuses parameters that mean something, and that this server does not do: whoever gives them must
/// not believe that it did.
pub(super) fn refuse_unsupported(given: &[(&str, bool)]) -> Result<(), Error> {
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((name, _)) => {
            Err(Error::ValidationError(format!("The parameter {name} is not supported here.")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(check: impl FnOnce(&mut Validation)) -> String {
        let mut validation = Validation::default();
        check(&mut validation);
        validation.done().unwrap_err().to_string()
    }

    #[test]
    fn all_that_is_wrong_is_told_in_the_words_of_aws() {
        let said = refusal(|validation| {
            validation.text(&ROLE_ARN, None);
            validation.text(&ROLE_SESSION_NAME, Some("ä"));
            validation.seconds("durationSeconds", 900..=43200, Some("899"));
        });
        assert_eq!(
            said,
            "4 validation errors detected: \
             Value null at 'roleArn' failed to satisfy constraint: Member must not be null; \
             Value 'ä' at 'roleSessionName' failed to satisfy constraint: Member must have length \
             greater than or equal to 2; \
             Value 'ä' at 'roleSessionName' failed to satisfy constraint: Member must satisfy \
             regular expression pattern: [\\w+=,.@-]*; \
             Value '899' at 'durationSeconds' failed to satisfy constraint: Member must have value \
             greater than or equal to 900"
        );
    }

    #[test]
    fn lengths_and_numbers_are_good_up_to_their_limits() {
        let mut validation = Validation::default();
        validation.text(&ROLE_ARN, Some(&"ä".repeat(2048)));
        validation.text(&ROLE_SESSION_NAME, Some(&"a".repeat(64)));
        validation.text(&EXTERNAL_ID, None);
        validation.text(&POLICY, Some(""));
        assert_eq!(validation.seconds("x", 900..=43200, Some("900")), Some(900));
        assert_eq!(validation.seconds("x", 900..=43200, Some("43200")), Some(43200));
        assert_eq!(validation.seconds("x", 900..=43200, None), None);
        assert_eq!(validation.done(), Ok(()));
        for (rule, value) in [
            (&ROLE_ARN, "ä".repeat(2049)),
            (&ROLE_ARN, "x".repeat(100_000)),
            (&ROLE_SESSION_NAME, "a".repeat(65)),
            (&POLICY, "x".repeat(2049)),
        ] {
            let said = refusal(|validation| {
                validation.text(rule, Some(&value));
            });
            assert!(said.contains("less than or equal to"), "{said}");
            assert!(said.len() < 1000);
        }
        for number in ["43201", "x", "-1", "1e3", "99999999999999999999"] {
            let said = refusal(|validation| {
                validation.seconds("durationSeconds", 900..=43200, Some(number));
            });
            assert!(said.contains(&format!("'{number}'")), "{said}");
        }
    }

    #[test]
    fn a_token_is_not_repeated() {
        let said = refusal(|validation| {
            validation.text(&WEB_IDENTITY_TOKEN, Some("abc"));
        });
        assert!(!said.contains("abc"), "{said}");
    }
}
