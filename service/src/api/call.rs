//! One request as an action sees it: on whose behalf, in which region, under which address; and the
//! way to the queues.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use ipnet::IpNet;

use crate::api::admission::{Admission, Bounds, Ticket};
use crate::api::connections::{ConnectionBounds, Connections};
use crate::api::throttle::Throttle;
use crate::audit::{Audit, Record};
use crate::auth::credentials::CredentialSource;
use crate::auth::oidc::Issuers;
use crate::auth::root::RootSource;
use crate::auth::session_token::SigningKeys;
use crate::auth::sessions::Sessions;
use crate::auth::signature::verify::Verifier;
use crate::auth::stored::StoredKeys;
use crate::config::auth::AuthMode;
use crate::config::transport::Times;
use crate::config::{Config, Durability, ProxyHeaders};
use crate::declared::bring_about::{Place, bring_about};
use crate::declared::parse::Declarations;
use crate::error::Error;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::model::caller::Caller;
use crate::model::policy::actions::Permission;
use crate::model::queue::{AccountId, QueueKey, Region};
use crate::shard::handle::Shards;

/// What all requests share.
pub struct App {
    /// The engine room.
    pub shards: Shards,
    /// The limits in force.
    pub limits: &'static Limits,
    /// When a send or a delete is answered.
    pub durability: Durability,
    /// Whether an admin call may move the clock.
    pub virtual_clock: bool,
    /// The account of requests that name none.
    pub account: AccountId,
    /// Its owner, who everybody is while authentication is off.
    pub root: Arc<Caller>,
    /// The region of requests that name none.
    pub region: Region,
    /// What is put on record, if anything is.
    pub audit: OnceLock<Audit>,
    /// Whose tokens are believed.
    pub issuers: Issuers,
    /// Roles, and who is in them.
    pub sessions: Arc<Sessions>,
    /// The queues that the configuration file declares, and the template.
    pub declarations: Declarations,
    /// Whether a queue that somebody names and that does not exist is made, by the template.
    pub create_on_use: bool,
    /// What queue URLs start with, without a slash at the end; `None`: what the request came to.
    pub public_url: Option<String>,
    /// Peers who are believed what they say of their clients.
    pub trusted_proxies: Vec<IpNet>,
    /// In which headers they say it.
    pub proxy_headers: ProxyHeaders,
    /// Verifies signatures; `None` while authentication is off.
    pub verifier: Option<Verifier>,
    /// Clients that may read the metrics where requests must be signed.
    pub metrics_from: Vec<IpNet>,
    /// Who is connected.
    pub connections: Arc<Connections>,
    /// What is in progress.
    pub admission: Arc<Admission>,
    /// How often somebody may ask.
    pub throttle: Arc<Throttle>,
    /// How long things may take.
    pub times: Times,
    /// What is counted.
    pub metrics: Metrics,
}

impl App {
    /// What requests share, as configured.
    pub fn new(config: &Config, shards: Shards) -> Arc<App> {
        let admission = Admission::new(Bounds {
            requests_max: config.max_requests_in_flight,
            bytes_max: config.max_bytes_in_flight,
        });
        let transport = &config.transport;
        let connections = Connections::new(ConnectionBounds::new(transport));
        let throttle = Throttle::new(transport.rate_per_key(), transport.rate_per_queue());
        let throttle = Arc::new(throttle);
        let limits = config.limits();
        let info = vec![
            ("version", env!("CARGO_PKG_VERSION").to_string()),
            ("durability", config.durability.to_string()),
            ("limits", limits.name.to_string()),
        ];
        // Whose access keys are known. The first source that knows one decides.
        let mut sources: Vec<Arc<dyn CredentialSource>> = Vec::new();
        if let Some(key) = config.auth.root.clone() {
            sources.push(Arc::new(RootSource::new(key, config.account.clone())));
        }
        let identities = &config.identities;
        let keys = SigningKeys::derive(shards.keyring().derive(b"for sessions"));
        let sessions = Arc::new(Sessions::new(identities.roles.clone(), keys));
        sources.push(sessions.clone());
        sources.push(Arc::new(StoredKeys::new(Arc::clone(shards.directory()))));
        let verifier = match config.auth.mode() {
            AuthMode::Sigv4 => {
                let only_region = limits.one_region.then(|| config.region.clone());
                Some(Verifier::new(sources, only_region))
            }
            AuthMode::Off => None,
        };
        Arc::new(App {
            limits,
            verifier,
            metrics_from: config.auth.metrics_from.clone(),
            durability: config.durability,
            virtual_clock: config.virtual_clock,
            account: config.account.clone(),
            root: Arc::new(Caller::root(config.account.clone())),
            audit: OnceLock::new(),
            region: config.region.clone(),
            issuers: Issuers::new(&identities.issuers),
            sessions,
            declarations: config.declarations.clone(),
            create_on_use: config.create_queues_on_use,
            public_url: config.public_url.clone(),
            trusted_proxies: config.trust_proxy.clone(),
            proxy_headers: config.proxy_headers,
            metrics: Metrics::new(
                info,
                connections.clone(),
                admission.clone(),
                throttle.clone(),
                shards.clone(),
            ),
            connections,
            admission,
            throttle,
            times: transport.times(),
            shards,
        })
    }
}

