//! Looks rows up among those that were loaded, and notes what is missing.

use crate::engine::command::{Answer, Due, Loaded, Need};
use crate::model::fifo::{GroupHash, Seq};
use crate::model::rows::{DedupKey, DedupRow, GroupRow, Lane, LinePlace, MessageRow, Place};
use crate::model::time::Timestamp;

/// Messages, and where the next page begins; `None` when this is the last.
type MessagePage<'a> = (&'a [(Seq, MessageRow)], Option<Seq>);

/// Timers, and whether they are the last.
type TimerPage<'a> = (&'a [(Timestamp, Seq)], bool);

/// A view of the loaded rows. Each question is answered, or noted as missing: a caller asks all it
/// can before it gives up, so that one round of loading brings as much as possible.
pub(super) struct Reader<'a> {
    loaded: &'a Loaded,
    missing: Vec<Need>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(loaded: &'a Loaded) -> Reader<'a> {
        Reader { loaded, missing: Vec::new() }
    }

    /// What must be loaded before a decision; empty when nothing was missing.
    pub(super) fn missing(self) -> Vec<Need> {
        self.missing
    }

    pub(super) fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    fn ask(&mut self, need: Need) -> Option<&'a Answer> {
        let answer = self.loaded.0.get(&need);
        if answer.is_none() && !self.missing.contains(&need) {
            self.missing.push(need);
        }
        answer
    }

    /// `None` while not loaded; `Some(None)` when there is no such row.
    pub(super) fn message(&mut self, place: Place) -> Option<Option<&'a MessageRow>> {
        match self.ask(Need::Message(place))? {
            Answer::Message(row) => Some(row.as_ref()),
            other => mismatch(other),
        }
    }

    pub(super) fn messages(
        &mut self,
        lane: Lane,
        from: Seq,
        rows: usize,
    ) -> Option<MessagePage<'a>> {
        match self.ask(Need::Messages { lane, from, rows })? {
            Answer::Messages(found, next) => Some((found, *next)),
            other => mismatch(other),
        }
    }

    pub(super) fn timers(&mut self, from: (Timestamp, Seq), rows: usize) -> Option<TimerPage<'a>> {
        match self.ask(Need::Timers { from, rows })? {
            Answer::Timers(found, exhausted) => Some((found, *exhausted)),
            other => mismatch(other),
        }
    }

    pub(super) fn due(
        &mut self,
        from: (Timestamp, Seq),
        until: (Timestamp, Seq),
        rows: usize,
    ) -> Option<(&'a [Due], bool)> {
        match self.ask(Need::Due { from, until, rows })? {
            Answer::Due(found, exhausted) => Some((found, *exhausted)),
            other => mismatch(other),
        }
    }

    pub(super) fn group(&mut self, group: GroupHash) -> Option<Option<GroupRow>> {
        match self.ask(Need::Group(group))? {
            Answer::Group(row) => Some(*row),
            other => mismatch(other),
        }
    }

    pub(super) fn members(&mut self, group: GroupHash, rows: usize) -> Option<&'a [Seq]> {
        match self.ask(Need::Members { group, from: Seq::MIN, rows })? {
            Answer::Members(found, _) => Some(found),
            other => mismatch(other),
        }
    }

    pub(super) fn line(
        &mut self,
        from: LinePlace,
        before: Seq,
        rows: usize,
    ) -> Option<(&'a [(LinePlace, GroupHash)], bool)> {
        match self.ask(Need::Line { from, before, rows })? {
            Answer::Line(found, exhausted) => Some((found, *exhausted)),
            other => mismatch(other),
        }
    }

    pub(super) fn dedup(&mut self, key: DedupKey) -> Option<Option<&'a DedupRow>> {
        match self.ask(Need::Dedup(key))? {
            Answer::Dedup(row) => Some(row.as_ref()),
            other => mismatch(other),
        }
    }
}

fn mismatch(answer: &Answer) -> ! {
    // The loader pairs every need with its own kind of answer.
    panic!("a row of another kind was loaded: {answer:?}")
}
