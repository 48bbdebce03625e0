//! Stories of one worker, told with events and the effects they have.

mod simulation;

use std::{sync::Arc, time::Duration};

use super::*;

/// Settings of a worker with one queue.
pub(super) fn settings(slots: usize, fifo: bool) -> Settings {
    Settings {
        slots,
        prefetch: 0,
        batch: 1,
        batch_linger: Duration::ZERO,
        visibility: s(30),
        hold: HOLD_MAX,
        wait: s(20),
        linger: ms(10),
        drain: s(20),
        stop: s(5),
        queues: vec![queue(1, 0, fifo)],
    }
}

pub(super) fn queue(weight: u32, priority: i32, fifo: bool) -> QueueSettings {
    QueueSettings { weight, priority, fifo }
}

pub(super) fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A core whose effects are kept apart by kind, so that a story can ask for the kind it is about.
struct Story {
    core: Core,
    now: Time,
    tickets: u64,
    effects: Vec<Effect>,
}

impl Story {
    fn new(settings: Settings) -> Story {
        let mut story = Story { core: Core::new(settings), now: s(0), tickets: 0, effects: vec![] };
        story.event(Event::Tick);
        story
    }

    fn event(&mut self, event: Event) {
        self.effects.extend(self.core.apply(self.now, event));
        let next = self.core.next_deadline();
        assert!(next.is_none_or(|next| next > self.now), "{next:?} at {:?}", self.now);
    }

    /// Time goes by, with a tick whenever one is asked for.
    fn until(&mut self, end: Duration) {
        while let Some(next) = self.core.next_deadline().filter(|next| *next <= end) {
            self.now = next;
            self.event(Event::Tick);
        }
        self.now = end;
        self.event(Event::Tick);
    }

    /// Takes out the effects that `pick` wants.
    fn take<T>(&mut self, mut pick: impl FnMut(&Effect) -> Option<T>) -> Vec<T> {
        let mut taken = Vec::new();
        self.effects.retain(|effect| match pick(effect) {
            Some(one) => {
                taken.push(one);
                false
            }
            None => true,
        });
        taken
    }

    /// (receive, queue, max, wait in seconds) of the receives since the last look.
    fn receives(&mut self) -> Vec<(ReceiveId, QueueId, usize, u64)> {
        self.take(|effect| match effect {
            Effect::Receive { receive, queue, max, wait } => {
                Some((*receive, *queue, *max, wait.as_secs()))
            }
            _ => None,
        })
    }

    /// (job, tickets) of the handlers begun since the last look.
    fn starts(&mut self) -> Vec<(JobId, Vec<u64>)> {
        self.take(|effect| match effect {
            Effect::Start { job, tickets, .. } => {
                Some((*job, tickets.iter().map(|ticket| ticket.0).collect()))
            }
            _ => None,
        })
    }

    fn releases(&mut self) -> Vec<Vec<(u64, u32)>> {
        self.take(|effect| match effect {
            Effect::Release { entries, .. } => {
                Some(entries.iter().map(|(ticket, after)| (ticket.0, *after)).collect())
            }
            _ => None,
        })
    }

    fn extensions(&mut self) -> Vec<Vec<(u64, u32)>> {
        self.take(|effect| match effect {
            Effect::Extend { entries, .. } => {
                Some(entries.iter().map(|(ticket, seconds)| (ticket.0, *seconds)).collect())
            }
            _ => None,
        })
    }

    fn deletions(&mut self) -> Vec<Vec<u64>> {
        self.take(|effect| match effect {
            Effect::Delete { tickets, .. } => Some(tickets.iter().map(|one| one.0).collect()),
            _ => None,
        })
    }

    fn endings(&mut self) -> Vec<(u64, Ending)> {
        self.take(|effect| match effect {
            Effect::Ended { ticket, ending } => Some((ticket.0, *ending)),
            _ => None,
        })
    }

