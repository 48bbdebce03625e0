//! Functions written for Lambda, in four languages, under the function host of the SDK and against a
//! real server.

use std::ffi::OsString;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stanchion_sdk::functions::{
    FilterPattern, FunctionHost, FunctionHostBuilder, InvokeError, LogLine, StartError,
};
use stanchion_sdk::{Client, CreateQueue, GetQueueAttributes, SendMessage};
use stanchion_tests::{Server, http, install, process::PATIENCE};
use tempfile::TempDir;

/// Long enough that no machine is too slow for it, where nothing is to time out.
const LONG: Duration = Duration::from_secs(100);

/// How often a condition is looked at that a test waits for.
const LOOK: Duration = Duration::from_millis(10);

type Command = Vec<OsString>;

fn rust() -> Command {
    vec![env!("CARGO_BIN_EXE_lambda-function").into()]
}

fn python() -> Option<Command> {
    let python = install::python_function()?.join("bin/python");
    Some(["-B", "-m", "awslambdaric", "app.handler"].into_iter().fold(
        vec![python.into_os_string()],
        |mut command, word| {
            command.push(word.into());
            command
        },
    ))
}

fn node() -> Option<Command> {
    install::node()?;
    let runtime = install::functions().join("node/runtime.mjs");
    Some(vec!["node".into(), runtime.into_os_string(), "app.handler".into()])
}

fn go() -> Option<Command> {
    Some(vec![install::go_function()?.into_os_string()])
}

/// A server, a queue, and what the functions need on disk.
struct Stage {
    server: Server,
    client: Client,
    queue: String,
    folder: TempDir,
}

impl Stage {
    /// With a queue whose messages do not come again while a test runs: what failed is seen to be kept.
    async fn set(queue: &str) -> Stage {
        Stage::set_with(queue, &[("VisibilityTimeout", "43200")]).await
    }

    async fn set_with(queue: &str, attributes: &[(&str, &str)]) -> Stage {
        let server = Server::start();
        let client = Client::builder().endpoint(server.url()).unsigned().build();
        let client = client.expect("the client is complete");
        let create = attributes
            .iter()
            .fold(CreateQueue::new(queue), |create, (name, value)| create.attribute(*name, value));
        let created = client.create_queue(create).await.expect("the queue is created");
        let folder = TempDir::new().expect("a scratch folder can be made");
        Stage { server, client, queue: created.queue_url, folder }
    }

    /// A host of the function, before its queue and limits are set.
    fn host(&self, folder: &str, command: Command) -> FunctionHostBuilder {
        FunctionHost::builder("under-test", command)
            .folder(install::functions().join(folder))
            .env("FUNCTION_DIARY", self.folder.path().join("diary"))
            .env("FUNCTION_GATE", self.folder.path().join("gate"))
            .timeout(LONG)
            .report_batch_item_failures(true)
    }

    fn with_queue(&self, folder: &str, command: Command) -> FunctionHostBuilder {
        self.host(folder, command).queue(self.client.clone(), &self.queue)
    }

    async fn send(&self, what: &str, name: &str) {
        self.send_request(SendMessage::new(&self.queue, body(what, name))).await;
    }

    async fn send_to_group(&self, group: &str, what: &str, name: &str) {
        let request = SendMessage::new(&self.queue, body(what, name)).group(group).dedup_id(name);
        self.send_request(request).await;
    }

    async fn send_request(&self, request: SendMessage) {
        self.client.send_message(request).await.expect("the message is accepted");
    }

    /// The names of the messages that were begun, in order.
    fn diary(&self) -> Vec<String> {
        let diary = fs::read_to_string(self.folder.path().join("diary")).unwrap_or_default();
        diary.lines().map(str::to_owned).collect()
    }

    /// Lets those go on that wait.
    fn open_gate(&self) {
        fs::write(self.folder.path().join("gate"), "").expect("the folder takes a file");
    }

    /// How many messages are available, and how many in flight.
    async fn counters(&self) -> (u64, u64) {
        let asked = self.client.get_queue_attributes(GetQueueAttributes::all(&self.queue)).await;
        let found = asked.expect("the queue has attributes").attributes;
        let number = |name: &str| found[name].parse().expect("a counter is a number");
        (number("ApproximateNumberOfMessages"), number("ApproximateNumberOfMessagesNotVisible"))
    }

