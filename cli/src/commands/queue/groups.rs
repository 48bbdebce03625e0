//! `stanchion queue groups`: message groups, and what holds them up.

use clap::Subcommand;
use serde::Serialize;
use serde_json::json;
use stanchion_sdk::actions::own::groups::{
    ListMessageGroups, MessageGroup, PurgeMessageGroup, SkipMessageGroupHead,
};

use crate::confirm::Consent;
use crate::context::Target;
use crate::failure::Failure;
use crate::output::{Output, Record};
use crate::queues::name_of;
use crate::units::{show_count, show_seconds};

/// What to do with message groups.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupsCommand {
    /// List the message groups that have messages
    #[command(after_help = "\
Examples:
  stanchion queue groups ls steps.fifo
  stanchion queue groups ls steps.fifo --group customer-7")]
    Ls {
        /// The queue: its name, or its URL
        queue: String,
        /// Only this one
        #[arg(long)]
        group: Option<String>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100)]
        max: usize,
    },
    /// Delete every message of a group
    #[command(after_help = "\
Examples:
  stanchion queue groups purge steps.fifo customer-7")]
    Purge {
        /// The queue: its name, or its URL
        queue: String,
        /// The group
        group: String,
        #[command(flatten)]
        consent: Consent,
    },
    /// Delete the oldest message of a group of a FIFO queue, which holds up the others
    #[command(after_help = "\
Examples:
  stanchion queue groups skip steps.fifo customer-7
  stanchion queue groups skip steps.fifo customer-7 --message 7a1c1b2e-4a0f-4f0c-9a39-0d5f1f6f2b1c")]
    Skip {
        /// The queue: its name, or its URL
        queue: String,
        /// The group
        group: String,
        /// Only if the oldest message is this one
        #[arg(long, value_name = "ID")]
        message: Option<String>,
        #[command(flatten)]
        consent: Consent,
    },
}

/// A group in the list.
#[derive(Serialize)]
struct Listed {
    group: String,
    waiting: u64,
    in_flight: u64,
    returned: Option<u64>,
    head_age_seconds: Option<u64>,
    head_message_id: Option<String>,
    held: Option<bool>,
    noisy: Option<bool>,
}

impl From<MessageGroup> for Listed {
    fn from(group: MessageGroup) -> Listed {
        Listed {
            group: group.message_group_id,
            waiting: group.waiting,
            in_flight: group.in_flight,
            returned: group.returned,
            head_age_seconds: group.head_age_seconds,
            head_message_id: group.head_message_id,
            held: group.held,
            noisy: group.noisy,
        }
    }
}

impl Record for Listed {
    const COLUMNS: &'static [&'static str] =
        &["GROUP", "WAITING", "IN FLIGHT", "RETURNED", "OLDEST", "OLDEST MESSAGE", ""];

    fn row(&self) -> Vec<String> {
        let state = match (self.held, self.noisy) {
            (Some(true), _) => "held up",
            (_, Some(true)) => "noisy",
            _ => "",
        };
        vec![
            self.group.clone(),
            show_count(self.waiting),
            show_count(self.in_flight),
            self.returned.map_or("-".into(), show_count),
            self.head_age_seconds.map_or("-".into(), show_seconds),
            self.head_message_id.clone().unwrap_or_else(|| "-".into()),
            state.into(),
        ]
    }
}

impl GroupsCommand {
    pub(super) async fn run(&self, target: &Target, output: &Output) -> Result<(), Failure> {
        match self {
            GroupsCommand::Ls { queue, group, max } => {
                list(target, queue, group.clone(), *max, output).await
            }
            GroupsCommand::Purge { queue, group, consent } => {
                purge(target, queue, group, consent, output).await
            }
            GroupsCommand::Skip { queue, group, message, consent } => {
                skip(target, queue, group, message.clone(), consent, output).await
            }
        }
    }
}

async fn list(
    target: &Target,
    queue: &str,
    group: Option<String>,
    max: usize,
    output: &Output,
) -> Result<(), Failure> {
    let mut request = ListMessageGroups {
        queue_url: queue.into(),
        message_group_id: group,
        max_results: Some(u32::try_from(max.clamp(1, 1_000)).unwrap_or(1_000)),
        next_token: None,
    };
    let mut listed: Vec<Listed> = Vec::new();
    loop {
        let page = target.client.list_message_groups(request.clone()).await?;
        listed.extend(page.groups.into_iter().map(Listed::from));
        request.next_token = page.next_token;
        if request.next_token.is_none() || listed.len() >= max {
            break;
        }
    }
    let more = listed.len() > max || request.next_token.is_some();
    listed.truncate(max);
    output.list(&listed, "There are no message groups with messages.")?;
    if more {
        output.note(&format!("There may be more than these {max}: --max shows them."));
    }
    Ok(())
}

async fn purge(
    target: &Target,
    queue: &str,
    group: &str,
    consent: &Consent,
    output: &Output,
) -> Result<(), Failure> {
    let name = name_of(queue);
    let deed = format!("delete every message of group {group} of {name}");
    if consent.dry_run {
        let record = json!({"queue": name, "group": group, "dry_run": true});
        return output.done(&format!("Would {deed}"), &record);
    }
    consent.ask(target, name, &deed)?;
    let mut request = PurgeMessageGroup {
        queue_url: queue.into(),
        message_group_id: group.into(),
        next_token: None,
    };
    let mut deleted = 0;
    loop {
        let reply = target.client.purge_message_group(request.clone()).await?;
        deleted += reply.deleted;
        request.next_token = reply.next_token;
        if request.next_token.is_none() {
            break;
        }
    }
    let record = json!({"queue": name, "group": group, "deleted": deleted});
    output.done(&format!("Deleted {} messages of {group}", show_count(deleted)), &record)
}

async fn skip(
    target: &Target,
    queue: &str,
    group: &str,
    message_id: Option<String>,
    consent: &Consent,
    output: &Output,
) -> Result<(), Failure> {
    let name = name_of(queue);
    let deed = format!("delete the oldest message of group {group} of {name}");
    if consent.dry_run {
        let record = json!({"queue": name, "group": group, "dry_run": true});
        return output.done(&format!("Would {deed}"), &record);
    }
    consent.ask(target, name, &deed)?;
    let request = SkipMessageGroupHead {
        queue_url: queue.into(),
        message_group_id: group.into(),
        message_id: message_id.clone(),
    };
    let Some(deleted) = target.client.skip_message_group_head(request).await?.message_id else {
        let message = match message_id {
            Some(id) => format!("the oldest message of group {group} is not {id}"),
            None => format!("group {group} has no message"),
        };
        return Err(Failure::NotFound { message, hint: None });
    };
    let record = json!({"queue": name, "group": group, "deleted": deleted});
    output.done(&format!("Deleted {deleted}, the oldest message of {group}"), &record)
}
