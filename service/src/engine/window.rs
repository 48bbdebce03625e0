//! Read-ahead: the next messages in line, in memory, so that a busy queue serves from here and
//! never reads back what it wrote.

use std::collections::VecDeque;

use crate::engine::command::Due;
use crate::model::fifo::Seq;
use crate::model::rows::{Lane, MessageRow, Place};
use crate::model::time::Timestamp;

/// Entries a window holds at most, however small they are.
const ENTRIES_MAX: usize = 4096;

/// Never-received messages of the main lane of a standard queue, from the first on.
#[derive(Debug)]
pub(super) struct Window {
    /// In `seq` order; `None` for one that was taken out of turn.
    entries: VecDeque<(Seq, Option<MessageRow>)>,
    bytes: usize,
    /// Where the window ends: it says nothing about messages from here on.
    next: Seq,
}

impl Window {
    /// A window that knows nothing yet and begins at `next`.
    pub(super) fn starting_at(next: Seq) -> Window {
        Window { entries: VecDeque::new(), bytes: 0, next }
    }

    /// The first `seq` that may never have been received.
    pub(super) fn fresh(&self) -> Seq {
        self.entries.front().map_or(self.next, |(seq, _)| *seq)
    }

    /// Where loading goes on.
    pub(super) fn next(&self) -> Seq {
        self.next
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Entries, those taken out of turn included: what indices run over.
    pub(super) fn slots(&self) -> usize {
        self.entries.len()
    }

    /// The message at an index below [`Window::slots`]; `None` where it was taken out of turn.
    pub(super) fn row(&self, at: usize) -> Option<&MessageRow> {
        self.entries.get(at).and_then(|(_, row)| row.as_ref())
    }

    /// The `seq` at an index below [`Window::slots`].
    pub(super) fn seq(&self, at: usize) -> Seq {
        self.entries[at].0
    }

    /// The message at a place, if the window has it.
    pub(super) fn get(&self, place: Place) -> Option<&MessageRow> {
        let at = self.entries.binary_search_by_key(&place.seq, |(seq, _)| *seq).ok()?;
        self.row(at).filter(|_| place.lane == Lane::Main)
    }

    /// A message was just sent. It joins when the window reaches to it and there is room;
    /// otherwise it is read from the store in its turn.
    pub(super) fn sent(&mut self, seq: Seq, row: &MessageRow, room: usize) {
        let fits = row.weight() <= room && self.entries.len() < ENTRIES_MAX;
        if self.next == seq && fits {
            self.push(seq, row.clone());
            self.next = seq.next();
        }
    }

    /// `seq` was given to a message that is not of this lane.
    pub(super) fn skip(&mut self, seq: Seq) {
        if self.next == seq {
            self.next = seq.next();
        }
    }

    /// Nothing that was never received lies before `seq`.
    pub(super) fn advance(&mut self, seq: Seq) {
        if self.entries.is_empty() && self.next < seq {
            self.next = seq;
        }
    }

    /// Takes in rows loaded from [`Window::next`] on; `next` is where to go on after them.
    pub(super) fn extend<'r>(
        &mut self,
        rows: impl Iterator<Item = (Seq, &'r MessageRow)>,
        next: Seq,
    ) {
        for (seq, row) in rows {
            self.push(seq, row.clone());
        }
        self.next = next;
    }

    fn push(&mut self, seq: Seq, row: MessageRow) {
        self.bytes += row.weight();
        self.entries.push_back((seq, Some(row)));
    }

    /// Takes a message out, in turn or not. Not finding it is fine.
    pub(super) fn take(&mut self, seq: Seq) -> Option<MessageRow> {
        let row = match self.entries.binary_search_by_key(&seq, |(seq, _)| *seq) {
            Ok(at) => self.entries[at].1.take(),
            Err(_) => None,
        };
        self.bytes -= row.as_ref().map_or(0, MessageRow::weight);
        while let Some((_, None)) = self.entries.front() {
            self.entries.pop_front();
        }
        row
    }

    /// Forgets the entries; they are read again when needed.
    pub(super) fn clear(&mut self) {
        self.next = self.fresh();
        self.entries.clear();
        self.bytes = 0;
    }
}

/// Messages whose own delay has ended and which were never received, by when it ended, from the
/// first on.
#[derive(Debug)]
pub(super) struct DueWindow {
    entries: VecDeque<Due>,
    bytes: usize,
    /// Where the window ends: it says nothing about timers from here on.
    next: (Timestamp, Seq),
}

impl DueWindow {
    /// A window that knows nothing yet and begins at `next`.
    pub(super) fn starting_at(next: (Timestamp, Seq)) -> DueWindow {
        DueWindow { entries: VecDeque::new(), bytes: 0, next }
    }

    /// The first timer that may be alive.
    pub(super) fn from(&self) -> (Timestamp, Seq) {
        self.entries.front().map_or(self.next, |due| (due.due_at, due.seq))
    }

    /// Where loading goes on.
    pub(super) fn next(&self) -> (Timestamp, Seq) {
        self.next
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Due> + '_ {
        self.entries.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, at: usize) -> Option<&Due> {
        self.entries.get(at)
    }

    /// Takes in what was loaded from [`DueWindow::next`] on; `next` is where to go on after it.
    pub(super) fn extend(&mut self, found: &[Due], next: (Timestamp, Seq)) {
        self.bytes += found.iter().map(weight).sum::<usize>();
        self.entries.extend(found.iter().cloned());
        self.next = next;
    }

    /// Takes a message out, in turn or not. Not finding it is fine.
    pub(super) fn take(&mut self, due_at: Timestamp, seq: Seq) {
        let found = self.entries.binary_search_by_key(&(due_at, seq), |due| (due.due_at, due.seq));
        if let Ok(at) = found
            && let Some(due) = self.entries.remove(at)
        {
            self.bytes -= weight(&due);
        }
    }

    /// Forgets the entries; they are read again when needed.
    pub(super) fn clear(&mut self) {
        self.next = self.from();
        self.entries.clear();
        self.bytes = 0;
    }
}

fn weight(due: &Due) -> usize {
    due.row.as_ref().map_or(0, MessageRow::weight)
}
