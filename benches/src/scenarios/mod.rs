//! The promises of the product, each as a program that measures whether it is kept.
//!
//! A scenario starts its own servers, sends through the API only, and puts figures with bounds
//! into a [`Report`]. At scale 1 it is as large as the promise; a smaller scale has fewer messages,
//! kills and seconds, and the same bounds.

mod backlog;
mod churn;
mod command_line;
mod kills;
mod moves;
mod peek;
mod polls;
mod probe;
mod sdk;
mod speed;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use crate::place::Place;
use crate::report::Report;

/// What every scenario gets.
#[derive(Debug)]
pub struct Context {
    /// The programs, and where data goes.
    pub place: Place,
    /// 1 is the size of the promise.
    pub scale: f64,
    /// For what is random: bodies, and the moments of kills.
    pub seed: u64,
}

impl Context {
    /// A number of messages at this scale: whole batches, and never fewer than 1,000.
    pub fn messages(&self, at_full_scale: u64) -> u64 {
        let scaled = (at_full_scale as f64 * self.scale) as u64;
        scaled.max(1_000).next_multiple_of(10)
    }

    /// How long something may take that has a time at full scale, plus what it takes at any.
    pub fn patience(&self, at_full_scale: Duration) -> Duration {
        at_full_scale.mul_f64(self.scale.max(0.01)) + Duration::from_secs(120)
    }
}

type Running<'a> = Pin<Box<dyn Future<Output = io::Result<()>> + 'a>>;

/// One row of the table of scenarios.
pub struct Scenario {
    /// As selected on the command line.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// Disk it needs at scale 1, in GiB: the bodies, and the same again while they are compacted.
    pub disk_gib: f64,
    /// When it is given up, in seconds at scale 1.
    pub within_s: u64,
    /// Runs it.
    pub run: for<'a> fn(&'a Context, &'a mut Report) -> Running<'a>,
}

/// All of them, in the order in which they run.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "large-queue",
        about: "10 million messages in a standard queue: memory, restart, receive latency",
        disk_gib: 24.0,
        within_s: 3_600,
        run: |context, report| Box::pin(backlog::run(context, report, backlog::Kind::Standard)),
    },
    Scenario {
        name: "delayed",
        about: "the same for 10 million delayed messages, before and after they fall due",
        disk_gib: 26.0,
        within_s: 4_800,
        run: |context, report| Box::pin(backlog::run(context, report, backlog::Kind::Delayed)),
    },
    Scenario {
        name: "dead-letters",
        about: "the same for 10 million messages that were moved to a dead-letter queue",
        disk_gib: 40.0,
        within_s: 7_200,
        run: |context, report| Box::pin(backlog::run(context, report, backlog::Kind::DeadLetter)),
    },
    Scenario {
        name: "groups",
        about: "the same for 1 million messages in 100,000 groups of a FIFO queue",
        disk_gib: 4.0,
        within_s: 3_600,
        run: |context, report| Box::pin(backlog::run(context, report, backlog::Kind::Fifo)),
    },
    Scenario {
        name: "churn",
        about: "5 million messages sent and deleted: receive latency, and disk that comes back",
        disk_gib: 14.0,
        within_s: 3_600,
        run: |context, report| Box::pin(churn::run(context, report, churn::Head::Clear)),
    },
    Scenario {
        name: "churn-pinned",
        about: "the same with one old message left at the head",
        disk_gib: 14.0,
        within_s: 3_600,
        run: |context, report| Box::pin(churn::run(context, report, churn::Head::Pinned)),
    },
    Scenario {
        name: "peek",
        about: "a look into 10 million messages, and receives beside people who look on and on",
        disk_gib: 24.0,
        within_s: 3_600,
        run: |context, report| Box::pin(peek::run(context, report)),
    },
    Scenario {
        name: "idle-polls",
        about: "10,000 idle long polls: processor, memory, and who is woken by a send",
        disk_gib: 1.0,
        within_s: 300,
        run: |context, report| Box::pin(polls::run(context, report)),
    },
    Scenario {
        name: "speed",
        about: "durable sends, batches, receives and deletes, beside floor-log",
        disk_gib: 12.0,
        within_s: 3_600,
        run: |context, report| Box::pin(speed::run(context, report)),
    },
    Scenario {
        name: "sdk",
        about: "producer, worker, heartbeats, request and reply, functions, beside the load generator",
        disk_gib: 8.0,
        within_s: 1_800,
        run: |context, report| Box::pin(sdk::run(context, report)),
    },
    Scenario {
        name: "command-line",
        about: "a million messages through `stanchion`: rate, memory, and how soon it begins",
        disk_gib: 3.0,
        within_s: 600,
        run: |context, report| Box::pin(command_line::run(context, report)),
    },
    Scenario {
        name: "kills",
        about: "300 times SIGKILL under load, and an audit of everything acknowledged",
        disk_gib: 4.0,
        within_s: 3_600,
        run: |context, report| Box::pin(kills::run(context, report)),
    },
    Scenario {
        name: "move-task",
        about: "1 million messages moved by a task that is killed three times on the way",
        disk_gib: 6.0,
        within_s: 3_600,
        run: |context, report| Box::pin(moves::run(context, report)),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_a_name_of_its_own() {
        let mut names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SCENARIOS.len());
    }
}
