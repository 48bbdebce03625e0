//! The settings of a function host, their defaults and ranges.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::core::{QueueRules, Rules};
use super::driver::Queue;
use super::error::StartError;
use super::event::Source;
use super::filter::FilterPattern;
use super::host::FunctionHost;
use super::logs::{self, LogLine, LogSink};
use super::process::Spec;
use crate::client::Client;
use crate::{Attributes, GetQueueAttributes};

/// The most messages of one event.
const BATCH_MAX: usize = 10_000;

/// The same for FIFO queues, and for all without a window.
const BATCH_WITHOUT_WINDOW_MAX: usize = 10;

const WINDOW_MAX: Duration = Duration::from_secs(300);
const PROCESSES_MAX: usize = 1_000;
const FILTERS_MAX: usize = 10;

/// Longer than any message can be hidden.
const TIMEOUT_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// Settings of a [`FunctionHost`]. The defaults are Lambda's where it has any.
#[derive(Clone)]
pub struct FunctionHostBuilder {
    name: String,
    command: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    handler: Option<String>,
    memory_mb: u32,
    region: Option<String>,
    queue: Option<(Client, String)>,
    batch_size: usize,
    window: Duration,
    processes: (usize, usize),
    timeout: Duration,
    init_timeout: Duration,
    idle_timeout: Duration,
    reports_failures: bool,
    filters: Vec<FilterPattern>,
    sink: LogSink,
}

/// What the driver needs to know of a function.
pub(crate) struct Config {
    pub(crate) name: Arc<str>,
    pub(crate) arn: String,
    pub(crate) region: String,
    pub(crate) memory_mb: u32,
    pub(crate) spec: Spec,
    pub(crate) sink: LogSink,
    pub(crate) timeout: Duration,
}

impl FunctionHostBuilder {
    pub(crate) fn new(name: String, command: Vec<OsString>) -> FunctionHostBuilder {
        FunctionHostBuilder {
            name,
            command,
            env: Vec::new(),
            folder: None,
            handler: None,
            memory_mb: 128,
            region: None,
            queue: None,
            batch_size: 10,
            window: Duration::ZERO,
            processes: (0, 1),
            timeout: Duration::from_secs(3),
            init_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            reports_failures: false,
            filters: Vec::new(),
            sink: Arc::new(logs::trace),
        }
    }

    /// Invokes the function with messages of this queue: its URL, or its name. Without a queue it
    /// takes only events sent by hand.
    pub fn queue(mut self, client: Client, queue: impl Into<String>) -> Self {
        self.queue = Some((client, queue.into()));
        self
    }

    /// The most messages of one event: 1 to 10, by default 10; with a batching window of at least a
    /// second up to 10,000.
    pub fn batch_size(mut self, messages: usize) -> Self {
        self.batch_size = messages;
        self
    }

    /// How long a message may wait for others to fill its batch: up to 300 seconds, by default not at
    /// all. Standard queues only.
    pub fn batching_window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// How many processes there are at least and at most, each of which handles one event at a time:
    /// by default 0 and 1, at most 1,000.
    pub fn processes(mut self, min: usize, max: usize) -> Self {
        self.processes = (min, max);
        self
    }

    /// How long an invocation may take until the process is killed: by default 3 seconds, at most 12
    /// hours. The queue's visibility timeout must not be shorter than that and the window together.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long a process may take until it asks for its first event: by default 60 seconds.
    pub fn init_timeout(mut self, timeout: Duration) -> Self {
        self.init_timeout = timeout;
        self
    }

    /// How long a process above the minimum may be idle until it is stopped: by default 60 seconds.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Whether the function's answers say which messages failed (`ReportBatchItemFailures`). By
    /// default a batch succeeds or fails as a whole.
    pub fn report_batch_item_failures(mut self, reports: bool) -> Self {
        self.reports_failures = reports;
        self
    }

    /// Adds a filter, 10 at most. Messages that no filter wants are deleted.
    pub fn filter(mut self, pattern: FilterPattern) -> Self {
        self.filters.push(pattern);
        self
    }

    /// Sets a variable in the environment of the processes. They inherit the host's.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The folder that the processes work in, which is `LAMBDA_TASK_ROOT` too: by default the host's.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// What runtimes find as `_HANDLER`, such as `app.handler`.
    pub fn handler(mut self, handler: impl Into<String>) -> Self {
        self.handler = Some(handler.into());
        self
    }