    /// Answers a receive with messages of these groups; an empty name is none.
    fn answer(&mut self, receive: ReceiveId, groups: &[&str]) {
        let messages = groups.iter().map(|group| {
            self.tickets += 1;
            let group = (!group.is_empty()).then(|| Arc::from(*group));
            Arrival { ticket: Ticket(self.tickets), group }
        });
        let messages = messages.collect();
        self.event(Event::Received { receive, messages });
    }

    fn handled(&mut self, job: JobId, decision: Decision) {
        self.event(Event::Handled { job, decisions: vec![decision] });
    }

    fn settled(&mut self, tickets: &[u64], answer: Answer) {
        let results = tickets.iter().map(|ticket| (Ticket(*ticket), answer)).collect();
        self.event(Event::Settled { results });
    }

    fn extended(&mut self, tickets: &[u64], answer: Answer) {
        let results = tickets.iter().map(|ticket| (Ticket(*ticket), answer)).collect();
        self.event(Event::Extended { results });
    }

    /// A worker of one queue that has received these messages, and the handlers it began.
    fn with(settings: Settings, groups: &[&str]) -> (Story, Vec<(JobId, Vec<u64>)>) {
        let mut story = Story::new(settings);
        let (receive, ..) = story.receives()[0];
        story.answer(receive, groups);
        let starts = story.starts();
        (story, starts)
    }
}

const NOW: Decision = Decision::Release(Duration::ZERO);

#[test]
fn a_worker_asks_for_what_it_has_slots_for() {
    let mut story = Story::new(settings(4, false));
    let receives = story.receives();
    assert_eq!(receives.len(), 1);
    let (receive, queue, max, wait) = receives[0];
    assert_eq!((queue, max, wait), (0, 4, 20));
    story.answer(receive, &["", "", "", ""]);
    story.until(s(10));
    assert_eq!(story.receives(), [], "all slots are taken");
}

#[test]
fn one_free_credit_waits_a_moment_for_others() {
    let (mut story, starts) = Story::with(settings(4, false), &["", "", "", ""]);
    story.handled(starts[0].0, Decision::Delete);
    assert_eq!(story.receives(), []);
    story.until(ms(6));
    let asked: Vec<usize> = story.receives().iter().map(|receive| receive.2).collect();
    assert_eq!(asked, [1]);
}

#[test]
fn receives_multiply_while_they_come_back_full() {
    let mut story = Story::new(settings(100, false));
    let (receive, ..) = story.receives()[0];
    story.answer(receive, &[""; 10]);
    let receives = story.receives();
    assert_eq!(receives.len(), 2);
    story.answer(receives[0].0, &[""; 10]);
    assert_eq!(story.receives().len(), 3, "four are under way");
    let mut story = Story::new(settings(100, false));
    let (receive, ..) = story.receives()[0];
    story.answer(receive, &[]);
    assert_eq!(story.receives().len(), 1, "an empty queue has one poll");
}

#[test]
fn deletions_go_together() {
    let (mut story, starts) = Story::with(settings(3, false), &["", "", ""]);
    story.handled(starts[0].0, Decision::Delete);
    story.until(ms(4));
    story.handled(starts[1].0, Decision::Delete);
    story.until(ms(9));
    assert_eq!(story.deletions(), [[0; 0]; 0]);
    story.until(ms(10));
    assert_eq!(story.deletions(), [[1, 2]]);
    story.settled(&[1, 2], Answer::Done);
    assert_eq!(story.endings(), [(1, Ending::Deleted), (2, Ending::Deleted)]);
}

#[test]
fn heartbeats_go_on_to_the_cap_and_not_past_it() {
    let mut given = settings(1, false);
    given.hold = s(70);
    let (mut story, starts) = Story::with(given, &[""]);
    let mut extensions = Vec::new();
    for second in 1..=100 {
        story.until(s(second));
        for entries in story.extensions() {
            extensions.push((second, entries[0].1));
            story.extended(&[1], Answer::Done);
        }
    }
    assert_eq!(extensions, [(15, 30), (30, 30), (45, 25)], "the last ends after 70 seconds");
    story.handled(starts[0].0, Decision::Delete);
    story.until(s(200));
    assert_eq!(story.deletions(), [[0; 0]; 0], "the result of what was lost is dropped");
}

