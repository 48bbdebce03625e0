//! ListDeadLetterSourceQueues. Source: facts sheet, 8.4.

use serde::{Deserialize, Serialize};

use super::Action;
use super::list_queues::Page;
use crate::api::call::Call;
use crate::error::Error;
use crate::model::policy::actions::Permission;

/// Lists the queues whose redrive policy names this one, in the order of their names.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListDeadLetterSourceQueues {
    queue_url: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// Queues by URL, and where to go on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListDeadLetterSourceQueuesOutput {
    // With a small letter at AWS, unlike everything else.
    #[serde(rename = "queueUrls", skip_serializing_if = "Vec::is_empty")]
    queue_urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

impl Action for ListDeadLetterSourceQueues {
    const NAME: &'static str = "ListDeadLetterSourceQueues";
    const PERMISSION: Permission = Permission::sqs("ListDeadLetterSourceQueues");
    type Output = ListDeadLetterSourceQueuesOutput;

    async fn run(self, call: &Call<'_>) -> Result<ListDeadLetterSourceQueuesOutput, Error> {
        let queue = call.queue(self.queue_url.as_deref())?;
        let page = Page::parse(self.max_results, self.next_token)?;
        let sources = call.app.shards.dead_letter_sources(&queue.key);
        let after = |name| page.after.as_ref().is_none_or(|after| after < name);
        let sources = || sources.iter().map(|source| &source.key).filter(|key| after(&key.name));
        let next_token = page.next_token(sources().map(|key| &key.name));
        let urls = sources().take(page.max).map(|key| call.queue_url(key));
        Ok(ListDeadLetterSourceQueuesOutput { queue_urls: urls.collect(), next_token })
    }
}
