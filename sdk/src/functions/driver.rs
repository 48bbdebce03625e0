//! Carries out what the state machine decides: processes, receives, deletions, answers.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use hyper::header::HeaderValue;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use uuid::Uuid;

use super::builder::Config;
use super::core::{Core, Effect, Input, InvocationId, ProcessId, Report, Rules, Ticket};
use super::error::InvokeError;
use super::event::{self, Source};
use super::filter::FilterPattern;
use super::logs::Writer;
use super::metrics::{FunctionMetrics, count};
use super::process::{self, Group};
use super::runtime_api::{self, Call, Invocation};
use crate::client::Client;
use crate::waits::until;
use crate::{
    ChangeMessageVisibilityBatch, ChangeMessageVisibilityBatchEntry, DeleteMessageBatch,
    ReceiveMessage,
};

/// As long as a receive can wait.
const POLL_WAIT: Duration = Duration::from_secs(20);

/// How long a process that was asked to end may take.
const GRACE: Duration = Duration::from_secs(2);

/// The most messages of one batch call.
const CALL_MAX: usize = 10;

/// The most batch calls of one invocation at the same time.
const CALLS_MAX: usize = 8;

/// A queue, and what is wanted from it.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(crate) client: Client,
    pub(crate) url: String,
    pub(crate) source: Source,
    pub(crate) filters: Vec<FilterPattern>,
    pub(crate) fifo: bool,
    /// Receives ask for it, so that it is what was checked.
    pub(crate) visibility: Duration,
}

type Reply = oneshot::Sender<Result<Bytes, InvokeError>>;

/// What the host's user wants.
#[derive(Debug)]
pub(crate) enum Order {
    Note(Input),
    Invoke(Bytes, Reply),
}

/// A process as the driver knows it.
struct Running {
    group: Arc<Group>,
    /// It waits for an event.
    next: Option<oneshot::Sender<Invocation>>,
    /// The invocation that it had last, and whether its answer is still expected.
    request_id: watch::Sender<Option<Arc<str>>>,
    is_answerable: bool,
    _api: AbortOnDropHandle<()>,
}

pub(crate) struct Driver {
    core: Core,
    config: Config,
    queue: Option<Arc<Queue>>,
    metrics: Arc<FunctionMetrics>,
    processes: HashMap<ProcessId, Running>,
    callers: HashMap<Ticket, Reply>,
    tickets: u64,
    /// What tasks have to say. Each says one thing; the channels bound how much is unread.
    inputs: (mpsc::Sender<Input>, mpsc::Receiver<Input>),
    calls: (runtime_api::Calls, mpsc::Receiver<(ProcessId, Call)>),
    tasks: TaskTracker,
    polling: CancellationToken,
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Or they would take messages that nobody handles.
        self.polling.cancel();
        self.processes.values().for_each(|process| process.group.kill());
    }
}

impl Driver {
    pub(crate) fn new(
        config: Config,
        rules: Rules,
        queue: Option<Queue>,
        metrics: Arc<FunctionMetrics>,
    ) -> Driver {
        Driver {
            core: Core::new(rules),
            config,
            queue: queue.map(Arc::new),
            metrics,
            processes: HashMap::new(),
            callers: HashMap::new(),
            tickets: 0,
            inputs: mpsc::channel(64),
            calls: mpsc::channel(64),
            tasks: TaskTracker::new(),
            polling: CancellationToken::new(),
        }
    }

    /// Runs until everything has ended.
    pub(crate) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut is_done = self.note(Input::Tick);
        while !is_done {
            let deadline = self.core.next_deadline(Instant::now());
            is_done = tokio::select! {
                // The senders of the first two are held here, so neither ever ends.
                Some(input) = self.inputs.1.recv() => self.note(input),
                Some((process, call)) = self.calls.1.recv() => self.called(process, call),
                Some(order) = orders.recv() => self.ordered(order),
                () = until(deadline) => self.note(Input::Tick),
            };
        }
        // What is told from now on is told to nobody.
        self.inputs.1.close();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn ordered(&mut self, order: Order) -> bool {
        match order {
            Order::Note(input) => self.note(input),
            Order::Invoke(event, reply) => {
                self.tickets += 1;
                let ticket = Ticket(self.tickets);
                self.callers.insert(ticket, reply);
                self.note(Input::Invoke(ticket, event))
            }
        }
    }

