//! The values of a condition, read once as what its operator compares. Source: facts sheet, 10.4.

use std::net::IpAddr;

use ipnet::IpNet;
use time::format_description::well_known::Iso8601;
use time::{Date, OffsetDateTime, PrimitiveDateTime, UtcOffset};

use super::document::Test;

/// How many bits of an IPv6 address say that an IPv4 one follows.
const MAPPED_PREFIX_BITS: u8 = 96;

/// What the values of one condition are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operands {
    /// Nothing but text, in which there may be wildcards or variables.
    Texts,
    /// Of `Numeric…`
    Numbers(Vec<Number>),
    /// Of `Date…`
    Moments(Vec<Moment>),
    /// Of `IpAddress` and `NotIpAddress`
    Networks(Vec<IpNet>),
    /// At least one value is not what the operator compares. A queue takes no such policy; one that
    /// is there all the same allows nothing by this condition, and does not keep a denial away.
    Unreadable,
}

/// A finite number.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Number(f64);

// Only finite numbers are parsed.
impl Eq for Number {}

/// A point in time, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(i128);

impl Operands {
    /// The values of a condition with this test.
    pub(super) fn read(test: Test, values: &[String]) -> Operands {
        fn each<T>(
            values: &[String],
            read: fn(&str) -> Option<T>,
            kind: fn(Vec<T>) -> Operands,
        ) -> Operands {
            let all: Option<Vec<T>> = values.iter().map(|text| read(text)).collect();
            all.map_or(Operands::Unreadable, kind)
        }
        let is_bool =
            |text: &String| ["true", "false"].iter().any(|b| text.eq_ignore_ascii_case(b));
        match test {
            Test::NumericEquals
            | Test::NumericNotEquals
            | Test::NumericLessThan
            | Test::NumericLessThanEquals
            | Test::NumericGreaterThan
            | Test::NumericGreaterThanEquals => each(values, Number::parse, Operands::Numbers),
            Test::DateEquals
            | Test::DateNotEquals
            | Test::DateLessThan
            | Test::DateLessThanEquals
            | Test::DateGreaterThan
            | Test::DateGreaterThanEquals => each(values, Moment::parse, Operands::Moments),
            Test::IpAddress | Test::NotIpAddress => each(values, network, Operands::Networks),
            Test::Null if !values.iter().all(is_bool) => Operands::Unreadable,
            _ => Operands::Texts,
        }
    }
}

impl Number {
    pub(super) fn parse(text: &str) -> Option<Number> {
        text.trim().parse().ok().filter(|number: &f64| number.is_finite()).map(Number)
    }
}

impl Moment {
    /// A date, a date with a time (UTC, where it does not say), or seconds since 1970.
    pub(super) fn parse(text: &str) -> Option<Moment> {
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit()) {
            return text
                .parse::<u64>()
                .ok()
                .map(|seconds| Moment(i128::from(seconds) * 1_000_000_000));
        }
        let format = &Iso8601::DEFAULT;
        let moment = OffsetDateTime::parse(text, format)
            .or_else(|_| PrimitiveDateTime::parse(text, format).map(PrimitiveDateTime::assume_utc))
            .or_else(|_| {
                Date::parse(text, format).map(|date| date.midnight().assume_offset(UtcOffset::UTC))
            });
        moment.ok().map(|moment| Moment(moment.unix_timestamp_nanos()))
    }
}

/// An address counts as its own network; one of IPv4 in IPv6's clothes, as networks are too, is the
/// IPv4 one it is: so is the peer's that it will be compared with.
fn network(text: &str) -> Option<IpNet> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()?;
    let bare = match network {
        IpNet::V6(v6) => {
            v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(MAPPED_PREFIX_BITS))
        }
        IpNet::V4(_) => None,
    };
    match bare {
        Some((address, bits)) => IpNet::new(address.into(), bits).ok(),
        None => Some(network),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_date_a_time_or_seconds() {
        let seconds = |seconds: i128| Some(Moment(seconds * 1_000_000_000));
        for (text, expected) in [
            ("0", seconds(0)),
            ("1767225600", seconds(1_767_225_600)),
            ("2026-01-01", seconds(1_767_225_600)),
            ("2026-01-01T00:00:00Z", seconds(1_767_225_600)),
            ("2026-01-01T00:00:00", seconds(1_767_225_600)),
            ("2026-01-01T00:00Z", seconds(1_767_225_600)),
            ("2026-01-01T02:00:00+02:00", seconds(1_767_225_600)),
            ("2026-01-01T00:00:00.5Z", Some(Moment(1_767_225_600_500_000_000))),
            ("", None),
            ("yesterday", None),
            ("2026-13-01", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(Moment::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn an_address_is_the_same_in_either_family() {
        for (text, expected) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.7", "10.0.0.7/32"),
            ("::ffff:10.0.0.7", "10.0.0.7/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::ffff:0:0/95", "::ffff:0:0/95"),
            ("2001:db8::/32", "2001:db8::/32"),
        ] {
            assert_eq!(network(text), Some(expected.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_an_operator_cannot_compare_is_known() {
        let read = |test, value: &str| Operands::read(test, &[value.to_string()]);
        for (test, good, bad) in [
            (Test::NumericEquals, "-1.5e3", "NaN"),
            (Test::NumericLessThan, "7", "seven"),
            (Test::DateEquals, "2026-01-01", "soon"),
            (Test::IpAddress, "10.0.0.0/8", "10.0.0.0/33"),
            (Test::NotIpAddress, "2001:db8::1", "localhost"),
            (Test::Null, "True", "yes"),
        ] {
            assert_ne!(read(test, good), Operands::Unreadable, "{good}");
            assert_eq!(read(test, bad), Operands::Unreadable, "{bad}");
        }
    }
}
