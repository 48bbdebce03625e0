//! The keys of one issuer, kept fresh in the background: read again from time to time, and when a
//! token names a key that is not known. Requests look at what is there.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jsonwebtoken::{Algorithm, DecodingKey};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use std::path::PathBuf;

use crate::auth::fetch::{self, Place};
use crate::auth::jwks::{KeySet, SET_BYTES_MAX};
use crate::env;

/// How long a fetch may take, and a request wait for one.
const FETCH_TIME_MAX: Duration = Duration::from_secs(5);

/// Requests that may wait for a fetch at once. Anybody can name a key that nobody knows: they must not
/// fill the server with those who wait for it.
const WAITING_MAX: usize = 64;

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// In a file.
    File(PathBuf),
    /// Somewhere on the network.
    Url(Place),
}

/// How often the keys are read.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Nothing is read again sooner, whoever asks for it.
    rest: Duration,
    /// And nothing later.
    interval: Duration,
    /// The same after a failure.
    retry: Duration,
}

const PACE_OF_FILES: Pace = Pace {
    rest: Duration::from_secs(1),
    interval: Duration::from_secs(10),
    retry: Duration::from_secs(10),
};

const PACE_OF_URLS: Pace = Pace {
    rest: Duration::from_secs(10),
    interval: Duration::from_secs(300),
    retry: Duration::from_secs(30),
};

/// Why a token cannot be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoKey {
    /// The issuer has no such key.
    Unknown,
    /// The issuer's keys have not been read yet.
    NotRead,
}

/// The keys of one issuer.
#[derive(Debug)]
pub struct FreshKeys {
    source: KeySource,
    pace: Pace,
    keys: ArcSwapOption<KeySet>,
    /// Somebody misses a key.
    missed: Notify,
    /// Places for those who wait.
    waiting: Semaphore,
    attempts: watch::Sender<Attempts>,
}

/// What has been done to read keys.
#[derive(Clone, Copy, Debug, Default)]
struct Attempts {
    made: u64,
    /// The last one was just now: it is not worth waiting for another.
    resting: bool,
}

impl FreshKeys {
    /// Keys that have not been read.
    pub fn new(source: KeySource) -> FreshKeys {
        let pace = match source {
            KeySource::File(_) => PACE_OF_FILES,
            KeySource::Url(_) => PACE_OF_URLS,
        };
        FreshKeys {
            source,
            pace,
            keys: ArcSwapOption::empty(),
            missed: Notify::new(),
            waiting: Semaphore::new(WAITING_MAX),
            attempts: watch::Sender::default(),
        }
    }

    /// Reads them now. An error says why it could not; what was there stays.
    pub async fn read(&self) -> Result<(), String> {
        let read = match &self.source {
            KeySource::File(file) => {
                fetch::read_file(file, SET_BYTES_MAX).await.and_then(|text| KeySet::parse(&text))
            }
            KeySource::Url(place) => fetch::get(place, SET_BYTES_MAX, FETCH_TIME_MAX)
                .await
                .and_then(|text| KeySet::parse(&text)),
        };
        read.map(|keys| self.keys.store(Some(Arc::new(keys)))).map_err(|why| match &self.source {
            KeySource::File(file) => format!("{}: {why}", file.display()),
            KeySource::Url(place) => format!("{}: {why}", place.url),
        })
    }

