//! `stanchion queue pause` and `resume`.

use clap::{Args, ValueEnum};
use serde_json::json;
use stanchion_sdk::actions::own::server::{PauseQueue, ResumeQueue};

use crate::context::Target;
use crate::failure::Failure;
use crate::output::Output;
use crate::queues::name_of;

/// What to hold up, or to let go on.
#[derive(Args, Debug)]
pub(crate) struct Pause {
    /// The queue: its name, or its URL
    pub(super) queue: String,
    /// Only this; both without it
    #[arg(long, value_enum)]
    only: Option<Operation>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Operation {
    /// Receives find nothing
    Receive,
    /// Sends are refused
    Send,
}

impl Pause {
    fn operation(&self) -> &'static str {
        match self.only {
            None => "Both",
            Some(Operation::Receive) => "Receive",
            Some(Operation::Send) => "Send",
        }
    }

    pub(super) async fn pause(&self, target: &Target, output: &Output) -> Result<(), Failure> {
        let (queue_url, operation) = (self.queue.clone(), Some(self.operation().into()));
        if self.dry_run {
            return self.would("pause", output);
        }
        let now = target.client.pause_queue(PauseQueue { queue_url, operation }).await?;
        self.show(now.receive, now.send, output)
    }

    pub(super) async fn resume(&self, target: &Target, output: &Output) -> Result<(), Failure> {
        let (queue_url, operation) = (self.queue.clone(), Some(self.operation().into()));
        if self.dry_run {
            return self.would("resume", output);
        }
        let now = target.client.resume_queue(ResumeQueue { queue_url, operation }).await?;
        self.show(now.receive, now.send, output)
    }

    fn would(&self, verb: &str, output: &Output) -> Result<(), Failure> {
        let name = name_of(&self.queue);
        let what = match self.only {
            None => "receives and sends",
            Some(Operation::Receive) => "receives",
            Some(Operation::Send) => "sends",
        };
        let record = json!({"queue": name, "would": verb, "what": what, "dry_run": true});
        output.done(&format!("Would {verb} {what} of {name}"), &record)
    }

    fn show(&self, receive: bool, send: bool, output: &Output) -> Result<(), Failure> {
        let name = name_of(&self.queue);
        let sentence = match (receive, send) {
            (false, false) => format!("Nothing of {name} is paused"),
            (true, false) => format!("Receives from {name} are paused"),
            (false, true) => format!("Sends to {name} are paused"),
            (true, true) => format!("Receives from {name} and sends to it are paused"),
        };
        let paused = json!({"receive": receive, "send": send});
        output.done(&sentence, &json!({"queue": name, "paused": paused}))
    }
}
