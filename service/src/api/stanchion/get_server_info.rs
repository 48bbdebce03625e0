//! GetServerInfo.

use serde::{Deserialize, Serialize};

use super::Action;
use crate::api::call::Call;
use crate::error::Error;

/// What server this is, and how it runs.
#[derive(Debug, Deserialize)]
pub struct GetServerInfo {}

/// The server, as it was configured, and what its clock shows.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServerInfo {
    version: &'static str,
    /// `fsync`, `os` or `memory`.
    durability: String,
    /// `strict`, `standard` or `relaxed`.
    limits: &'static str,
    /// The account and the region of this request.
    account: String,
    region: String,
    shards: usize,
    virtual_clock: bool,
    /// Milliseconds since the Unix epoch, on the clock that delays and timeouts follow.
    now: u64,
    /// No commit has failed and no shard has died.
    healthy: bool,
    /// The disk has room for more messages.
    accepts_sends: bool,
}

impl Action for GetServerInfo {
    const NAME: &'static str = "GetServerInfo";
    type Output = ServerInfo;

    async fn run(self, call: &Call<'_>) -> Result<ServerInfo, Error> {
        let shards = &call.app.shards;
        Ok(ServerInfo {
            version: env!("CARGO_PKG_VERSION"),
            durability: call.app.durability.to_string(),
            limits: call.app.limits.name,
            account: call.account.as_str().into(),
            region: call.region.as_str().into(),
            shards: shards.stats().len(),
            virtual_clock: call.app.virtual_clock,
            now: shards.now().0,
            healthy: shards.is_healthy(),
            accepts_sends: shards.accepts_sends(),
        })
    }
}
