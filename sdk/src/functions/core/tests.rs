//! Stories of a function host, told as lines of `time input -> effects`.

use bytes::Bytes;

use super::*;
use crate::functions::FunctionError;
use crate::functions::event::EVENT_OVERHEAD;
use crate::functions::event::tests::held;

const SECOND: Duration = Duration::from_secs(1);

/// A standard queue, batches of two, up to three processes, a timeout of 5 s.
fn rules() -> Rules {
    Rules {
        timeout: 5 * SECOND,
        init_timeout: 10 * SECOND,
        idle_timeout: 60 * SECOND,
        batch_size: 2,
        window: Duration::ZERO,
        processes_min: 0,
        processes_max: 3,
        reports_failures: true,
        queue: Some(QueueRules { fifo: false, visibility: 30 * SECOND }),
    }
}

fn fifo() -> Rules {
    Rules { queue: Some(QueueRules { fifo: true, visibility: 30 * SECOND }), ..rules() }
}

/// Each line has seconds, what happens, and after an arrow what is to be done about it. A message is
/// `a`, or `a@g` in a group, or `!a` if no filter wants it.
fn check(rules: Rules, story: &str) {
    let (mut core, start) = (Core::new(rules), Instant::now());
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (happens, expected) = line.split_once("->").expect("a line has an arrow");
        let mut words = happens.split_whitespace();
        let at: f64 = words.next().unwrap().trim_end_matches('s').parse().unwrap();
        let now = start + Duration::from_secs_f64(at);
        let input = input(words.next().unwrap(), &words.collect::<Vec<_>>(), now);
        let effects: Vec<String> = core.step(input, now).iter().map(show).collect();
        assert_eq!(effects.join("; "), expected.trim(), "after: {happens}");
    }
}

fn input(verb: &str, words: &[&str], now: Instant) -> Input {
    let number = || words[0].parse::<u64>().unwrap();
    let process = || ProcessId(number());
    let error = || FunctionError {
        error_type: "Oops".into(),
        message: "it broke".into(),
        payload: Bytes::new(),
    };
    match verb {
        "tick" => Input::Tick,
        "received" => {
            let message = |word: &&str| match word.split_once('@') {
                Some((id, group)) => held(id, Some(group), now),
                None => held(word, None, now),
            };
            let (unwanted, wanted): (Vec<&str>, Vec<&str>) =
                words[1..].iter().partition(|word| word.starts_with('!'));
            Input::Received {
                asked: number() as usize,
                wanted: wanted.iter().map(message).collect(),
                unwanted: unwanted.iter().map(|word| word[1..].to_owned()).collect(),
            }
        }
        "unreachable" => Input::PollFailed { asked: number() as usize },
        "next" => Input::Next(process()),
        "ok" => Input::Answered(process(), Ok(Bytes::new())),
        "failing" => {
            let items = words[1..].iter().map(|id| format!("{{\"itemIdentifier\":\"{id}\"}}"));
            let items = items.collect::<Vec<_>>().join(",");
            Input::Answered(process(), Ok(format!("{{\"batchItemFailures\":[{items}]}}").into()))
        }
        "error" => Input::Answered(process(), Err(error())),
        "lost" => Input::Lost(process()),
        "broken" => Input::InitFailed(process(), error()),
        "exited" => Input::Exited(process(), "it ended".into()),
        "settled" => Input::Settled { invocation: InvocationId(number()), failed: false },
        "unsettled" => Input::Settled { invocation: InvocationId(number()), failed: true },
        "by-hand" => Input::Invoke(Ticket(number()), Bytes::from_static(b"{}")),
        "stop" => Input::Stop,
        "stop-now" => Input::StopNow,
        verb => panic!("no such verb: {verb}"),
    }
}