impl App {
    /// Whether callers are asked by what right they do something: not while authentication is off.
    pub fn authorises(&self) -> bool {
        self.verifier.is_some()
    }

    /// A request's path without that of the public URL: a proxy may or may not have taken it off.
    pub fn beneath_public_url<'p>(&self, path: &'p str) -> &'p str {
        let public = self.public_url.as_deref().unwrap_or_default();
        let after_scheme = public.split_once("://").map_or("", |(_, rest)| rest);
        let base = after_scheme.find('/').map_or("", |at| &after_scheme[at..]);
        let beneath =
            path.strip_prefix(base).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        beneath.unwrap_or(path)
    }
}

impl App {
    /// Makes the declared queues what the configuration file says they are. An error names the queue
    /// and the key.
    pub async fn bring_about_declared(&self) -> Result<(), String> {
        let App { shards, account, region, limits, .. } = self;
        bring_about(&self.declarations, Place { shards, account, region, limits }).await
    }
}

/// One request, after its headers were read. Its way to the queues is in [`crate::api::door`].
pub struct Call<'a> {
    /// What all requests share.
    pub app: &'a App,
    /// Who asks; while authentication is off, the owner of the configured account.
    pub caller: Arc<Caller>,
    /// What the action needs.
    pub permission: Permission,
    /// The caller's account; of somebody who has none, the configured one.
    pub account: AccountId,
    /// Where: the region of the credential scope, or the configured one.
    pub region: Region,
    /// `X-Amzn-Trace-Id`.
    pub trace_header: Option<String>,
    /// What the client called this server.
    pub origin: Origin,
    /// Where the client is, as far as trusted proxies say.
    pub source: IpAddr,
    /// `User-Agent`, where permissions are asked for.
    pub user_agent: Option<Box<str>>,
    /// The request's place among those in progress.
    pub ticket: &'a Ticket,
    /// For the log.
    pub request_id: &'a str,
    /// What was asked of whom, for the audit log; `None` where there is none.
    pub record: Option<&'a Record>,
}

/// The scheme and the host (with port) that the client used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// As in the `Host` header.
    pub host: String,
}

impl Call<'_> {
    /// Under which URL the client of this request reaches a queue.
    pub fn queue_url(&self, key: &QueueKey) -> String {
        let (account, name) = (key.account.as_str(), &key.name);
        match (&self.app.public_url, &self.origin) {
            (Some(base), _) => format!("{base}/{account}/{name}"),
            (None, Origin { scheme, host }) => format!("{scheme}://{host}/{account}/{name}"),
        }
    }

    /// Puts on record that the action refuses what policies allow, and says why.
    pub fn refuse(&self, why: &'static str) -> Error {
        self.record_refusal(why);
        Error::AccessDenied(why.into())
    }

    /// The same, where the answer is not to say so.
    pub fn record_refusal(&self, why: &'static str) {
        if let Some(record) = self.record {
            record.refuse(why);
        }
    }

    /// Under which URL the client of this request reaches the server.
    pub fn base_url(&self) -> String {
        match (&self.app.public_url, &self.origin) {
            (Some(base), _) => format!("{base}/"),
            (None, Origin { scheme, host }) => format!("{scheme}://{host}/"),
        }
    }

    /// `SenderId` of what is sent with this request.
    // Differs from AWS: nobody in particular is `anonymous`, not an address.
    pub fn sender_id(&self) -> String {
        self.caller.user_id().unwrap_or_else(|| "anonymous".into())
    }

    /// A client that signs for another region than its queues are in is a common mistake, and
    /// "does not exist" does not help to find it.
    pub(super) fn hint_at_other_regions(&self, key: &QueueKey, url: &str) {
        let in_url = url
            .split(['/', '.'])
            .find_map(|part| Region::parse(part).filter(|_| part.split('-').count() >= 3));
        for region in [Some(self.app.region.clone()), in_url].into_iter().flatten() {
            let there = QueueKey { region, ..key.clone() };
            if there.region != key.region && self.app.shards.find(&there).is_some() {
                tracing::warn!(
                    request_id = self.request_id,
                    queue = %key.name,
                    "no such queue in {}, for which the request is signed; there is one in {}",
                    key.region.as_str(),
                    there.region.as_str(),
                );
                return;
            }
        }
    }
}

/// A parameter that must be there and not be empty.
pub fn required<'a>(value: Option<&'a str>, name: &'static str) -> Result<&'a str, Error> {
    value.filter(|text| !text.is_empty()).ok_or_else(|| Error::missing(name))
}