#[test]
fn a_message_that_waits_beats_as_well() {
    let mut given = settings(1, false);
    given.prefetch = 1;
    let (mut story, _) = Story::with(given, &["", ""]);
    story.until(s(15));
    assert_eq!(story.extensions(), [[(1, 30), (2, 30)]], "both in one request");
}

#[test]
fn a_message_that_no_extension_reached_is_lost() {
    let (mut story, starts) = Story::with(settings(1, false), &[""]);
    for second in 1..29 {
        story.until(s(second));
        if !story.extensions().is_empty() {
            story.extended(&[1], Answer::Failed);
        }
        assert_eq!(story.core.held(), 1);
    }
    story.until(s(29));
    assert_eq!(story.endings(), [(1, Ending::Lost)], "a second before the server says so");
    story.extended(&[1], Answer::Done);
    story.handled(starts[0].0, Decision::Delete);
    story.until(s(60));
    assert_eq!(story.deletions(), [[0; 0]; 0]);
}

#[test]
fn a_group_goes_one_after_the_other_and_groups_go_side_by_side() {
    let (mut story, starts) = Story::with(settings(4, true), &["a", "a", "b", "a"]);
    assert_eq!(starts, [(starts[0].0, vec![1]), (starts[1].0, vec![3])]);
    story.handled(starts[0].0, Decision::Delete);
    assert_eq!(story.starts()[0].1, [2]);
}

#[test]
fn those_behind_one_of_their_group_take_no_credit() {
    let mut story = Story::new(settings(4, true));
    let (receive, _, max, _) = story.receives()[0];
    assert_eq!(max, 4);
    story.answer(receive, &["a", "a", "a", "a"]);
    assert_eq!(story.receives()[0].2, 3, "for other groups");
}

#[test]
fn a_failure_hands_back_the_rest_of_its_group_from_the_last_to_the_first() {
    let (mut story, starts) = Story::with(settings(4, true), &["a", "a", "b", "a"]);
    story.handled(starts[0].0, Decision::Release(s(7)));
    assert_eq!(story.releases(), [[(4, 0), (2, 0), (1, 7)]]);
    story.handled(starts[1].0, Decision::Delete);
    story.until(ms(10));
    assert_eq!(story.deletions(), [[3]], "the other group goes on");
}

#[test]
fn what_was_lost_hands_back_the_rest_of_its_group() {
    let (mut story, starts) = Story::with(settings(4, true), &["a", "a"]);
    story.until(s(15));
    story.extended(&[1], Answer::Lost);
    assert_eq!(story.releases(), [[(0, 0); 0]; 0], "the extension of the second is under way");
    story.extended(&[2], Answer::Done);
    assert_eq!(story.releases(), [[(2, 0)]]);
    story.settled(&[2], Answer::Done);
    let (receive, ..) = story.receives()[0];
    story.answer(receive, &["a"]);
    assert_eq!(story.starts(), [], "the handler of the first still runs");
    story.handled(starts[0].0, Decision::Delete);
    assert_eq!(
        story.starts(),
        [],
        "what came behind it goes back: the first comes again before it"
    );
}

#[test]
fn the_rest_of_a_group_waits_for_a_dead_letter_to_arrive() {
    let (mut story, starts) = Story::with(settings(4, true), &["a", "a"]);
    let letter = Decision::DeadLetter { fallback: s(9) };
    story.handled(starts[0].0, letter);
    assert_eq!(story.starts(), []);
    story.settled(&[1], Answer::Done);
    assert_eq!(story.starts()[0].1, [2]);
}

#[test]
fn without_a_dead_letter_queue_a_message_comes_again_before_its_group() {
    let (mut story, starts) = Story::with(settings(4, true), &["a", "a"]);
    story.handled(starts[0].0, Decision::DeadLetter { fallback: s(9) });
    story.settled(&[1], Answer::Refused);
    assert_eq!(story.releases(), [[(2, 0), (1, 9)]]);
}