fn show(effect: &Effect) -> String {
    match effect {
        Effect::Poll(asked) => format!("poll {asked}"),
        Effect::StopPolling => "stop polling".into(),
        Effect::Start(process) => format!("start {}", process.0),
        Effect::Invoke { process, event, .. } => {
            let event = String::from_utf8_lossy(event);
            let ids = event.split("\"messageId\":\"").skip(1);
            let ids: Vec<&str> = ids.map(|rest| rest.split('"').next().unwrap()).collect();
            format!("invoke {} {}", process.0, ids.join(",")).trim_end().into()
        }
        Effect::Kill(process) => format!("kill {}", process.0),
        Effect::Retire(process) => format!("retire {}", process.0),
        Effect::Settle { invocation, delete } => {
            format!("settle {} {}", invocation.0, delete.join(","))
        }
        Effect::Delete(handles) => format!("delete {}", handles.join(",")),
        Effect::Release(handles) => format!("release {}", handles.join(",")),
        Effect::Reply(ticket, Ok(_)) => format!("reply {}", ticket.0),
        Effect::Reply(ticket, Err(error)) => format!("refuse {} {error}", ticket.0),
        Effect::Report(report) => {
            let Report { handled, failed, error, .. } = report;
            let error = error.as_ref().map(|error| format!(" {error}")).unwrap_or_default();
            format!("report +{handled} -{failed}{error}")
        }
        Effect::InitError(process, error) => format!("no start {} {error}", process.0),
        Effect::Throttled => "throttled".into(),
        Effect::Done => "done".into(),
    }
}

#[test]
fn messages_start_a_process_which_handles_them_and_is_stopped_when_idle() {
    check(
        rules(),
        "
        0s   tick               -> poll 6
        1s   received 6 a       -> start 1; poll 5
        2s   next 1             -> invoke 1 a
        3s   ok 1               -> report +1 -0; settle 1 a
        3s   next 1             ->
        4s   settled 1          ->
        62s  tick               ->
        63s  tick               -> retire 1
        64s  exited 1           ->
        ",
    );
}

#[test]
fn processes_grow_with_the_backlog_up_to_the_maximum_and_no_more_is_received() {
    check(
        Rules { batch_size: 1, ..rules() },
        "
        0s  tick                -> poll 3
        0s  received 3 a b c    -> start 1; start 2; start 3
        1s  next 1              -> invoke 1 a
        1s  next 3              -> invoke 3 b
        1s  next 2              -> invoke 2 c; throttled
        2s  ok 3                -> report +1 -0; settle 2 b; poll 1
        2s  settled 2           ->
        2s  next 3              ->
        3s  received 1 d        -> invoke 3 d; throttled
        ",
    );
}

#[test]
fn a_full_answer_asks_for_more_receives_and_an_empty_one_for_one() {
    check(
        Rules { batch_size: 10, processes_min: 3, ..rules() },
        "
        0s  tick                         -> start 1; start 2; start 3; poll 10
        1s  received 10 a b c d e f g h i j -> poll 10; poll 10
        2s  received 10                  ->
        3s  received 10                  -> poll 10
        ",
    );
}

#[test]
fn a_minimum_of_processes_is_kept() {
    check(
        Rules { processes_min: 2, ..rules() },
        "
        0s   tick         -> start 1; start 2; poll 6
        1s   next 1       ->
        1s   next 2       ->
        99s  tick         ->
        99s  exited 1     ->
        99.1s tick        -> start 3
        ",
    );
}

#[test]
fn only_what_the_function_handled_is_deleted() {
    check(
        rules(),
        "
        0s  tick              -> poll 6
        0s  received 6 a b    -> start 1; poll 4
        1s  next 1            -> invoke 1 a,b
        2s  failing 1 b       -> report +1 -1; settle 1 a
        2s  settled 1         ->
        2s  next 1            ->
        3s  received 4 c d    -> invoke 1 c,d; poll 4
        4s  failing 1 x       -> report +0 -2 the batch response names \"x\", which is not in the batch
        4s  next 1            ->
        5s  received 4 e f    -> invoke 1 e,f; poll 4
        6s  error 1           -> report +0 -2 Oops: it broke
        ",
    );
    check(
        Rules { reports_failures: false, ..rules() },
        "
        0s  tick              -> poll 6
        0s  received 6 a b    -> start 1; poll 4
        1s  next 1            -> invoke 1 a,b
        2s  failing 1 b       -> report +2 -0; settle 1 a,b
        ",
    );
}

