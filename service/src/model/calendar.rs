//! Real time as calendars have it: what signatures and tokens are dated with. Never the engine's.

use std::fmt;
use std::time::Duration;

const DAY_S: u64 = 24 * 60 * 60;

/// A second of real time, since 1970. Written in ISO 8601's basic format: `20260115T120000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// Parses what [`Moment`] is shown as, and nothing else. Years are those since 1970.
    pub fn parse(text: &str) -> Option<Moment> {
        let text: &[u8; 16] = text.as_bytes().try_into().ok()?;
        if (text[8], text[15]) != (b'T', b'Z') {
            return None;
        }
        let number = |digits: &[u8]| {
            let digit =
                |sum: u64, c: &u8| c.is_ascii_digit().then(|| sum * 10 + u64::from(c - b'0'));
            digits.iter().try_fold(0, digit)
        };
        let (year, month, day) = (number(&text[..4])?, number(&text[4..6])?, number(&text[6..8])?);
        let (hour, minute, second) =
            (number(&text[9..11])?, number(&text[11..13])?, number(&text[13..15])?);
        if year < 1970 || !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let days = days(year, month, day);
        // The thirtieth of February is another day.
        (date(days) == (year, month, day))
            .then(|| Moment(days * DAY_S + hour * 3600 + minute * 60 + second))
    }

    /// The second that a time since 1970 is in.
    pub fn of(since_1970: Duration) -> Moment {
        Moment(since_1970.as_secs())
    }

    /// So many seconds later.
    pub fn plus(self, seconds: u64) -> Moment {
        Moment(self.0.saturating_add(seconds))
    }

    /// So many seconds earlier, but not before 1970.
    pub fn minus(self, seconds: u64) -> Moment {
        Moment(self.0.saturating_sub(seconds))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date(self.0 / DAY_S);
        let (hour, minute, second) = (self.0 / 3600 % 24, self.0 / 60 % 60, self.0 % 60);
        write!(f, "{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
    }
}

/// Year, month and day, so many days after 1970 began. The year is counted from March, so that a
/// leap day is its last.
pub fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// How many days after 1970 began a date since then is; the way back from [`date`].
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * month + 2) / 5 + day;
    year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_469
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_has_one_date() {
        for day in 0..200_000 {
            let (year, month, of_month) = date(day);
            assert_eq!(days(year, month, of_month), day);
        }
    }

    #[test]
    fn a_moment_has_one_spelling() {
        for (text, seconds) in [
            ("19700101T000000Z", 0),
            ("20000229T235959Z", 951_868_799),
            ("20260115T120000Z", 1_768_478_400),
            ("99991231T235959Z", 253_402_300_799),
        ] {
            assert_eq!(Moment::parse(text), Some(Moment(seconds)));
            assert_eq!(Moment(seconds).to_string(), text);
        }
        for odd in [
            "",
            "20260115T120000",
            "20260115T120000z",
            "20260115 120000Z",
            "2026-01-15T12:00:00Z",
            "20260230T120000Z",
            "20260015T120000Z",
            "20261301T120000Z",
            "20260100T120000Z",
            "20260115T240000Z",
            "20260115T126000Z",
            "20260115T120060Z",
            "19691231T235959Z",
            "2026011５T12000Z",
            "+0260115T120000Z",
        ] {
            assert_eq!(Moment::parse(odd), None, "{odd}");
        }
    }
}
