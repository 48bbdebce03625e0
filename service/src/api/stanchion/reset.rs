//! Reset.

use serde::Deserialize;

use super::Action;
use crate::api::call::Call;
use crate::error::Error;

/// Deletes every queue of every account and everything in them, and makes the declared queues anew:
/// as after a first start, for tests between cases. The clock, the checkpoints, and users with
/// their access keys stay.
#[derive(Debug, Deserialize)]
pub struct Reset {}

impl Action for Reset {
    const NAME: &'static str = "Reset";
    type Output = ();

    async fn run(self, call: &Call<'_>) -> Result<(), Error> {
        call.app.shards.reset().await?;
        // It has worked at the start.
        let declared = call.app.bring_about_declared().await;
        declared.map_err(|why| Error::ServiceUnavailable(why.into()))
    }
}