#[test]
fn a_batch_waits_for_its_window_or_until_it_is_full() {
    check(
        Rules { batch_size: 3, window: 5 * SECOND, processes_min: 1, ..rules() },
        "
        0s  tick              -> start 1; poll 9
        0s  next 1            ->
        1s  received 9 a      -> poll 8
        2s  received 8 b      -> poll 7
        5s  tick              ->
        6s  tick              -> invoke 1 a,b
        7s  ok 1              -> report +2 -0; settle 1 a,b
        7s  next 1            ->
        8s  received 7 c d e  -> invoke 1 c,d,e; poll 6
        ",
    );
}

#[test]
fn an_event_has_at_most_6_mib() {
    let now = Instant::now();
    let mut core = Core::new(Rules { batch_size: 10, processes_min: 1, ..rules() });
    core.step(Input::Tick, now);
    core.step(Input::Next(ProcessId(1)), now);
    let large = |size: usize| Held { record: "x".repeat(size), ..held("a", None, now) };
    let wanted = vec![large(PAYLOAD_BYTES_MAX - 100), large(50), large(50), large(7_000_000)];
    let mut sizes = Vec::new();
    let mut note = |effects: Vec<Effect>| {
        for effect in effects {
            if let Effect::Invoke { event, .. } = effect {
                sizes.push(event.len());
            }
        }
    };
    note(core.step(Input::Received { asked: 10, wanted, unwanted: vec![] }, now));
    for _ in 0..3 {
        note(core.step(Input::Answered(ProcessId(1), Ok(Bytes::new())), now));
        note(core.step(Input::Next(ProcessId(1)), now));
    }
    // One that is too large by itself is tried all the same.
    let braces = EVENT_OVERHEAD;
    assert_eq!(sizes[0], PAYLOAD_BYTES_MAX - 100 + 1 + 50 + braces);
    assert_eq!(sizes[1..], [50 + braces, 7_000_000 + braces]);
}

#[test]
fn what_no_filter_wants_is_deleted() {
    check(
        rules(),
        "
        0s  tick                  -> poll 6
        0s  received 6 !a b !c    -> delete a,c; start 1; poll 5
        ",
    );
}

#[test]
fn a_function_that_takes_too_long_is_killed_and_replaced() {
    check(
        rules(),
        "
        0s  tick              -> poll 6
        0s  received 6 a b c  -> start 1; start 2; poll 3
        1s  next 1            -> invoke 1 a,b
        2s  next 2            -> invoke 2 c
        5s  ok 2              -> report +1 -0; settle 2 c
        5s  exited 2          ->
        6s  tick              -> report +0 -2 the function did not answer in time; kill 1
        6s  received 3 d      -> start 3; poll 5
        6s  ok 1              ->
        6s  exited 1          ->
        ",
    );
}

#[test]
fn a_crash_fails_the_batch_and_restarts_come_ever_later() {
    check(
        Rules { batch_size: 1, processes_max: 1, ..rules() },
        "
        0s     tick             -> poll 1
        0s     received 1 a     -> start 1
        1s     next 1           -> invoke 1 a; throttled
        2s     exited 1         -> report +0 -1 the function's process failed: it ended
        2.1s   tick             -> poll 1
        2.2s   received 1 b     -> start 2
        3s     exited 2         -> no start 2 it ended
        3.19s  tick             ->
        3.2s   tick             -> start 3
        4s     broken 3         -> kill 3; no start 3 Oops: it broke
        4s     exited 3         ->
        4.39s  tick             ->
        4.4s   tick             -> start 4
        5s     next 4           -> invoke 4 b; throttled
        6s     ok 4             -> report +1 -0; settle 2 b; poll 1
        6s     next 4           ->
        6s     exited 4         ->
        6.1s   tick             ->
        ",
    );
}

#[test]
fn a_process_that_never_asks_for_an_event_is_killed() {
    check(
        rules(),
        "
        0s   tick             -> poll 6
        0s   received 6 a     -> start 1; poll 5
        10s  tick             -> kill 1; no start 1 it did not ask for an event within 10 s
        10s  exited 1         ->
        10.1s tick            -> start 2
        ",
    );
}

#[test]
fn a_process_that_asks_again_without_an_answer_has_failed() {
    check(
        rules(),
        "
        0s  tick             -> poll 6
        0s  received 6 a     -> start 1; poll 5
        1s  next 1           -> invoke 1 a
        2s  next 1           -> report +0 -1 the function's process failed: it asked for the next event before it answered
        3s  received 5 b     -> invoke 1 b; poll 4
        3s  lost 1           -> report +0 -1 the function's process failed: it is not there to take an event; kill 1
        ",
    );
}

