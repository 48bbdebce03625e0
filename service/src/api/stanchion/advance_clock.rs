//! AdvanceClock.

use serde::{Deserialize, Serialize};

use super::Action;
use crate::api::call::Call;
use crate::error::Error;
use crate::model::time::Millis;

/// The furthest one call may move the clock: a year and a day, in seconds.
const SECONDS_MAX: u32 = 366 * 24 * 60 * 60;

/// Moves the time of a server that runs with `--virtual-clock` ahead: delays end, visibility
/// timeouts run out and messages expire as if it had passed. Long polls wait in real time.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AdvanceClock {
    seconds: Option<i64>,
}

/// Where the clock stands.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AdvanceClockOutput {
    /// Milliseconds since the Unix epoch.
    now: u64,
}

impl Action for AdvanceClock {
    const NAME: &'static str = "AdvanceClock";
    type Output = AdvanceClockOutput;

    async fn run(self, call: &Call<'_>) -> Result<AdvanceClockOutput, Error> {
        let given = self.seconds.ok_or_else(|| Error::missing("Seconds"))?;
        let seconds = u32::try_from(given).ok().filter(|seconds| *seconds <= SECONDS_MAX);
        let seconds = seconds.ok_or_else(|| {
            let reason = format!("Must be >= 0 and <= {SECONDS_MAX}.");
            Error::invalid("Seconds", given, reason)
        })?;
        let now = call.app.shards.advance_clock(Millis::from_secs(seconds)).await?;
        Ok(AdvanceClockOutput { now: now.0 })
    }
}