    fn called(&mut self, process: ProcessId, call: Call) -> bool {
        // It has ended since.
        let Some(running) = self.processes.get_mut(&process) else { return false };
        match call {
            Call::Next(give) => {
                running.next = Some(give);
                running.is_answerable = false;
                self.note(Input::Next(process))
            }
            Call::Answer { request_id, result, is_accepted } => {
                let has = running.request_id.borrow().as_deref() == Some(&request_id);
                let accepts = has && std::mem::take(&mut running.is_answerable);
                // A process that ended meanwhile does not hear it.
                let _ = is_accepted.send(accepts);
                accepts && self.note(Input::Answered(process, result))
            }
            Call::InitError(error) => self.note(Input::InitFailed(process, error)),
        }
    }

    /// Tells the state machine what happened and does what it says. Returns whether it is over.
    fn note(&mut self, input: Input) -> bool {
        let mut inputs = VecDeque::from([input]);
        let mut is_done = false;
        while let Some(input) = inputs.pop_front() {
            let ended = if let Input::Exited(process, _) = input { Some(process) } else { None };
            for effect in self.core.step(input, Instant::now()) {
                is_done |= effect == Effect::Done;
                inputs.extend(self.carry_out(effect));
            }
            // Not before: its last invocation is still spoken of.
            if let Some(process) = ended {
                self.processes.remove(&process);
            }
        }
        let (busy, live) = self.core.concurrency();
        self.metrics.concurrency.store(busy as u64, Relaxed);
        self.metrics.processes.store(live as u64, Relaxed);
        is_done
    }