#[test]
fn messages_that_waited_too_long_are_left_to_others() {
    check(
        rules(),
        "
        0s   tick             -> poll 6
        0s   received 6 a     -> start 1; poll 5
        10s  tick             -> kill 1; no start 1 it did not ask for an event within 10 s
        10.1s tick            -> start 2
        20.1s tick            -> kill 2; no start 2 it did not ask for an event within 10 s
        20.3s tick            -> start 3
        25s  tick             ->
        25s  next 3           ->
        ",
    );
    // The function may take as long as messages are hidden: half of that is there to wait in.
    check(
        Rules { init_timeout: 60 * SECOND, timeout: 30 * SECOND, ..rules() },
        "
        0s     tick           -> poll 6
        0s     received 6 a   -> start 1; poll 5
        14.9s  next 1         -> invoke 1 a
        14.9s  received 5 b   -> start 2; poll 3
        30s    next 2         ->
        ",
    );
    // A batch that waited for its window is begun with in any case.
    check(
        Rules { window: 25 * SECOND, processes_min: 1, ..rules() },
        "
        0s   tick             -> start 1; poll 6
        0s   next 1           ->
        0s   received 6 a     -> poll 5
        25s  tick             -> invoke 1 a
        ",
    );
}

#[test]
fn a_host_ends_when_its_receives_have() {
    check(
        rules(),
        "
        0s  tick              -> poll 6
        1s  stop              -> stop polling
        1s  received 6 a      -> release a; done
        ",
    );
    check(
        rules(),
        "
        0s  tick              -> poll 6
        1s  stop              -> stop polling
        1s  unreachable 6     -> done
        ",
    );
}

#[test]
fn a_group_waits_until_its_batch_is_settled() {
    check(
        fifo(),
        "
        0s  tick                        -> poll 2
        0s  received 2 a1@a a2@a        -> start 1; poll 2; poll 2
        1s  next 1                      -> invoke 1 a1,a2
        2s  received 2 a3@a b1@b        -> start 2
        3s  next 2                      -> invoke 2 b1
        4s  ok 1                        -> report +2 -0; settle 1 a1,a2; poll 1
        4s  next 1                      ->
        5s  settled 1                   -> invoke 1 a3
        ",
    );
}

#[test]
fn after_a_failure_the_rest_of_the_group_goes_back() {
    check(
        Rules { batch_size: 1, ..fifo() },
        "
        0s  tick                  -> poll 1
        0s  received 1 a1@a       -> start 1; poll 1; poll 1
        1s  next 1                -> invoke 1 a1
        2s  received 1 a2@a       ->
        3s  received 1 b1@b       -> start 2
        4s  failing 1 a1          -> report +0 -1; release a2; poll 1; poll 1
        ",
    );
}

#[test]
fn a_batch_that_may_not_be_deleted_holds_up_its_groups() {
    check(
        Rules { batch_size: 1, ..fifo() },
        "
        0s  tick                  -> poll 1
        0s  received 1 a1@a       -> start 1; poll 1; poll 1
        1s  next 1                -> invoke 1 a1
        2s  received 1 a2@a       ->
        3s  ok 1                  -> report +1 -0; settle 1 a1; poll 1
        4s  unsettled 1           -> release a2; poll 1
        ",
    );
}

#[test]
fn an_event_by_hand_goes_first_and_its_sender_hears_of_failures() {
    check(
        Rules { processes_max: 1, ..rules() },
        "
        0s  tick             -> poll 2
        0s  received 2 a     -> start 1; poll 1
        0s  by-hand 7        ->
        1s  next 1           -> invoke 1; throttled
        2s  ok 1             -> report +0 -0; reply 7
        2s  next 1           -> invoke 1 a; throttled
        2s  by-hand 8        ->
        3s  exited 1         -> report +0 -1 the function's process failed: it ended
        3.1s tick            -> start 2
        4s  broken 2         -> kill 2; refuse 8 the function's process failed: Oops: it broke; no start 2 Oops: it broke
        ",
    );
}

