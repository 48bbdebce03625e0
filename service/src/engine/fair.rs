//! Fair queues: a standard queue whose messages carry groups. While nobody is noisy, order is that
//! of a standard queue; a noisy group is passed over while quiet ones have messages (facts sheet,
//! section 7).
//!
//! Differs from AWS: messages whose own delay ended are looked at as far as the due window reaches,
//! and processing time makes nobody noisy; what is in flight decides.

use std::collections::BTreeMap;

use crate::engine::command::{Context, Effects};
use crate::engine::line::Ledger;
use crate::engine::queue::{Queue, Room, STEP_ROWS_MAX, main_lane};
use crate::engine::reader::Reader;
use crate::engine::standard::{Candidate, Verdict};
use crate::model::fifo::{GroupHash, Seq};
use crate::model::time::{Millis, Timestamp};

/// A group is noisy with more than a tenth of what is in flight, and at least this many.
const NOISY_IN_FLIGHT_MIN: u32 = 30;

/// A noisy group is quiet again when it had nothing in flight for so long.
const CALM_AFTER: Millis = Millis(5 * 60 * 1000);

/// A message to look at.
#[derive(Clone, Copy)]
enum Pick {
    Back(Seq),
    Fresh(Seq),
    /// At this index of the due window.
    Due(usize),
}

impl Queue {
    /// A message of `group` was just handed out: is the group noisy now?
    pub(super) fn note_noise(&mut self, group: Option<GroupHash>, now: Timestamp) {
        let Some(group) = group else { return };
        let own = self.deliveries.in_flight_of(group);
        let all = self.deliveries.in_flight();
        if own >= NOISY_IN_FLIGHT_MIN && own as usize * 10 > all {
            self.noisy.insert(group, now);
        }
    }

    /// Forgets noisy groups that had nothing in flight for a while.
    pub(super) fn calm_down(&mut self, now: Timestamp) {
        let deliveries = &self.deliveries;
        self.noisy.retain(|&group, last| {
            if deliveries.in_flight_of(group) > 0 {
                *last = now;
            }
            now.since(*last) < CALM_AFTER
        });
    }

    /// Chooses messages of quiet tenants first, then of the noisy ones, the least busy first.
    pub(super) fn choose_fairly(
        &mut self,
        max: usize,
        room: Room,
        reader: &mut Reader<'_>,
        context: &Context<'_>,
    ) -> Vec<Candidate> {
        let quota = max.min(room.in_flight);
        let fresh_quota = quota.min(room.held);
        let (quiet_back, mut noisy_back) = self.returned_by_noise(quota);
        let quiet_fresh = self.quiet_fresh(fresh_quota, reader, context.window_room);
        let mut picks = interleave(quiet_back, quiet_fresh, self.returned_next);

        let mut noisy: Vec<GroupHash> = self.noisy.keys().copied().collect();
        noisy.sort_by_key(|&group| self.deliveries.in_flight_of(group));
        for group in noisy {
            if picks.len() >= quota {
                break;
            }
            let back = noisy_back.remove(&group).unwrap_or_default();
            let fresh = reader.members(group, fresh_quota.max(1)).unwrap_or_default();
            let fresh = fresh.iter().take(fresh_quota).map(|&seq| Pick::Fresh(seq)).collect();
            picks.extend(interleave(back, fresh, self.returned_next));
            picks.extend(self.due_picks(|of| of == Some(group)).take(fresh_quota));
        }
        self.judge_picks(picks, quota, fresh_quota, reader, context)
    }

    fn judge_picks(
        &mut self,
        picks: Vec<Pick>,
        quota: usize,
        fresh_quota: usize,
        reader: &mut Reader<'_>,
        context: &Context<'_>,
    ) -> Vec<Candidate> {
        let mut chosen = Vec::new();
        let (mut given, mut given_fresh) = (0, 0);
        for pick in picks {
            if given >= quota {
                break;
            }
            let is_fresh = !matches!(pick, Pick::Back(_));
            if is_fresh && given_fresh >= fresh_quota {
                continue;
            }
            given_fresh += usize::from(is_fresh);
            let candidate = match pick {
                Pick::Back(seq) => self.judge_returned(seq, reader, context),
                Pick::Due(at) => {
                    self.due.get(at).map(|due| self.judge_due(due.clone(), context.now))
                }
                Pick::Fresh(seq) => match reader.message(main_lane(seq)) {
                    None => None,
                    // The store has lost it.
                    Some(None) => continue,
                    Some(Some(row)) => {
                        let head = Some(&row.head);
                        Some(self.judge_fresh(seq, head, Some(row.clone()), context.now))
                    }
                },
            };
            match candidate {
                None => given += 1,
                Some(candidate) => {
                    given += usize::from(candidate.verdict == Verdict::Deliver);
                    chosen.push(candidate);
                }
            }
        }
        chosen
    }