    async fn wait_for_counters(&self, expected: (u64, u64)) {
        let until = Instant::now() + PATIENCE;
        while self.counters().await != expected {
            assert!(Instant::now() < until, "{:?}, not {expected:?}", self.counters().await);
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn body(what: &str, name: &str) -> String {
    json!({"do": what, "name": name}).to_string()
}

async fn wait_for(what: &str, is_true: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

async fn end(host: FunctionHost) {
    host.stop();
    tokio::time::timeout(PATIENCE, host.stopped()).await.expect("the host ends");
}

/// What every language's function must do: succeed, fail in part, throw, crash, and answer an event
/// sent by hand.
async fn runs_unmodified(folder: &str, command: Option<Command>) {
    let Some(command) = command else { return };
    let stage = Stage::set("orders").await;
    let lines = Arc::new(Mutex::new(Vec::<LogLine>::new()));
    let seen = lines.clone();
    let host = stage.with_queue(folder, command).batch_size(1).processes(1, 1);
    let host = host.on_log(move |line| seen.lock().expect("no test panics here").push(line));
    let host = host.start().await.expect("the host starts");
    let metrics = host.metrics().clone();

    let event = json!({"say": "grüße", "n": [1, 2.5, null]});
    let answer = host.invoke(event.to_string()).await.expect("the function answers");
    let answer: Value = serde_json::from_slice(&answer).expect("an answer is JSON");
    assert_eq!(answer, event);

    for (what, name) in [("ok", "a"), ("fail", "b"), ("throw", "c"), ("ok", "d")] {
        stage.send(what, name).await;
    }
    wait_for("the messages are begun", || stage.diary().len() == 4).await;
    stage.wait_for_counters((0, 2)).await;
    assert_eq!(metrics.crashes(), 0);

    // A crash costs its own message alone; the next process goes on.
    stage.send("crash", "e").await;
    stage.send("ok", "f").await;
    stage.wait_for_counters((0, 3)).await;
    wait_for("the last is handled", || metrics.handled() == 3).await;
    let counted = (metrics.failed(), metrics.crashes(), metrics.timeouts(), metrics.init_errors());
    assert_eq!(counted, (3, 1, 0, 0));
    assert_eq!((metrics.invocations(), metrics.errors()), (7, 2));
    end(host).await;

    let lines = lines.lock().expect("no test panics here");
    for name in ["a", "b", "c", "d", "f"] {
        let text = format!("handling {name}");
        let line = lines.iter().find(|line| line.text == text);
        let line = line.unwrap_or_else(|| panic!("no line {text:?} in {lines:?}"));
        assert!(line.request_id.is_some() && &*line.function == "under-test");
    }
}

#[tokio::test]
async fn a_function_in_rust_runs_unmodified() {
    runs_unmodified("rust", Some(rust())).await;
}

#[tokio::test]
async fn a_function_in_python_runs_unmodified() {
    runs_unmodified("python", python()).await;
}

#[tokio::test]
async fn a_function_in_javascript_runs_unmodified() {
    runs_unmodified("node", node()).await;
}

#[tokio::test]
async fn a_function_in_go_runs_unmodified() {
    runs_unmodified("go", go()).await;
}

/// The message is left to come again, the process is another afterwards.
async fn times_out(folder: &str, command: Option<Command>) {
    let Some(command) = command else { return };
    let stage = Stage::set("orders").await;
    let host = stage.with_queue(folder, command).timeout(Duration::from_secs(3));
    let host = host.start().await.expect("the host starts");
    let metrics = host.metrics().clone();
    stage.send("sleep", "slow").await;
    wait_for("the function times out", || metrics.timeouts() == 1).await;
    stage.wait_for_counters((0, 1)).await;
    // On a busy machine this may time out too: the process may just have been started.
    let again = async { while host.invoke("{}").await.is_err() {} };
    tokio::time::timeout(PATIENCE, again).await.expect("another process takes over");
    assert_eq!(metrics.crashes(), 0);
    end(host).await;
}

#[tokio::test]
async fn a_function_in_rust_that_takes_too_long_is_killed_and_replaced() {
    times_out("rust", Some(rust())).await;
}

#[tokio::test]
async fn a_function_in_python_that_takes_too_long_is_killed_and_replaced() {
    times_out("python", python()).await;
}

#[tokio::test]
async fn a_function_in_javascript_that_takes_too_long_is_killed_and_replaced() {
    times_out("node", node()).await;
}

#[tokio::test]
async fn what_a_killed_process_started_is_killed_too() {
    let stage = Stage::set("orders").await;
    let diary = stage.folder.path().join("child");
    // The shell never asks for an event; its child would live on.
    let script = format!("sleep 1000 & echo $! > {} ; wait", diary.display());
    let command = ["sh", "-c", script.as_str()].map(OsString::from).to_vec();
    let host = stage.host("rust", command).processes(1, 1).init_timeout(Duration::from_secs(2));
    let host = host.start().await.expect("the host starts");
    wait_for("the child is there", || {
        fs::read_to_string(&diary).is_ok_and(|id| id.ends_with('\n'))
    })
    .await;
    let child = fs::read_to_string(&diary).expect("the file was seen");
    wait_for("the process is killed", || host.metrics().init_errors() >= 1).await;
    let process = format!("/proc/{}/stat", child.trim());
    // One that nobody waits for stays as a zombie.
    let is_gone = || fs::read_to_string(&process).map_or(true, |stat| stat.contains(") Z "));
    wait_for("its child is killed", is_gone).await;
}

/// The process says why it cannot start, which is heard where an event is sent by hand.
async fn fails_to_start(folder: &str, command: Option<Command>, expected: &str) {
    let Some(command) = command else { return };
    let stage = Stage::set("orders").await;
    let host = stage.with_queue(folder, command).env("FUNCTION_BROKEN", "1");
    let host = host.start().await.expect("the host starts");
    let error = host.invoke("{}").await.expect_err("the function is broken");
    assert!(
        matches!(error, InvokeError::Crashed(_)) && error.to_string().contains(expected),
        "{error}"
    );
    stage.send("ok", "a").await;
    wait_for("it is tried again", || host.metrics().init_errors() >= 2).await;
    assert_eq!((host.metrics().invocations(), stage.diary()), (0, vec![]));
    end(host).await;
}

#[tokio::test]
async fn a_function_in_rust_that_cannot_start_is_tried_again() {
    fails_to_start("rust", Some(rust()), "exit status: 1").await;
}

#[tokio::test]
async fn a_function_in_python_that_cannot_start_is_tried_again() {
    fails_to_start("python", python(), "broken as told").await;
}

#[tokio::test]
async fn a_function_in_javascript_that_cannot_start_is_tried_again() {
    fails_to_start("node", node(), "broken as told").await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let host = FunctionHost::builder("under-test", ["/nonexistent/function"]).start().await;
    let error = host.expect("the host starts").invoke("{}").await.expect_err("there is no program");
    assert!(error.to_string().contains("cannot be started"), "{error}");
}

#[tokio::test]
async fn processes_grow_from_none_to_eight_and_back() {
    let stage = Stage::set("orders").await;
    let host = stage.with_queue("rust", rust()).batch_size(1).processes(0, 8);
    let host = host.idle_timeout(Duration::from_millis(200)).start().await;
    let host = host.expect("the host starts");
    let metrics = host.metrics();
    assert_eq!(metrics.processes(), 0);
    for message in 0..12 {
        stage.send("wait", &message.to_string()).await;
    }
    wait_for("eight are at work", || metrics.concurrency() == 8).await;
    wait_for("eight have begun", || stage.diary().len() == 8).await;
    // No more is taken than processes are free for.
    assert_eq!(stage.counters().await, (4, 8));
    assert_eq!((metrics.processes(), metrics.throttles()), (8, 1));
    stage.open_gate();
    stage.wait_for_counters((0, 0)).await;
    wait_for("all processes are stopped", || metrics.processes() == 0).await;
    assert_eq!((metrics.handled(), metrics.failed()), (12, 0));
    end(host).await;
}

#[tokio::test]
async fn a_group_keeps_its_order_and_groups_run_beside_each_other() {
    let stage = Stage::set("orders.fifo").await;
    let host = stage.with_queue("rust", rust()).batch_size(2).processes(0, 4);
    let host = host.start().await.expect("the host starts");
    // One group waits inside the function; the others pass it.
    stage.send_to_group("held", "wait", "held-0").await;
    // Alone: what shares its batch would wait with it.
    wait_for("the first is begun", || stage.diary().len() == 1).await;
    for turn in 0..6 {
        stage.send_to_group("held", "ok", &format!("held-{}", turn + 1)).await;
        stage.send_to_group("a", "ok", &format!("a-{turn}")).await;
        stage.send_to_group("b", "ok", &format!("b-{turn}")).await;
    }
    let of = |group: &str| {
        let names = stage.diary().into_iter().filter(|name| name.starts_with(group));
        names.collect::<Vec<_>>()
    };
    wait_for("the other groups are through", || of("a-").len() + of("b-").len() == 12).await;
    stage.open_gate();
    stage.wait_for_counters((0, 0)).await;
    for (group, count) in [("held-", 7), ("a-", 6), ("b-", 6)] {
        let expected: Vec<String> = (0..count).map(|turn| format!("{group}{turn}")).collect();
        assert_eq!(of(group), expected);
    }
    end(host).await;
}

#[tokio::test]
async fn a_failure_holds_up_its_group_until_it_comes_again() {
    let stage = Stage::set_with("orders.fifo", &[("VisibilityTimeout", "2")]).await;
    let host = stage.with_queue("rust", rust()).timeout(Duration::from_secs(2));
    let host = host.batch_size(1).start().await.expect("the host starts");
    stage.send_to_group("g", "fail", "first").await;
    stage.send_to_group("g", "ok", "second").await;
    stage.send_to_group("other", "ok", "third").await;
    wait_for("the first is tried again, and the other group goes on", || {
        let diary = stage.diary();
        diary.iter().filter(|name| *name == "first").count() >= 2 && diary.contains(&"third".into())
    })
    .await;
    assert!(!stage.diary().contains(&"second".into()), "{:?}", stage.diary());
    end(host).await;
}

#[tokio::test]
async fn what_no_filter_wants_is_deleted_unseen() {
    let stage = Stage::set("orders").await;
    let wanted = FilterPattern::parse(r#"{"body": {"name": [{"prefix": "want"}]}}"#);
    let marked = FilterPattern::parse(r#"{"messageAttributes": {"mark": {"stringValue": ["x"]}}}"#);
    let host = stage.with_queue("rust", rust()).filter(wanted.expect("it is a pattern"));
    let host =
        host.filter(marked.expect("it is a pattern")).start().await.expect("the host starts");
    stage.send("ok", "unwanted").await;
    stage.send("ok", "wanted").await;
    let marked = SendMessage::new(&stage.queue, body("ok", "marked")).attribute("mark", "x");
    stage.send_request(marked).await;
    stage.send_request(SendMessage::new(&stage.queue, "no JSON")).await;
    wait_for("the others are handled", || host.metrics().handled() == 2).await;
    stage.wait_for_counters((0, 0)).await;
    let mut diary = stage.diary();
    diary.sort();
    assert_eq!((diary, host.metrics().filtered()), (vec!["marked".into(), "wanted".into()], 2));
    end(host).await;
}

#[tokio::test]
async fn a_batch_is_gathered_for_its_window() {
    let stage = Stage::set("orders").await;
    let host = stage.with_queue("rust", rust()).batch_size(20).batching_window(LONG);
    let host = host.timeout(Duration::from_secs(50)).start().await.expect("the host starts");
    for message in 0..20 {
        stage.send("ok", &message.to_string()).await;
    }
    wait_for("all are handled", || host.metrics().handled() == 20).await;
    assert_eq!(host.metrics().invocations(), 1);
    end(host).await;
}

#[tokio::test]
async fn a_host_that_stops_finishes_what_runs_and_hands_back_the_rest() {
    let stage = Stage::set("orders").await;
    let host = stage.with_queue("rust", rust()).batch_size(1).start().await;
    let host = host.expect("the host starts");
    stage.send("wait", "running").await;
    wait_for("the first is begun", || stage.diary().len() == 1).await;
    stage.send("ok", "later").await;
    host.stop();
    let refused = async {
        // The order to stop is on its way.
        while !matches!(host.invoke("{}").await, Err(InvokeError::Stopped)) {}
    };
    stage.open_gate();
    tokio::time::timeout(PATIENCE, refused).await.expect("the host refuses");
    tokio::time::timeout(PATIENCE, host.stopped()).await.expect("the host ends");
    assert_eq!((stage.counters().await, stage.diary()), ((1, 0), vec!["running".into()]));
}

#[tokio::test]
async fn a_host_that_is_dropped_receives_no_more() {
    let stage = Stage::set("orders").await;
    let figure = async |name: &str| {
        let metrics = http::get(stage.server.address(), "/metrics").await;
        let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
        let of_name = metrics.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
        of_name.map(|(_, value)| value.parse::<u64>().expect("a number")).sum::<u64>()
    };
    let host = stage.with_queue("rust", rust()).start().await.expect("the host starts");
    let until = Instant::now() + PATIENCE;
    while figure("stanchion_parked_polls").await == 0 {
        assert!(Instant::now() < until, "it waits for a message");
        tokio::time::sleep(LOOK).await;
    }
    let connections = figure("stanchion_connections").await;
    drop(host);
    // By itself a poll ends after 20 seconds, and keeps its connection.
    let until = Instant::now() + Duration::from_secs(15);
    while figure("stanchion_connections").await >= connections {
        assert!(Instant::now() < until, "nobody waits any more");
        tokio::time::sleep(LOOK).await;
    }
    stage.send("ok", "later").await;
    assert_eq!(stage.counters().await, (1, 0));
}

#[tokio::test]
async fn a_queue_with_too_short_a_visibility_timeout_is_refused() {
    let stage = Stage::set_with("orders", &[("VisibilityTimeout", "30")]).await;
    let refused = stage.with_queue("rust", rust()).timeout(Duration::from_secs(31)).start().await;
    let error = refused.expect_err("messages would come again while they are handled");
    assert!(matches!(error, StartError::Invalid(_)), "{error}");
    let missing = stage.host("rust", rust()).queue(stage.client.clone(), "missing").start().await;
    let error = missing.expect_err("there is no such queue");
    assert!(matches!(&error, StartError::Queue(error) if error.is_queue_missing()), "{error}");
}
