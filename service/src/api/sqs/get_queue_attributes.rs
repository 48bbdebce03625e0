//! GetQueueAttributes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Action;
use crate::api::call::Call;
use crate::error::Error;
use crate::limits::Limits;
use crate::model::attributes::{self, ATTRIBUTES, QueueAttribute, View};
use crate::model::policy::actions::Permission;
use crate::shard::handle::QueueInfo;

/// Shows attributes of a queue, its message counts among them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetQueueAttributes {
    queue_url: Option<String>,
    attribute_names: Option<Vec<String>>,
}

/// Attributes by name.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttributesOutput {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<&'static str, String>,
}

impl Action for GetQueueAttributes {
    const NAME: &'static str = "GetQueueAttributes";
    const PERMISSION: Permission = Permission::sqs("GetQueueAttributes");
    type Output = AttributesOutput;

    async fn run(self, call: &Call<'_>) -> Result<AttributesOutput, Error> {
        let queue = call.queue(self.queue_url.as_deref())?;
        let rows = select(&self.attribute_names.unwrap_or_default(), call.app.limits)?;
        let messages = if rows.iter().any(|row| row.counted) {
            let counters = call.app.shards.counters(&queue.key).await?;
            [counters.available, counters.in_flight, counters.delayed]
        } else {
            [0; 3]
        };
        let view = View { messages, ..view(&queue) };
        let shown = |row: &&QueueAttribute| Some((row.name, row.show(&view)?));
        Ok(AttributesOutput { attributes: rows.iter().filter_map(shown).collect() })
    }
}

/// A queue without its message counts.
pub fn view(queue: &QueueInfo) -> View<'_> {
    View {
        key: &queue.key,
        settings: &queue.settings,
        created_at: queue.created_at,
        modified_at: queue.modified_at,
        paused: queue.paused,
        messages: [0; 3],
    }
}

/// The rows of the names asked for, unless one is unknown.
fn select(names: &[String], limits: &Limits) -> Result<Vec<&'static QueueAttribute>, Error> {
    let mut rows = Vec::with_capacity(names.len());
    for name in names {
        match name.as_str() {
            // All that AWS has: what clients do not know they have to ask for.
            "All" => rows.extend(ATTRIBUTES.iter().filter(|row| !row.is_own())),
            name => rows.push(attributes::find(name, limits)?),
        }
    }
    Ok(rows)
}