    /// Keeps them fresh until told to stop. `issuer` is for the log.
    pub async fn keep(self: Arc<Self>, issuer: String, stop: CancellationToken) {
        let work = async {
            loop {
                let read = self.read().await;
                if let Err(why) = &read {
                    tracing::warn!(issuer, "cannot read the keys of an issuer: {why}");
                }
                self.note(|attempts| {
                    attempts.made += 1;
                    attempts.resting = true;
                });
                env::sleep(self.pace.rest).await;
                self.note(|attempts| attempts.resting = false);
                let pause = if read.is_ok() { self.pace.interval } else { self.pace.retry };
                // Either way it is time.
                let _ = timeout(pause, self.missed.notified()).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
    }

    fn note(&self, change: impl FnOnce(&mut Attempts)) {
        self.attempts.send_modify(change);
    }

    /// The key that a token names. Where there is none it may be new: then the keys are read again,
    /// unless they just were, and this waits for it, though not for long, and not with too many others.
    pub async fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<DecodingKey, NoKey> {
        let mut attempts = self.attempts.subscribe();
        let before = *attempts.borrow_and_update();
        match self.look_up(id, algorithm) {
            Err(_) if !before.resting => {}
            found => return found,
        }
        self.missed.notify_one();
        let Ok(_place) = self.waiting.try_acquire() else { return self.look_up(id, algorithm) };
        let another = attempts.wait_for(|now| now.made > before.made);
        // Who has waited too long takes what there is.
        drop(timeout(FETCH_TIME_MAX, another).await);
        self.look_up(id, algorithm)
    }

    fn look_up(&self, id: Option<&str>, algorithm: Algorithm) -> Result<DecodingKey, NoKey> {
        let keys = self.keys.load();
        let keys = keys.as_ref().ok_or(NoKey::NotRead)?;
        keys.find(id, algorithm).cloned().ok_or(NoKey::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::auth::test_keys::JWKS;

    const NEVER: Duration = Duration::from_secs(100_000);

    fn kept(file: &tempfile::NamedTempFile, rest: Duration) -> Arc<FreshKeys> {
        let keys = FreshKeys::new(KeySource::File(file.path().into()));
        let pace = Pace { rest, interval: NEVER, retry: NEVER };
        let keys = Arc::new(FreshKeys { pace, ..keys });
        tokio::spawn(keys.clone().keep("test".into(), CancellationToken::new()));
        keys
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        file
    }

    #[tokio::test]
    async fn a_key_that_is_not_known_is_looked_for_once_more() {
        let file = file(&JWKS.replace("\"rsa\"", "\"old\""));
        let keys = kept(&file, Duration::ZERO);
        assert!(keys.find(Some("old"), Algorithm::RS256).await.is_ok());
        assert_eq!(keys.find(Some("rsa"), Algorithm::RS256).await.unwrap_err(), NoKey::Unknown);
        fs::write(file.path(), JWKS).unwrap();
        // The last look may have been so recent that nobody looks again.
        while keys.find(Some("rsa"), Algorithm::RS256).await.is_err() {
            tokio::task::yield_now().await;
        }
        assert_eq!(keys.find(Some("old"), Algorithm::RS256).await.unwrap_err(), NoKey::Unknown);
    }

    #[tokio::test]
    async fn keys_are_not_read_again_at_once_whoever_asks() {
        let file = file(&JWKS.replace("\"rsa\"", "\"old\""));
        let keys = kept(&file, NEVER);
        assert!(keys.find(Some("old"), Algorithm::RS256).await.is_ok());
        fs::write(file.path(), JWKS).unwrap();
        for _ in 0..3 {
            assert_eq!(keys.find(Some("rsa"), Algorithm::RS256).await.unwrap_err(), NoKey::Unknown);
        }
        assert_eq!(keys.attempts.borrow().made, 1);
    }

    #[tokio::test]
    async fn no_more_than_so_many_wait_for_keys() {
        // Nobody reads them.
        let keys = FreshKeys::new(KeySource::File("/nowhere".into()));
        let find = || Box::pin(keys.find(Some("rsa"), Algorithm::RS256));
        let mut waiting = Vec::new();
        for _ in 0..WAITING_MAX {
            let mut one = find();
            tokio::select! {
                biased;
                found = &mut one => panic!("it did not wait: {found:?}"),
                () = std::future::ready(()) => waiting.push(one),
            }
        }
        let found = tokio::select! {
            biased;
            found = find() => found,
            () = std::future::ready(()) => panic!("it waits"),
        };
        assert_eq!(found.unwrap_err(), NoKey::NotRead);
        // Whoever goes makes room.
        drop(waiting.pop());
        tokio::select! {
            biased;
            found = find() => panic!("it did not wait: {found:?}"),
            () = std::future::ready(()) => {}
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_leaves_what_was_there() {
        let file = file("garbage");
        let keys = kept(&file, Duration::ZERO);
        assert_eq!(keys.find(Some("rsa"), Algorithm::RS256).await.unwrap_err(), NoKey::NotRead);
        fs::write(file.path(), JWKS).unwrap();
        keys.read().await.unwrap();
        fs::write(file.path(), "garbage").unwrap();
        assert!(keys.read().await.unwrap_err().contains(file.path().to_str().unwrap()));
        assert!(keys.find(Some("rsa"), Algorithm::RS256).await.is_ok());
    }
}