#[test]
fn a_batch_waits_for_its_linger_and_holds_its_credits() {
    let mut given = settings(2, false);
    given.batch = 4;
    given.batch_linger = s(1);
    let mut story = Story::new(given);
    let (receive, _, max, _) = story.receives()[0];
    assert_eq!(max, 8, "two slots of four");
    story.answer(receive, &["", ""]);
    assert_eq!(story.starts(), []);
    story.until(s(1));
    let starts = story.starts();
    assert_eq!(starts[0].1, [1, 2]);
    let (receive, _, max, _) = story.receives()[0];
    assert_eq!(max, 6, "asked for while the two still waited");
    story.answer(receive, &[""; 4]);
    assert_eq!(story.starts()[0].1, [3, 4, 5, 6], "a full one does not wait");
    let decisions = vec![Decision::Delete, NOW];
    story.event(Event::Handled { job: starts[0].0, decisions });
    story.until(s(2));
    let effects = std::mem::take(&mut story.effects);
    let part = [
        Effect::Delete { queue: 0, tickets: vec![Ticket(1)] },
        Effect::Release { queue: 0, entries: vec![(Ticket(2), 0)] },
    ];
    assert!(part.iter().all(|one| effects.contains(one)), "{effects:?}");
}

#[test]
fn an_empty_queue_among_several_holds_one_credit() {
    let mut given = settings(12, false);
    given.queues = vec![queue(1, 0, false), queue(1, 0, false)];
    let mut story = Story::new(given);
    let receives = story.receives();
    assert_eq!(receives.iter().map(|one| (one.1, one.2, one.3)).collect::<Vec<_>>(), [(0, 10, 0)]);
    story.answer(receives[0].0, &[]);
    let receives: Vec<_> = story.receives().iter().map(|one| (one.1, one.2, one.3)).collect();
    assert_eq!(receives, [(0, 1, 20), (1, 10, 0)]);
}

#[test]
fn a_lower_priority_waits_until_the_higher_is_empty() {
    let mut given = settings(20, false);
    given.queues = vec![queue(1, 0, false), queue(1, 5, false)];
    let mut story = Story::new(given);
    let (receive, queue, ..) = story.receives()[0];
    assert_eq!(queue, 1);
    story.answer(receive, &[""; 10]);
    let receives = story.receives();
    assert!(receives.iter().all(|one| one.1 == 1), "{receives:?}");
    story.answer(receives[0].0, &[]);
    let queues: Vec<_> = story.receives().iter().map(|one| (one.1, one.3)).collect();
    assert_eq!(queues, [(1, 20), (0, 0)]);
}

#[test]
fn weights_share_out_what_is_received() {
    let mut given = settings(10, false);
    given.queues = vec![queue(3, 0, false), queue(1, 0, false)];
    let mut story = Story::new(given);
    let mut got = [0; 2];
    for _ in 0..400 {
        story.until(story.now + ms(20));
        let effects = std::mem::take(&mut story.effects);
        for effect in effects {
            match effect {
                Effect::Receive { receive, queue, max, .. } => {
                    got[queue] += max;
                    story.answer(receive, &vec![""; max]);
                }
                Effect::Start { job, .. } => story.handled(job, Decision::Delete),
                Effect::Delete { tickets, .. } => {
                    let tickets: Vec<u64> = tickets.iter().map(|one| one.0).collect();
                    story.settled(&tickets, Answer::Done);
                }
                _ => {}
            }
        }
    }
    let share = f64::from(got[0] as u32) / f64::from((got[0] + got[1]) as u32);
    assert!((0.7..0.8).contains(&share), "{got:?}");
}

