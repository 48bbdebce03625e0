//! What proxies say about how a client reached them, and from where. Only of those that are trusted is
//! any of it believed, and of that only the headers that they are known to write: what a proxy does not
//! know it passes on as the client wrote it.

use std::net::{IpAddr, SocketAddr};

use hyper::header::HeaderMap;
use ipnet::IpNet;

use crate::api::call::Origin;
use crate::api::respond::text_header;
use crate::config::ProxyHeaders;

/// What a proxy says about how the client reached it. The first of several proxies is the one the
/// client saw.
pub(super) fn origin(headers: &HeaderMap, written: ProxyHeaders, direct: Origin) -> Origin {
    let first = |name: &'static str| {
        let value = text_header(headers, name)?.split(',').next()?.trim();
        (!value.is_empty()).then_some(value)
    };
    let (scheme, host) = match written {
        ProxyHeaders::XForwarded => (first("x-forwarded-proto"), first("x-forwarded-host")),
        ProxyHeaders::Forwarded => {
            let hop = first("forwarded").unwrap_or_default();
            (parameter(hop, "proto"), parameter(hop, "host"))
        }
    };
    Origin {
        scheme: scheme
            .and_then(|scheme| ["http", "https"].into_iter().find(|known| *known == scheme))
            .unwrap_or(direct.scheme),
        host: host.filter(|host| is_host(host)).map_or(direct.host, String::from),
    }
}

/// From whom a chain of proxies has a request, each of which has added whom it had it from: so the
/// last that we do not trust is the client, and what stands before it is what the client says, in
/// whatever bytes.
pub(super) fn source(
    headers: &HeaderMap,
    written: ProxyHeaders,
    trusted: &[IpNet],
) -> Option<IpAddr> {
    let name = match written {
        ProxyHeaders::XForwarded => "x-forwarded-for",
        ProxyHeaders::Forwarded => "forwarded",
    };
    let values = headers.get_all(name).into_iter();
    let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    let mut nearest = None;
    for hop in values.iter().flat_map(|value| value.split(',')).rev() {
        let hop = match written {
            ProxyHeaders::XForwarded => Some(hop.trim()),
            ProxyHeaders::Forwarded => parameter(hop, "for"),
        };
        // An address with or without a port; a proxy may also hide it.
        let Some(address) = hop.and_then(address) else { break };
        nearest = Some(address);
        if !is_trusted(trusted, address) {
            break;
        }
    }
    nearest
}

/// A parameter of one hop of `Forwarded` (RFC 7239).
fn parameter<'h>(hop: &'h str, name: &str) -> Option<&'h str> {
    hop.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>();
    let address = address.or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// Whether an address, which is not IPv4's in the clothes of IPv6, is in one of these networks.
pub(super) fn is_trusted(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// Whether this can stand in a URL as the name of a host, with or without a port. Whatever else a
/// client calls us goes into no URL.
pub(super) fn is_host(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._~:[]".contains(c);
    !text.is_empty() && text.chars().all(legal)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::ProxyHeaders::{Forwarded, XForwarded};
    use super::*;

    fn map(headers: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        map
    }

    #[test]
    fn a_proxy_says_how_it_was_reached() {
        let origin = |written, headers: &[(&'static str, &[u8])]| {
            let direct = Origin { scheme: "http", host: "10.0.0.1:9324".into() };
            let Origin { scheme, host } = origin(&map(headers), written, direct);
            format!("{scheme}://{host}")
        };
        for (written, headers, expected) in [
            (XForwarded, &[][..], "http://10.0.0.1:9324"),
            (
                XForwarded,
                &[
                    ("x-forwarded-proto", &b"https"[..]),
                    ("x-forwarded-host", b"sqs.example, inner"),
                ],
                "https://sqs.example",
            ),
            (
                Forwarded,
                &[("forwarded", b"for=1.2.3.4;Proto=https;host=\"sqs.example:8443\", for=x")],
                "https://sqs.example:8443",
            ),
            (Forwarded, &[("forwarded", b"host=\"[2001:db8::1]:80\"")], "http://[2001:db8::1]:80"),
            // What the proxy does not write is the client's.
            (XForwarded, &[("forwarded", b"proto=https;host=evil")], "http://10.0.0.1:9324"),
            (Forwarded, &[("x-forwarded-proto", b"https")], "http://10.0.0.1:9324"),
            (Forwarded, &[("x-forwarded-host", b"evil")], "http://10.0.0.1:9324"),
        ] {
            assert_eq!(origin(written, headers), expected, "{headers:?}");
        }
        for (written, name, odd) in [
            (XForwarded, "x-forwarded-proto", "javascript"),
            (XForwarded, "x-forwarded-host", "you@evil.example"),
            (XForwarded, "x-forwarded-host", "evil.example/path"),
            (XForwarded, "x-forwarded-host", ","),
            (Forwarded, "forwarded", "host=\"a b\""),
            (Forwarded, "forwarded", "host;proto"),
        ] {
            assert_eq!(
                origin(written, &[(name, odd.as_bytes())]),
                "http://10.0.0.1:9324",
                "{name}: {odd}"
            );
        }
    }

    #[test]
    fn the_client_is_whom_the_first_trusted_proxy_saw() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let client = |written, headers: &[(&'static str, &[u8])]| {
            let found = source(&map(headers), written, &trusted);
            found.map_or_else(String::new, |address| address.to_string())
        };
        let x = "x-forwarded-for";
        for (written, headers, expected) in [
            (XForwarded, &[][..], ""),
            (XForwarded, &[(x, &b"192.0.2.7"[..])], "192.0.2.7"),
            // What a client claims stands before what the proxies saw, whatever it is.
            (XForwarded, &[(x, b"127.0.0.1, 192.0.2.7, 10.1.1.1")], "192.0.2.7"),
            (XForwarded, &[(x, b"\xff, 192.0.2.7")], "192.0.2.7"),
            (XForwarded, &[(x, b"1.1.1.1"), (x, b"192.0.2.7")], "192.0.2.7"),
            (XForwarded, &[(x, b"\xff"), (x, b"192.0.2.7")], "192.0.2.7"),
            (XForwarded, &[(x, b"10.2.2.2,10.1.1.1")], "10.2.2.2"),
            (XForwarded, &[(x, b"192.0.2.7:4711")], "192.0.2.7"),
            (XForwarded, &[(x, b"[2001:db8::1]:80")], "2001:db8::1"),
            (XForwarded, &[(x, b"1.1.1.1, unknown")], ""),
            (XForwarded, &[(x, b"::ffff:192.0.2.7")], "192.0.2.7"),
            (
                Forwarded,
                &[("forwarded", b"for=1.1.1.1, for=\"[2001:db8::1]\";proto=https")],
                "2001:db8::1",
            ),
            (Forwarded, &[("forwarded", b"for=\", for=192.0.2.7")], "192.0.2.7"),
            // What the proxy does not write is the client's.
            (XForwarded, &[("forwarded", b"for=1.1.1.1"), (x, b"192.0.2.7")], "192.0.2.7"),
            (Forwarded, &[("forwarded", b"for=192.0.2.7"), (x, b"1.1.1.1")], "192.0.2.7"),
            (XForwarded, &[("forwarded", b"for=1.1.1.1")], ""),
            (Forwarded, &[("forwarded", b"proto=https"), (x, b"1.1.1.1")], ""),
        ] {
            assert_eq!(client(written, headers), expected, "{headers:?}");
        }
    }
}