    /// Does something, and returns what that led to at once.
    fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Poll(asked) => self.poll(asked),
            Effect::StopPolling => self.polling.cancel(),
            Effect::Start(process) => {
                if let Err(error) = self.start(process) {
                    return Some(Input::Exited(process, format!("it cannot be started: {error}")));
                }
            }
            Effect::Invoke { process, invocation, event, trace } => {
                if !self.invoke(process, invocation, event, trace) {
                    return Some(Input::Lost(process));
                }
            }
            Effect::Kill(process) => {
                if let Some(running) = self.processes.get(&process) {
                    running.group.kill();
                }
            }
            Effect::Retire(process) => self.retire(process),
            Effect::Settle { invocation, delete } => self.delete(delete, Some(invocation)),
            Effect::Delete(handles) => self.delete(handles, None),
            Effect::Release(handles) => self.release(handles),
            Effect::Reply(ticket, result) => {
                if let Some(caller) = self.callers.remove(&ticket) {
                    // Who asked may have gone.
                    let _ = caller.send(result);
                }
            }
            Effect::Report(report) => self.report(report),
            Effect::InitError(process, error) => {
                count(&self.metrics.init_errors, 1);
                tracing::warn!(function = %self.config.name, process = process.0, error, "a process did not start");
            }
            Effect::Throttled => count(&self.metrics.throttles, 1),
            Effect::Done => {}
        }
        None
    }

    fn poll(&self, asked: usize) {
        let Some(queue) = self.queue.clone() else { return };
        let (inputs, metrics) = (self.inputs.0.clone(), self.metrics.clone());
        let polling = self.polling.clone();
        let function = self.config.name.clone();
        self.tasks.spawn(async move {
            // At most 10, so it fits.
            let request = ReceiveMessage::new(&queue.url).max(asked as u32);
            let request = request.wait(POLL_WAIT).visibility(queue.visibility);
            let answer = tokio::select! {
                // What has arrived is not given up.
                biased;
                answer = queue.client.receive_message(request) => Some(answer),
                () = polling.cancelled() => None,
            };
            let input = match answer {
                None => Input::PollFailed { asked },
                Some(Ok(answer)) => {
                    let now = Instant::now();
                    count(&metrics.received, answer.messages.len());
                    let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
                    for message in answer.messages {
                        match event::hold(message, &queue.source, &queue.filters, queue.fifo, now) {
                            Ok(held) => wanted.push(held),
                            Err(message) => unwanted.push(message.receipt_handle),
                        }
                    }
                    count(&metrics.filtered, unwanted.len());
                    Input::Received { asked, wanted, unwanted }
                }
                Some(Err(error)) => {
                    count(&metrics.receive_failures, 1);
                    tracing::warn!(%function, queue = queue.url, %error, "cannot receive");
                    Input::PollFailed { asked }
                }
            };
            // It fails when the host is gone.
            let _ = inputs.send(input).await;
        });
    }

    fn start(&mut self, process: ProcessId) -> std::io::Result<()> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = TcpListener::from_std(listener)?;
        let (child, group) =
            process::start(&self.config.spec, self.environment(&address.to_string())?)?;
        let group = Arc::new(group);
        let api = tokio::spawn(runtime_api::serve(listener, process, self.calls.0.clone()));
        let (request_id, see_request_id) = watch::channel(None);
        let writer = Writer {
            function: self.config.name.clone(),
            process: process.0,
            request_id: see_request_id,
            sink: self.config.sink.clone(),
        };
        tracing::debug!(function = %self.config.name, process = process.0, "a process starts");
        let (inputs, watched) = (self.inputs.0.clone(), group.clone());
        self.tasks.spawn(async move {
            let how = process::watch(child, &watched, writer).await;
            // It fails when the host is gone.
            let _ = inputs.send(Input::Exited(process, how)).await;
        });
        let api = AbortOnDropHandle::new(api);
        let running = Running { group, next: None, request_id, is_answerable: false, _api: api };
        self.processes.insert(process, running);
        Ok(())
    }

    /// What Lambda puts into a function's environment.
    fn environment(&self, api: &str) -> std::io::Result<Vec<(&'static str, OsString)>> {
        let Config { name, region, memory_mb, spec, .. } = &self.config;
        let here = std::env::current_dir()?;
        let root = spec.folder.as_ref().map_or(here.clone(), |folder| here.join(folder));
        let root = root.into_os_string();
        Ok(vec![
            ("AWS_LAMBDA_RUNTIME_API", api.into()),
            ("AWS_LAMBDA_FUNCTION_NAME", name.as_ref().into()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".into()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory_mb.to_string().into()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".into()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}").into()),
            ("AWS_LAMBDA_LOG_STREAM_NAME", format!("[$LATEST]{}", Uuid::new_v4().simple()).into()),
            ("AWS_REGION", region.into()),
            ("AWS_DEFAULT_REGION", region.into()),
            ("LAMBDA_RUNTIME_DIR", root.clone()),
            ("LAMBDA_TASK_ROOT", root),
        ])
    }

    /// Gives a process an event; false when it is not there to take it.
    fn invoke(
        &mut self,
        process: ProcessId,
        invocation: InvocationId,
        event: Bytes,
        trace: Option<String>,
    ) -> bool {
        let Some(running) = self.processes.get_mut(&process) else { return false };
        let request_id = Uuid::new_v4().to_string();
        running.request_id.send_replace(Some(request_id.as_str().into()));
        running.is_answerable = true;
        tracing::debug!(
            function = %self.config.name,
            process = process.0,
            invocation = invocation.0,
            request_id,
            bytes = event.len(),
            "an invocation begins"
        );
        let deadline = SystemTime::now() + self.config.timeout;
        let invocation = Invocation {
            request_id,
            deadline_ms: deadline.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis(),
            function_arn: self.config.arn.clone(),
            trace: trace
                .filter(|trace| HeaderValue::from_str(trace).is_ok())
                .unwrap_or_else(new_trace),
            event,
        };
        running.next.take().is_some_and(|next| next.send(invocation).is_ok())
    }

    fn retire(&mut self, process: ProcessId) {
        let Some(running) = self.processes.get(&process) else { return };
        running.group.ask_to_end();
        let group = running.group.clone();
        // Not awaited by the end of the host: there is nothing to kill any more then.
        tokio::spawn(async move {
            tokio::time::sleep(GRACE).await;
            group.kill();
        });
    }

    fn delete(&self, handles: Vec<String>, invocation: Option<InvocationId>) {
        let Some(queue) = self.queue.clone() else { return };
        let (inputs, metrics) = (self.inputs.0.clone(), self.metrics.clone());
        let function = self.config.name.clone();
        self.tasks.spawn(async move {
            let calls = handles.chunks(CALL_MAX).map(<[String]>::to_vec);
            let calls = calls.map(|handles| delete(&queue, handles, &function));
            let mut calls = stream::iter(calls.collect::<Vec<_>>()).buffer_unordered(CALLS_MAX);
            let mut left = 0;
            while let Some(more) = calls.next().await {
                left += more;
            }
            count(&metrics.delete_failures, left);
            if let Some(invocation) = invocation {
                // It fails when the host is gone.
                let _ = inputs.send(Input::Settled { invocation, failed: left > 0 }).await;
            }
        });
    }

    fn release(&self, handles: Vec<String>) {
        let Some(queue) = self.queue.clone() else { return };
        let function = self.config.name.clone();
        self.tasks.spawn(async move {
            // In order, so that a group's messages are available as they were.
            for handles in handles.chunks(CALL_MAX) {
                let entries = handles.iter().enumerate().map(|(place, handle)| {
                    ChangeMessageVisibilityBatchEntry {
                        id: place.to_string(),
                        receipt_handle: handle.clone(),
                        visibility_timeout: 0,
                    }
                });
                let queue_url = queue.url.clone();
                let request = ChangeMessageVisibilityBatch { queue_url, entries: entries.collect() };
                if let Err(error) = queue.client.change_message_visibility_batch(request).await {
                    tracing::warn!(%function, %error, "cannot hand back messages; they come again later");
                }
            }
        });
    }

    fn report(&self, report: Report) {
        let Report { process, invocation, took, error, handled, failed } = report;
        let metrics = &self.metrics;
        count(&metrics.invocations, 1);
        count(&metrics.errors, usize::from(error.is_some()));
        count(&metrics.timeouts, usize::from(error == Some(InvokeError::TimedOut)));
        count(&metrics.crashes, usize::from(matches!(error, Some(InvokeError::Crashed(_)))));
        count(&metrics.handled, handled);
        count(&metrics.failed, failed);
        metrics.took(took);
        let running = self.processes.get(&process);
        let request_id = running.and_then(|running| running.request_id.borrow().clone());
        let request_id = request_id.as_deref();
        let (function, duration_ms) = (&*self.config.name, took.as_secs_f64() * 1_000.0);
        let (process, invocation) = (process.0, invocation.0);
        match error {
            None => tracing::info!(
                function,
                process,
                invocation,
                request_id,
                duration_ms,
                handled,
                failed,
                "invoked"
            ),
            Some(error) => tracing::warn!(
                function, process, invocation, request_id, duration_ms, handled, failed, %error,
                "an invocation failed"
            ),
        }
    }
}

/// Deletes up to 10 messages and returns how many are left.
async fn delete(queue: &Queue, handles: Vec<String>, function: &str) -> usize {
    let count = handles.len();
    let request = DeleteMessageBatch::new(&queue.url, handles);
    match queue.client.delete_message_batch(request).await {
        Ok(reply) => {
            for failure in &reply.failed {
                tracing::warn!(function, code = failure.code, "a handled message is not deleted");
            }
            // What the answer does not mention may be there as well.
            count.saturating_sub(reply.successful.len())
        }
        Err(error) => {
            tracing::warn!(function, count, %error, "handled messages are not deleted");
            count
        }
    }
}

/// A trace of X-Ray's form that nobody collects.
fn new_trace() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let id = Uuid::new_v4().simple().to_string();
    format!("Root=1-{seconds:08x}-{};Parent={};Sampled=0", &id[..24], &id[16..])
}
