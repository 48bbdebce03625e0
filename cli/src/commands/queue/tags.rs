//! `stanchion queue tag` and `untag`.

use clap::Args;
use serde_json::json;
use stanchion_sdk::actions::queues::{TagQueue, UntagQueue};

use crate::context::Target;
use crate::failure::Failure;
use crate::input::parse_pair;
use crate::output::Output;
use crate::queues::name_of;

/// Tags for a queue.
#[derive(Args, Debug)]
pub(crate) struct Tag {
    /// The queue: its name, or its URL
    pub(super) queue: String,
    /// The tags
    #[arg(value_name = "KEY=VALUE", required = true, value_parser = parse_pair)]
    tags: Vec<(String, String)>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// Tags that a queue shall not have.
#[derive(Args, Debug)]
pub(crate) struct Untag {
    /// The queue: its name, or its URL
    pub(super) queue: String,
    /// Their keys
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<String>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

impl Tag {
    pub(super) async fn run(&self, target: &Target, output: &Output) -> Result<(), Failure> {
        let Tag { queue, tags, dry_run } = self;
        let name = name_of(queue);
        let tags: std::collections::BTreeMap<_, _> = tags.iter().cloned().collect();
        let record = json!({"queue": name, "tags": tags, "dry_run": dry_run});
        let verb = if *dry_run { "Would tag" } else { "Tagged" };
        if !dry_run {
            target.client.tag_queue(TagQueue { queue_url: queue.clone(), tags }).await?;
        }
        output.done(&format!("{verb} {name}"), &record)
    }
}

impl Untag {
    pub(super) async fn run(&self, target: &Target, output: &Output) -> Result<(), Failure> {
        let Untag { queue, keys, dry_run } = self;
        let name = name_of(queue);
        let (queue_url, tag_keys) = (queue.clone(), keys.clone());
        if !dry_run {
            target.client.untag_queue(UntagQueue { queue_url, tag_keys }).await?;
        }
        let verb = if *dry_run { "Would take" } else { "Took" };
        let record = json!({"queue": name, "untagged": keys, "dry_run": dry_run});
        output.done(&format!("{verb} {} from {name}", keys.join(", ")), &record)
    }
}
