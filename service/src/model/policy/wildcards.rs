//! Patterns of the policy language: `*` stands for anything, `?` for one character. With variables,
//! `${aws:username}`, a pattern is put together for each request; what a variable brings along is
//! taken as it is and never as a wildcard.

/// A part of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Char(char),
    /// `?`
    One,
    /// `*`
    Many,
}

/// What a character of a pattern means.
pub(super) type Reading = fn(char) -> Piece;

/// `*` and `?` are wildcards.
pub(crate) fn wild(c: char) -> Piece {
    match c {
        '*' => Piece::Many,
        '?' => Piece::One,
        c => Piece::Char(c),
    }
}

impl Piece {
    fn takes(self, c: char, same: fn(char, char) -> bool) -> bool {
        match self {
            Piece::Char(wanted) => same(wanted, c),
            Piece::One | Piece::Many => true,
        }
    }
}

/// Whether characters are the same.
pub(crate) fn exactly(a: char, b: char) -> bool {
    a == b
}

/// Whether characters are the same but for their case.
pub(super) fn ignoring_case(a: char, b: char) -> bool {
    a == b || a.to_lowercase().eq(b.to_lowercase())
}

/// Whether all of `text` is as the pattern says.
pub(crate) fn matches(
    pattern: impl Iterator<Item = Piece> + Clone,
    text: &str,
    same: fn(char, char) -> bool,
) -> bool {
    let (mut pattern, mut text) = (pattern, text.chars());
    // The last `*`, and the text it may begin to give up: an earlier one never has to take more,
    // so the time is at most the product of the lengths.
    let mut retry = None;
    loop {
        let before = text.clone();
        match (pattern.next(), text.next()) {
            (None, None) => return true,
            (Some(Piece::Many), _) => {
                text = before;
                retry = Some((pattern.clone(), text.clone()));
            }
            (Some(piece), Some(c)) if piece.takes(c, same) => {}
            (Some(_), None) => return false,
            (_, Some(_)) => {
                let Some((after, from)) = &mut retry else { return false };
                // There is something: what did not match lies further on.
                from.next();
                pattern = after.clone();
                text = from.clone();
            }
        }
    }
}

/// A pattern with variables, for one request. `look_up` answers a variable by its name; `None` when
/// there is one that the request does not have and that has no default: such a pattern matches
/// nothing.
pub(super) fn resolve(
    pattern: &str,
    reading: Reading,
    look_up: impl Fn(&str) -> Option<String>,
) -> Option<Vec<Piece>> {
    let mut resolved = Vec::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some((before, from)) = rest.split_once("${") {
        let Some((variable, after)) = from.split_once('}') else { break };
        resolved.extend(before.chars().map(reading));
        match variable {
            // The way to write what would otherwise be a wildcard or begin a variable.
            "*" | "?" | "$" => resolved.extend(variable.chars().map(Piece::Char)),
            variable => {
                let (name, default) = match variable.split_once(',') {
                    None => (variable, None),
                    Some((name, default)) => (name, unquote(default)),
                };
                let value = look_up(name.trim()).or_else(|| default.map(String::from))?;
                resolved.extend(value.chars().map(Piece::Char));
            }
        }
        rest = after;
    }
    resolved.extend(rest.chars().map(reading));
    Some(resolved)
}

/// The default of a variable: `${aws:username, 'nobody'}`.
fn unquote(text: &str) -> Option<&str> {
    text.trim().strip_prefix('\'')?.strip_suffix('\'')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn like(pattern: &str, text: &str) -> bool {
        matches(pattern.chars().map(wild), text, exactly)
    }

    #[test]
    fn stars_and_question_marks_are_wildcards() {
        for (pattern, yes, no) in [
            ("", &[""][..], &["a"][..]),
            ("*", &["", "a", "a:b/c"], &[]),
            ("?", &["a", "ä"], &["", "ab"]),
            ("a*", &["a", "ab", "a*"], &["", "ba"]),
            ("*a", &["a", "ba", "aa"], &["ab"]),
            ("a*b*c", &["abc", "axbxc", "abbcbc"], &["ab", "acb", "abcd"]),
            ("*a?", &["ab", "xaab"], &["a", "abc"]),
            ("a**b", &["ab", "axb"], &["a"]),
        ] {
            assert!(yes.iter().all(|text| like(pattern, text)), "{pattern}");
            assert!(!no.iter().any(|text| like(pattern, text)), "{pattern}");
        }
        assert!(matches("SQS:send*".chars().map(wild), "sqs:SendMessage", ignoring_case));
        assert!(!like("SQS:send*", "sqs:SendMessage"));
    }

    #[test]
    fn many_stars_take_no_time_to_speak_of() {
        assert!(!like(&"a*".repeat(2000), &"a".repeat(4000).replacen('a', "b", 1)));
        assert!(!like(&("*a".repeat(1000) + "b"), &"a".repeat(3000)));
    }

    #[test]
    fn variables_bring_no_wildcards_along() {
        let like = |pattern: &str, text: &str| {
            let look_up = |name: &str| match name {
                "aws:username" => Some("an*na".to_string()),
                _ => None,
            };
            resolve(pattern, wild, look_up)
                .is_some_and(|resolved| matches(resolved.iter().copied(), text, exactly))
        };
        assert!(like("q-${aws:username}-*", "q-an*na-1"));
        assert!(!like("q-${aws:username}", "q-anxna"));
        assert!(like("${*}${?}${$}", "*?$") && !like("${*}", "x"));
        assert!(!like("${aws:other}", "") && !like("${aws:other}*", "x"));
        assert!(like("${aws:other, 'x'}", "x") && like("${aws:username, 'x'}", "an*na"));
        // What is never closed is text.
        assert!(like("a${b", "a${b"));
    }

    proptest! {
        #[test]
        fn the_matcher_agrees_with_the_obvious_one(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            fn obvious(pattern: &[u8], text: &[u8]) -> bool {
                match (pattern, text) {
                    ([], text) => text.is_empty(),
                    ([b'*', rest @ ..], text) => {
                        (0..=text.len()).any(|skipped| obvious(rest, &text[skipped..]))
                    }
                    ([b'?', rest @ ..], [_, text @ ..]) => obvious(rest, text),
                    ([c, rest @ ..], [d, text @ ..]) => c == d && obvious(rest, text),
                    _ => false,
                }
            }
            prop_assert_eq!(like(&pattern, &text), obvious(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