    /// Returned messages of quiet tenants, and those of noisy groups by group.
    fn returned_by_noise(&self, quota: usize) -> (Vec<Pick>, BTreeMap<GroupHash, Vec<Pick>>) {
        let (mut quiet, mut noisy) = (Vec::new(), BTreeMap::<_, Vec<Pick>>::new());
        for (_, seq) in self.deliveries.returned_in_order().take(STEP_ROWS_MAX) {
            let group = self.deliveries.get(seq).and_then(|row| row.group);
            match group.filter(|group| self.noisy.contains_key(group)) {
                Some(group) => noisy.entry(group).or_default().push(Pick::Back(seq)),
                None => quiet.push(Pick::Back(seq)),
            }
            if quiet.len() >= quota {
                break;
            }
        }
        (quiet, noisy)
    }

    /// Never-received messages of quiet tenants: those from before the queue was fair, those whose
    /// delay ended, and those of the quiet groups in line.
    fn quiet_fresh(&mut self, quota: usize, reader: &mut Reader<'_>, room: usize) -> Vec<Pick> {
        let mut picks = Vec::new();
        let fair_from = self.fair_from.unwrap_or(Seq::MAX);
        let mut at = 0;
        while picks.len() < quota
            && let Some((seq, _)) = self.peek_fresh(&mut at, reader, room)
            && seq < fair_from
        {
            picks.push(Pick::Fresh(seq));
            at += 1;
        }
        self.peek_due(0, reader, room);
        let is_noisy = |group: &GroupHash| self.noisy.contains_key(group);
        picks.extend(self.due_picks(|group| !group.as_ref().is_some_and(is_noisy)).take(quota));
        if picks.len() >= quota {
            return picks;
        }
        let rows = quota + self.noisy.len();
        let Some((line, _)) = reader.line(self.line.from, Seq::MAX, rows) else { return picks };
        let mut seqs = Vec::new();
        for (_, group) in line.iter().filter(|(_, group)| !is_noisy(group)) {
            seqs.extend_from_slice(reader.members(*group, quota.max(1)).unwrap_or_default());
        }
        seqs.sort_unstable();
        picks.extend(seqs.into_iter().take(quota).map(Pick::Fresh));
        picks
    }

    /// Messages of the due window whose group is wanted.
    fn due_picks(&self, wanted: impl Fn(Option<GroupHash>) -> bool) -> impl Iterator<Item = Pick> {
        let due = self.due.iter().enumerate().filter(move |(_, due)| wanted(due.group));
        due.map(|(at, _)| Pick::Due(at))
    }

    /// Quiet groups that were served while somebody is noisy go to the end of the line, so that
    /// each has its turn.
    pub(super) fn rotate(
        &mut self,
        groups: &[GroupHash],
        ledger: &mut Ledger,
        effects: &mut Effects,
    ) {
        let newest = Seq(self.next_seq.0.saturating_sub(1));
        for &group in groups {
            if !self.noisy.contains_key(&group) && ledger.fresh(group) > 0 {
                ledger.leave(group, &mut self.line, &mut effects.writes);
                let place = self.line.end(newest);
                ledger.join(group, place, &mut self.line, &mut effects.writes);
            }
        }
    }
}

/// One of each in turn, as long as both last.
fn interleave(back: Vec<Pick>, fresh: Vec<Pick>, back_first: bool) -> Vec<Pick> {
    let mut picks = Vec::with_capacity(back.len() + fresh.len());
    let (mut back, mut fresh) = (back.into_iter(), fresh.into_iter());
    let mut back_next = back_first;
    loop {
        let pick = match back_next {
            true => back.next().or_else(|| fresh.next()),
            false => fresh.next().or_else(|| back.next()),
        };
        let Some(pick) = pick else { return picks };
        picks.push(pick);
        back_next = !back_next;
    }
}
