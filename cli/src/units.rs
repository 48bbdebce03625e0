//! Times and sizes as people write and read them.

use std::time::{Duration, UNIX_EPOCH};

/// The longest time that anybody means, and far from what can be added to a moment: a century.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A time such as `30s`, `5m`, `4d`; a bare number is seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let parsed = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => humantime::parse_duration(text)
            .map_err(|_| "expected a time such as 30s, 5m or 4d".to_owned())?,
    };
    Some(parsed).filter(|time| *time <= LONGEST).ok_or_else(|| "longer than a century".into())
}

/// A size such as `256KiB` or `1MiB`; a bare number is bytes.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err("expected a size such as 1024, 256KiB or 1MiB".into()),
    };
    let number: u64 = digits.trim().parse().map_err(|_| "expected a size such as 256KiB")?;
    number.checked_mul(factor).ok_or_else(|| "too large".into())
}

/// A time for people: `4d`, `1h 30m`.
pub(crate) fn show_seconds(seconds: u64) -> String {
    if seconds == 0 {
        return "0s".into();
    }
    let parts = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let mut rest = seconds;
    let mut shown = Vec::new();
    for (size, unit) in parts {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            shown.push(format!("{count}{unit}"));
        }
    }
    // More than two parts would pretend that the last one matters.
    shown.truncate(2);
    shown.join(" ")
}

/// A time in whole seconds, rounded up: half a second of delay is not none.
pub(crate) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// A moment for people, in UTC; from milliseconds since the Unix epoch.
pub(crate) fn show_moment(milliseconds: u64) -> String {
    let moment = UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds));
    // The years after 9999 are nobody's.
    let shown = moment.filter(|_| milliseconds < 253_402_300_800_000);
    shown.map_or("-".into(), |moment| humantime::format_rfc3339_seconds(moment).to_string())
}

/// A size for people: `256 KiB`, `1.5 MiB`.
pub(crate) fn show_bytes(bytes: u64) -> String {
    let units = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (size, unit) in units {
        if bytes >= size {
            let tenths = bytes * 10 / size;
            return match tenths % 10 {
                0 => format!("{} {unit}", tenths / 10),
                tenth => format!("{}.{tenth} {unit}", tenths / 10),
            };
        }
    }
    format!("{bytes} B")
}

/// A count for people: `1,234,567`.
pub(crate) fn show_count(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_read_as_they_are_written() {
        assert_eq!(parse_duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("4d"), Ok(Duration::from_secs(345_600)));
        assert_eq!(parse_duration("1h 30m"), Ok(Duration::from_secs(5_400)));
        for bad in ["soon", "", "-1s", "101years", "18446744073709551615"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_size("1024"), Ok(1024));
        assert_eq!(parse_size("1MiB"), Ok(1 << 20));
        assert_eq!(parse_size("256 KiB"), Ok(256 << 10));
        for bad in ["", "MiB", "1.5MiB", "1 parsec", "99999999999GiB"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_sizes_and_counts_are_shown_short() {
        assert_eq!(show_seconds(0), "0s");
        assert_eq!(show_seconds(345_600), "4d");
        assert_eq!(show_seconds(93_784), "1d 2h");
        assert_eq!(show_bytes(1_048_576), "1 MiB");
        assert_eq!(show_bytes(1_600), "1.5 KiB");
        assert_eq!(show_count(1_234_567), "1,234,567");
        assert_eq!(show_count(999), "999");
        assert_eq!(whole_seconds(Duration::from_millis(1_500)), 2);
        assert_eq!(show_moment(1_000), "1970-01-01T00:00:01Z");
        assert_eq!(show_moment(u64::MAX), "-");
    }
}
