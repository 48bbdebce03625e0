//! Whether a condition holds. Source: facts sheet, 10.4, and AWS' reference of its operators.

use std::net::IpAddr;

use super::document::{Condition, Quantifier, Test};
use super::operands::{Moment, Number, Operands};
use super::wildcards::{Piece, Reading, exactly, ignoring_case, matches, resolve, wild};

/// Looks variables up, in policies that know them.
pub(super) type Variables<'a> = Option<&'a dyn Fn(&str) -> Option<String>>;

/// Whether a condition holds, given the values of its key; `None` when nobody can tell, because what
/// it compares with is not what its operator compares.
pub(super) fn holds(
    condition: &Condition,
    values: &[String],
    variables: Variables<'_>,
) -> Option<bool> {
    let Condition { operator, operands, .. } = condition;
    if *operands == Operands::Unreadable {
        return None;
    }
    if operator.test == Test::Null {
        let holds = |value: &String| value.eq_ignore_ascii_case("true") == values.is_empty();
        return Some(condition.values.iter().any(holds));
    }
    let (test, negated) = base(operator.test);
    if values.is_empty() {
        let absent_passes = match operator.quantifier {
            Some(Quantifier::All) => true,
            Some(Quantifier::Any) => false,
            // What is not there is not equal to anything.
            None => negated,
        };
        return Some(operator.if_exists || absent_passes);
    }
    let equals = |value: &String| passes(test, condition, value, variables);
    Some(match (operator.quantifier, negated) {
        (Some(Quantifier::All), false) => values.iter().all(equals),
        (Some(Quantifier::Any) | None, false) => values.iter().any(equals),
        (Some(Quantifier::All) | None, true) => !values.iter().any(equals),
        (Some(Quantifier::Any), true) => !values.iter().all(equals),
    })
}

/// Every `…Not…` is the opposite of another test.
fn base(test: Test) -> (Test, bool) {
    match test {
        Test::StringNotEquals => (Test::StringEquals, true),
        Test::StringNotEqualsIgnoreCase => (Test::StringEqualsIgnoreCase, true),
        Test::StringNotLike => (Test::StringLike, true),
        Test::NumericNotEquals => (Test::NumericEquals, true),
        Test::DateNotEquals => (Test::DateEquals, true),
        Test::NotIpAddress => (Test::IpAddress, true),
        // The two are the same: AWS takes wildcards with both.
        Test::ArnEquals => (Test::ArnLike, false),
        Test::ArnNotEquals | Test::ArnNotLike => (Test::ArnLike, true),
        test => (test, false),
    }
}

/// Whether one value of the request passes a test with any of the condition's values.
fn passes(test: Test, condition: &Condition, value: &str, variables: Variables<'_>) -> bool {
    match &condition.operands {
        Operands::Numbers(all) => {
            let order = |number: Number| all.iter().any(|one| compare(test, &number, one));
            Number::parse(value).is_some_and(order)
        }
        Operands::Moments(all) => {
            let order = |moment: Moment| all.iter().any(|one| compare(test, &moment, one));
            Moment::parse(value).is_some_and(order)
        }
        Operands::Networks(all) => value.parse::<IpAddr>().is_ok_and(|address| {
            let address = address.to_canonical();
            all.iter().any(|network| network.contains(&address))
        }),
        Operands::Unreadable => false,
        Operands::Texts => {
            condition.values.iter().any(|wanted| is_text(test, wanted, value, variables))
        }
    }
}

fn compare<T: PartialOrd>(test: Test, value: &T, wanted: &T) -> bool {
    match test {
        Test::NumericLessThan | Test::DateLessThan => value < wanted,
        Test::NumericLessThanEquals | Test::DateLessThanEquals => value <= wanted,
        Test::NumericGreaterThan | Test::DateGreaterThan => value > wanted,
        Test::NumericGreaterThanEquals | Test::DateGreaterThanEquals => value >= wanted,
        _ => value == wanted,
    }
}

fn is_text(test: Test, wanted: &str, value: &str, variables: Variables<'_>) -> bool {
    let is = match test {
        Test::StringEquals => is_same(wanted, value, Piece::Char, exactly, variables),
        Test::StringEqualsIgnoreCase | Test::Bool => {
            is_same(wanted, value, Piece::Char, ignoring_case, variables)
        }
        Test::StringLike => is_like(wanted, value, variables),
        Test::ArnLike => Some(is_arn_like(wanted, value, variables)),
        _ => Some(wanted == value),
    };
    // A variable that the request does not have is equal to nothing.
    is.unwrap_or(false)
}

/// Whether a text is like a pattern, the way resources and `StringLike` have it; `None` where there is
/// a variable that the request does not have.
pub(super) fn is_like(pattern: &str, text: &str, variables: Variables<'_>) -> Option<bool> {
    is_same(pattern, text, wild, exactly, variables)
}

fn is_same(
    pattern: &str,
    text: &str,
    reading: Reading,
    same: fn(char, char) -> bool,
    variables: Variables<'_>,
) -> Option<bool> {
    match variables.filter(|_| pattern.contains("${")) {
        None => Some(matches(pattern.chars().map(reading), text, same)),
        Some(look_up) => resolve(pattern, reading, look_up)
            .map(|pattern| matches(pattern.iter().copied(), text, same)),
    }
}

/// Part by part: a `*` in the account's place stands for accounts and never for more.
fn is_arn_like(pattern: &str, arn: &str, variables: Variables<'_>) -> bool {
    if pattern == "*" {
        return true;
    }
    let (mut patterns, mut parts) = (arn_parts(pattern), arn.splitn(6, ':'));
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if is_like(pattern, part, variables) == Some(true) => {}
            _ => return false,
        }
    }
}

/// The parts of an ARN, in which a colon within a variable separates nothing.
fn arn_parts(arn: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(arn);
    let mut count = 0;
    std::iter::from_fn(move || {
        let text = rest?;
        count += 1;
        let mut depth = false;
        let end = text.char_indices().find(|&(at, c)| {
            match c {
                '{' if text[..at].ends_with('$') => depth = true,
                '}' => depth = false,
                _ => {}
            }
            c == ':' && !depth
        });
        match end.filter(|_| count < 6) {
            Some((at, _)) => {
                rest = Some(&text[at + 1..]);
                Some(&text[..at])
            }
            None => {
                rest = None;
                Some(text)
            }
        }
    })
}