    /// What the function is told of its memory, in MiB: by default 128. It is not limited to it.
    pub fn memory_mb(mut self, memory: u32) -> Self {
        self.memory_mb = memory;
        self
    }

    /// The region that the function is told: by default the queue's, or else `us-east-1`.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Takes what the function writes, a line at a time; by default it becomes events of `tracing`.
    /// It must not block.
    pub fn on_log(mut self, sink: impl Fn(LogLine) + Send + Sync + 'static) -> Self {
        self.sink = Arc::new(sink);
        self
    }

    /// Checks the settings and starts the host, and the processes that there are at least. Fails when
    /// a setting is out of its range, does not go with the queue, or the queue is not there.
    pub async fn start(self) -> Result<FunctionHost, StartError> {
        self.check()?;
        let queue = match &self.queue {
            Some((client, url)) => {
                let answer = client.get_queue_attributes(GetQueueAttributes::all(url)).await?;
                Some(self.of_queue(client.clone(), url.clone(), &answer.attributes)?)
            }
            None => None,
        };
        let (queue, queue_rules) = queue.unzip();
        let arn = queue.as_ref().map(|queue: &Queue| queue.source.queue_arn.as_str());
        let (config, rules) = self.settle(arn, queue_rules);
        Ok(FunctionHost::run(config, rules, queue))
    }

    fn check(&self) -> Result<(), StartError> {
        let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let (min, max) = self.processes;
        let with_window = self.window >= Duration::from_secs(1);
        let batch_max = if with_window { BATCH_MAX } else { BATCH_WITHOUT_WINDOW_MAX };
        #[rustfmt::skip]
        let checks = [
            ((1..=64).contains(&self.name.len()) && self.name.chars().all(is_letter),
             "a function's name has 1 to 64 letters, digits, hyphens and underscores"),
            (self.command.first().is_some_and(|program| !program.is_empty()),
             "there is no command to start the function with"),
            ((1..=batch_max).contains(&self.batch_size),
             "a batch has 1 to 10 messages, or up to 10,000 with a batching window of at least a second"),
            (self.window <= WINDOW_MAX, "a batching window has at most 300 seconds"),
            ((1..=PROCESSES_MAX).contains(&max), "there are 1 to 1,000 processes at most"),
            (min <= max, "there are more processes at least than at most"),
            (!self.timeout.is_zero() && self.timeout <= TIMEOUT_MAX,
             "a function's timeout is longer than nothing and at most 12 hours"),
            (!self.init_timeout.is_zero() && self.init_timeout <= TIMEOUT_MAX,
             "an initialisation timeout is longer than nothing and at most 12 hours"),
            (self.idle_timeout <= TIMEOUT_MAX, "an idle timeout has at most 12 hours"),
            (self.filters.len() <= FILTERS_MAX, "there are more than 10 filters"),
        ];
        match checks.into_iter().find(|(is_right, _)| !is_right) {
            Some((_, text)) => Err(StartError::Invalid(text.into())),
            None => Ok(()),
        }
    }

    fn of_queue(
        &self,
        client: Client,
        url: String,
        attributes: &Attributes,
    ) -> Result<(Queue, QueueRules), StartError> {
        let invalid = |text: String| Err(StartError::Invalid(text));
        let attribute = |name: &str| attributes.get(name).map(String::as_str).unwrap_or_default();
        let queue_arn = attribute("QueueArn").to_owned();
        let fifo = attribute("FifoQueue") == "true";
        let Ok(seconds) = attribute("VisibilityTimeout").parse() else {
            return invalid(format!("the queue {url} does not say its visibility timeout"));
        };
        let visibility = Duration::from_secs(seconds);
        if visibility < self.timeout {
            return invalid(format!(
                "the queue's visibility timeout of {seconds} s is shorter than the function's timeout of {} s",
                self.timeout.as_secs_f64()
            ));
        }
        // A message that is hidden for no longer than the window would never be handled.
        if visibility < self.timeout + self.window {
            return invalid(format!(
                "the queue's visibility timeout of {seconds} s is shorter than the batching window and the function's timeout together"
            ));
        }
        if fifo && (!self.window.is_zero() || self.batch_size > BATCH_WITHOUT_WINDOW_MAX) {
            return invalid(
                "a FIFO queue has no batching window, and batches of at most 10".into(),
            );
        }
        let region = part(&queue_arn, 3).unwrap_or_else(|| client.region()).to_owned();
        let source = Source { queue_arn, region };
        let filters = self.filters.clone();
        let queue = Queue { client, url, source, filters, fifo, visibility };
        Ok((queue, QueueRules { fifo, visibility }))
    }

