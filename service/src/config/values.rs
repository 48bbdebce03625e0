//! What an option's value may be, and what is wrong with one that is not.

use std::net::IpAddr;

use ipnet::IpNet;

use super::FreeSpaceMark;
use crate::model::queue::{AccountId, Region};

/// What a text, a number, `true` or `false` says.
pub(crate) fn scalar(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(on) => Some(on.to_string()),
        _ => None,
    }
}

pub(super) fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

pub(super) fn parse_public_url(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    match host {
        Some(host) if !host.is_empty() && host.chars().all(|c| c.is_ascii_graphic()) => {
            Ok(url.into())
        }
        _ => Err("a URL that starts with http:// or https://, please".into()),
    }
}

pub(super) fn parse_network(text: &str) -> Result<IpNet, String> {
    let single = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>()
        .or_else(|_| single())
        .map_err(|_| "a network such as 10.0.0.0/8 or fd00::/8, or an address, please".into())
}

pub(super) fn parse_account(text: &str) -> Result<AccountId, String> {
    AccountId::parse(text).ok_or_else(|| "twelve digits, please".into())
}

pub(super) fn parse_region(text: &str) -> Result<Region, String> {
    Region::parse(text).ok_or_else(|| {
        "a name such as us-east-1, please: 1 to 32 lower-case letters, digits and dashes".into()
    })
}

pub(super) fn parse_mark(text: &str) -> Result<FreeSpaceMark, String> {
    match text {
        "auto" => Ok(FreeSpaceMark::Auto),
        size => parse_size(size)
            .map(|bytes| FreeSpaceMark::Bytes(bytes as u64))
            .map_err(|error| format!("auto, or {error}")),
    }
}

/// A size in bytes: `1048576`, `192MiB`, `64 MB`. Units of a thousand end in `B` alone.
pub(super) fn parse_size(text: &str) -> Result<usize, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: Option<u64> = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kib" => Some(1 << 10),
        "m" | "mib" => Some(1 << 20),
        "g" | "gib" => Some(1 << 30),
        "t" | "tib" => Some(1 << 40),
        "kb" => Some(1_000),
        "mb" => Some(1_000_000),
        "gb" => Some(1_000_000_000),
        "tb" => Some(1_000_000_000_000),
        _ => None,
    };
    let bytes = || number.parse::<u64>().ok()?.checked_mul(factor?)?.try_into().ok();
    bytes().ok_or_else(|| "a size such as 67108864, 64MiB or 4GiB, please".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in
            [("0", 0), ("7b", 7), ("1k", 1024), ("2 MiB", 2 << 20), ("3GB", 3_000_000_000)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5GiB", "1 parsec", "99999999999999TiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_judged_by_what_it_is() {
        assert!(is_loopback("::ffff:127.0.0.1".parse().unwrap()));
        assert!(!is_loopback("::ffff:10.0.0.1".parse().unwrap()));
    }
}