#[test]
fn a_pause_hands_back_what_waits_and_finishes_what_runs() {
    let mut given = settings(1, false);
    given.prefetch = 3;
    let (mut story, starts) = Story::with(given, &["", "", "", ""]);
    story.event(Event::Pause);
    story.until(ms(10));
    assert_eq!(story.releases(), [[(4, 0), (3, 0), (2, 0)]]);
    story.settled(&[2, 3, 4], Answer::Done);
    story.handled(starts[0].0, Decision::Delete);
    story.until(s(5));
    assert_eq!(story.deletions(), [[1]]);
    story.settled(&[1], Answer::Done);
    story.event(Event::Resume);
    assert_eq!(story.receives().len(), 1);
}

#[test]
fn a_stop_finishes_what_runs_and_gives_up_polls_after_their_grace() {
    let mut given = settings(2, false);
    given.prefetch = 2;
    let (mut story, starts) = Story::with(given, &["", ""]);
    story.until(ms(10));
    let polls = story.receives();
    assert_eq!(polls.len(), 1);
    story.event(Event::Stop);
    story.until(s(2));
    let abandoned = story.take(|effect| match effect {
        Effect::Abandon { receive } => Some(*receive),
        _ => None,
    });
    assert_eq!(abandoned, [polls[0].0]);
    // What it brings all the same goes back at once.
    story.answer(polls[0].0, &[""]);
    assert_eq!(story.releases(), [[(3, 0)]]);
    story.settled(&[3], Answer::Done);
    for (job, _) in starts {
        story.handled(job, Decision::Delete);
    }
    assert_eq!(story.deletions(), [[1], [2]], "nothing lingers any more");
    assert!(!story.core.is_finished());
    story.settled(&[1, 2], Answer::Done);
    assert!(story.core.is_finished());
}

#[test]
fn a_second_stop_drops_handlers_and_hands_their_messages_back() {
    let (mut story, starts) = Story::with(settings(1, true), &["a"]);
    story.event(Event::Stop);
    story.event(Event::StopNow);
    let job = starts[0].0;
    assert!(std::mem::take(&mut story.effects).contains(&Effect::Abort { job }));
    story.handled(job, NOW);
    assert_eq!(story.releases(), [[(1, 0)]]);
}

#[test]
fn the_deadlines_end_what_does_not_end_by_itself() {
    let (mut story, starts) = Story::with(settings(1, false), &[""]);
    story.event(Event::Stop);
    story.until(s(20));
    let job = starts[0].0;
    assert!(std::mem::take(&mut story.effects).contains(&Effect::Abort { job }));
    story.until(s(25));
    assert!(story.core.is_finished());
    assert_eq!(story.endings(), [(1, Ending::Abandoned)]);
}

#[test]
fn a_deletion_without_an_answer_is_tried_again_while_the_message_is_ours() {
    let (mut story, starts) = Story::with(settings(1, false), &[""]);
    story.handled(starts[0].0, Decision::Delete);
    let mut tries = 0;
    for tenth in 1..1_200 {
        story.until(ms(tenth * 100));
        for effect in std::mem::take(&mut story.effects) {
            match effect {
                Effect::Delete { .. } => {
                    tries += 1;
                    story.settled(&[1], Answer::Failed);
                }
                Effect::Extend { .. } if tenth < 500 => story.extended(&[1], Answer::Done),
                Effect::Extend { .. } => story.extended(&[1], Answer::Failed),
                Effect::Ended { ending, .. } => {
                    assert_eq!(ending, Ending::Lost);
                    assert!(tries > 5, "{tries}");
                    return;
                }
                _ => {}
            }
        }
    }
    panic!("it is never given up");
}

#[test]
fn failed_receives_are_tried_again_with_growing_pauses() {
    let mut story = Story::new(settings(1, false));
    let mut at = Vec::new();
    let (mut receive, ..) = story.receives()[0];
    for _ in 0..8 {
        story.event(Event::ReceiveFailed { receive });
        let next = story.core.next_deadline().expect("it will be tried again");
        at.push((next - story.now).as_millis());
        story.until(next);
        receive = story.receives()[0].0;
    }
    assert_eq!(at, [200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
}