    fn settle(self, queue_arn: Option<&str>, queue: Option<QueueRules>) -> (Config, Rules) {
        let from_queue = |place| queue_arn.and_then(|arn| part(arn, place)).map(str::to_owned);
        let region = self.region.or_else(|| from_queue(3)).unwrap_or_else(|| "us-east-1".into());
        let account = from_queue(4).unwrap_or_else(|| "000000000000".into());
        let mut command = self.command.into_iter();
        let program = command.next().unwrap_or_default();
        let mut env = self.env;
        if let Some(handler) = self.handler {
            env.push(("_HANDLER".into(), handler.into()));
        }
        let spec = Spec { program, args: command.collect(), env, folder: self.folder };
        let config = Config {
            arn: format!("arn:aws:lambda:{region}:{account}:function:{}", self.name),
            name: self.name.into(),
            region,
            memory_mb: self.memory_mb,
            spec,
            sink: self.sink,
            timeout: self.timeout,
        };
        let rules = Rules {
            timeout: self.timeout,
            init_timeout: self.init_timeout,
            idle_timeout: self.idle_timeout,
            batch_size: self.batch_size,
            window: self.window,
            processes_min: self.processes.0,
            processes_max: self.processes.1,
            reports_failures: self.reports_failures,
            queue,
        };
        (config, rules)
    }
}

/// One of an ARN's parts, counted from 0.
fn part(arn: &str, place: usize) -> Option<&str> {
    arn.split(':').nth(place).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn builder() -> FunctionHostBuilder {
        FunctionHostBuilder::new("orders".into(), vec!["true".into()])
    }

    #[test]
    fn settings_out_of_their_ranges_are_refused() {
        let filter = FilterPattern::parse(r#"{"body":["x"]}"#).unwrap();
        let filters = |count| (0..count).fold(builder(), |to, _| to.filter(filter.clone()));
        #[rustfmt::skip]
        let cases = [
            (builder(), true),
            (FunctionHostBuilder::new("a b".into(), vec!["true".into()]), false),
            (FunctionHostBuilder::new("".into(), vec!["true".into()]), false),
            (FunctionHostBuilder::new("a".into(), vec![]), false),
            (builder().batch_size(0), false),
            (builder().batch_size(11), false),
            (builder().batch_size(11).batching_window(SECOND), true),
            (builder().batch_size(10_001).batching_window(SECOND), false),
            (builder().batching_window(301 * SECOND), false),
            (builder().processes(0, 0), false),
            (builder().processes(9, 8), false),
            (builder().processes(8, 8), true),
            (builder().processes(0, 1_001), false),
            (builder().timeout(Duration::ZERO), false),
            (builder().timeout(43_201 * SECOND), false),
            (filters(10), true),
            (filters(11), false),
        ];
        for (place, (builder, is_right)) in cases.into_iter().enumerate() {
            assert_eq!(builder.check().is_ok(), is_right, "case {place}");
        }
    }

    #[test]
    fn a_queue_must_go_with_the_function() {
        let of_queue = |builder: FunctionHostBuilder, visibility: &str, fifo: &str| {
            let client = Client::builder().unsigned().build().unwrap();
            let attributes = [
                ("QueueArn", "arn:aws:sqs:eu-north-1:123456789012:orders"),
                ("VisibilityTimeout", visibility),
                ("FifoQueue", fifo),
            ];
            let attributes = attributes.map(|(name, value)| (name.into(), value.into())).into();
            builder.of_queue(client, "orders".into(), &attributes)
        };
        let (queue, rules) = of_queue(builder().timeout(30 * SECOND), "30", "true").unwrap();
        assert_eq!(queue.source.region, "eu-north-1");
        assert!(rules.fifo && rules.visibility == 30 * SECOND);
        let refused = of_queue(builder().timeout(31 * SECOND), "30", "false").err().unwrap();
        assert_eq!(
            refused.to_string(),
            "the queue's visibility timeout of 30 s is shorter than the function's timeout of 31 s"
        );
        assert!(of_queue(builder().batching_window(SECOND), "30", "true").is_err());
        let window = |seconds| builder().timeout(3 * SECOND).batching_window(seconds * SECOND);
        assert!(of_queue(window(27), "30", "false").is_ok());
        assert!(of_queue(window(28), "30", "false").is_err());
        assert!(of_queue(builder(), "", "false").is_err());
    }
}
