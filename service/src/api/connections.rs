//! How many connections there may be, in all and of one address, and what became of those that went
//! wrong.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::counter::Counter;
use rustix::process::{Resource, getrlimit};

use crate::config::transport::TransportConfig;

/// How many connections there may be at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionBounds {
    /// In all.
    pub total_max: usize,
    /// Of one address.
    pub per_address_max: usize,
}

impl ConnectionBounds {
    /// As configured, but so that a quarter of the files that this process may open is left for
    /// others than connections: a store that cannot open a file is in trouble.
    pub fn new(config: &TransportConfig) -> ConnectionBounds {
        let configured = config.max_connections;
        let possible = getrlimit(Resource::Nofile).current.map_or(configured, connections_of_files);
        if possible < configured {
            tracing::info!("at most {possible} connections: the limit of open files is too low");
        }
        ConnectionBounds {
            total_max: configured.min(possible),
            per_address_max: config.max_connections_per_address,
        }
    }
}

fn connections_of_files(files: u64) -> usize {
    usize::try_from(files - files / 4).unwrap_or(usize::MAX)
}

/// What went wrong with connections, counted from the start.
#[derive(Debug, Default)]
pub struct Incidents {
    /// Closed at once: too many in all.
    pub refused: Counter,
    /// Closed at once: too many of one address.
    pub refused_of_address: Counter,
    /// Closed after too long without a request.
    pub idle: Counter,
    /// Closed because a request's headers were too long.
    pub headers_too_large: Counter,
    /// Requests whose bodies took too long in all.
    pub bodies_late: Counter,
    /// Requests whose bodies came too slowly.
    pub bodies_slow: Counter,
    /// Requests that took too long, from their headers to their answers.
    pub requests_late: Counter,
    /// TLS handshakes that failed.
    pub handshakes_failed: Counter,
    /// TLS handshakes that took too long.
    pub handshakes_late: Counter,
    /// Certificates that were read again and are in use.
    pub certificates_loaded: Counter,
    /// Certificates that were read again and are of no use.
    pub certificates_refused: Counter,
}

/// The open connections.
#[derive(Debug)]
pub struct Connections {
    bounds: ConnectionBounds,
    open: Mutex<Open>,
    /// What went wrong.
    pub incidents: Incidents,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    /// Only where there is one.
    by_source: HashMap<IpAddr, usize>,
}

/// A connection's place among the open ones; given back when dropped.
#[derive(Debug)]
pub struct Place {
    connections: Arc<Connections>,
    /// Whose it counts as, if anybody's.
    source: Option<IpAddr>,
}

impl Connections {
    /// None is open.
    pub fn new(bounds: ConnectionBounds) -> Arc<Connections> {
        let (open, incidents) = Default::default();
        Arc::new(Connections { bounds, open, incidents })
    }

    /// A place for a connection, if there is one. A proxy stands for many clients, so its
    /// connections are counted only in all.
    pub fn admit(self: &Arc<Self>, remote: IpAddr, is_proxy: bool) -> Option<Place> {
        let source = (!is_proxy).then(|| client_of(remote));
        let mut open = self.open();
        if open.total >= self.bounds.total_max {
            self.incidents.refused.inc();
            return None;
        }
        if let Some(source) = source {
            let of_source = open.by_source.get(&source).copied().unwrap_or(0);
            if of_source >= self.bounds.per_address_max {
                self.incidents.refused_of_address.inc();
                return None;
            }
            open.by_source.insert(source, of_source + 1);
        }
        open.total += 1;
        drop(open);
        Some(Place { connections: self.clone(), source })
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.open().total
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // Nothing that is done under the lock can panic.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        open.total -= 1;
        if let Some(source) = self.source
            && let Some(of_source) = open.by_source.get_mut(&source)
        {
            *of_source -= 1;
            if *of_source == 0 {
                open.by_source.remove(&source);
            }
        }
    }
}

/// Who is counted as one client. With IPv6 a single machine has a /64 to itself.
pub(super) fn client_of(remote: IpAddr) -> IpAddr {
    match remote.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(network).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections() -> Arc<Connections> {
        Connections::new(ConnectionBounds { total_max: 3, per_address_max: 2 })
    }

    fn refused(connections: &Connections) -> (u64, u64) {
        let incidents = &connections.incidents;
        (incidents.refused.get(), incidents.refused_of_address.get())
    }

    #[test]
    fn no_address_takes_every_place_and_a_place_that_is_left_is_free() {
        let connections = connections();
        let admit = |address: &str| connections.admit(address.parse().unwrap(), false);
        let first = admit("10.0.0.1").unwrap();
        let _second = admit("::ffff:10.0.0.1").unwrap();
        assert!(admit("10.0.0.1").is_none());
        let _other = admit("10.0.0.2").unwrap();
        assert!(admit("10.0.0.3").is_none());
        assert_eq!((connections.count(), refused(&connections)), (3, (1, 1)));
        drop(first);
        assert!(admit("10.0.0.1").is_some());
        assert_eq!(connections.count(), 2);
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let connections = connections();
        let admit = |address: &str| connections.admit(address.parse().unwrap(), false);
        let _places = [admit("2001:db8::1").unwrap(), admit("2001:db8::2").unwrap()];
        assert!(admit("2001:db8::3:4:5:6").is_none());
        assert!(admit("2001:db8:0:1::1").is_some());
    }

    #[test]
    fn a_proxy_is_counted_in_all_only() {
        let connections = connections();
        let proxy = "10.0.0.1".parse().unwrap();
        let places: Vec<_> = (0..3).map_while(|_| connections.admit(proxy, true)).collect();
        assert_eq!(places.len(), 3);
        assert!(connections.admit(proxy, true).is_none());
    }

    #[test]
    fn connections_leave_files_for_the_store() {
        assert_eq!(connections_of_files(1024), 768);
        assert_eq!(connections_of_files(1), 1);
    }

    #[test]
    fn nothing_is_remembered_of_who_is_gone() {
        let connections = connections();
        for number in 0..100 {
            drop(connections.admit([10, 0, 0, number].into(), false));
        }
        assert!(connections.open().by_source.is_empty());
    }
}