#[test]
fn events_by_hand_need_no_queue_and_do_not_pile_up() {
    let mut core = Core::new(Rules { queue: None, ..rules() });
    let now = Instant::now();
    let mut refused = 0;
    for ticket in 0..=BY_HAND_MAX as u64 {
        let effects = core.step(Input::Invoke(Ticket(ticket), Bytes::new()), now);
        refused += effects.iter().filter(|effect| matches!(effect, Effect::Reply(..))).count();
    }
    assert_eq!(refused, 1);
    assert_eq!(core.concurrency(), (0, 3));

    let mut core = Core::new(Rules { queue: None, ..rules() });
    let large = Bytes::from(vec![b' '; PAYLOAD_BYTES_MAX]);
    let refused = (0..11).filter(|ticket| {
        let effects = core.step(Input::Invoke(Ticket(*ticket), large.clone()), now);
        effects.iter().any(|effect| matches!(effect, Effect::Reply(..)))
    });
    assert_eq!(refused.collect::<Vec<_>>(), [10], "64 MiB wait at most");
}

#[test]
fn a_queue_that_does_not_answer_is_asked_ever_more_rarely() {
    check(
        rules(),
        "
        0s    tick           -> poll 6
        0s    unreachable 6  ->
        0.49s tick           ->
        0.5s  tick           -> poll 6
        1s    unreachable 6  ->
        1.9s  tick           ->
        2s    tick           -> poll 6
        3s    received 6     -> poll 6
        ",
    );
}

#[test]
fn a_host_that_stops_finishes_what_runs_and_hands_back_the_rest() {
    check(
        Rules { processes_max: 2, batch_size: 1, ..rules() },
        "
        0s  tick              -> poll 2
        0s  received 2 a b    -> start 1; start 2
        1s  next 1            -> invoke 1 a
        2s  stop              -> stop polling; release b; retire 2
        3s  exited 2          ->
        3s  by-hand 1         -> refuse 1 the function host is stopping
        4s  ok 1              -> report +1 -0; settle 1 a; retire 1
        4s  exited 1          ->
        5s  settled 1         -> done
        6s  tick              ->
        ",
    );
}

#[test]
fn a_host_that_stops_now_kills_everything() {
    check(
        Rules { processes_max: 2, ..rules() },
        "
        0s  tick              -> poll 4
        0s  received 4 a b c  -> start 1; start 2; poll 1
        1s  next 1            -> invoke 1 a,b
        2s  stop-now          -> stop polling; release c; report +0 -2 the function host is stopping; kill 1; kill 2
        2s  received 1 d      -> release d
        3s  exited 1          ->
        3s  exited 2          -> done
        ",
    );
}

#[test]
fn time_alone_never_asks_for_attention_twice() {
    let mut core = Core::new(Rules { processes_min: 1, window: 3 * SECOND, ..rules() });
    let start = Instant::now();
    core.step(Input::Tick, start);
    core.step(
        Input::Received { asked: 6, wanted: vec![held("a", None, start)], unwanted: vec![] },
        start,
    );
    // The process never comes: its own deadline, the window's, the restart's and the message's are
    // all there is, and each is passed once.
    let (mut now, mut steps) = (start, 0);
    while let Some(deadline) = core.next_deadline(now).filter(|at| *at < start + 40 * SECOND) {
        assert!(deadline > now);
        now = deadline;
        core.step(Input::Tick, now);
        steps += 1;
    }
    assert!((3..=12).contains(&steps), "{steps} steps");
}

#[test]
fn however_many_processes_there_may_be_not_everything_is_received() {
    let mut core = Core::new(Rules {
        processes_max: 1_000,
        batch_size: 10_000,
        window: 20 * SECOND,
        ..rules()
    });
    let now = Instant::now();
    let large = || Held { record: "x".repeat(1024 * 1024), ..held("a", None, now) };
    let mut asked = Vec::from_iter(core.step(Input::Tick, now));
    let mut received = 0;
    while let Some(effect) = asked.pop() {
        if let Effect::Poll(count) = effect {
            received += count;
            let wanted = (0..count).map(|_| large()).collect();
            asked
                .extend(core.step(Input::Received { asked: count, wanted, unwanted: vec![] }, now));
        }
    }
    // What was asked for before the limit was reached may still come.
    assert!((64..64 + POLLS_MAX * RECEIVE_MAX).contains(&received), "{received} MiB");
}
