//! Groups and their line: which group's turn it is. FIFO and fair queues share it.

use std::collections::BTreeMap;

use crate::engine::reader::Reader;
use crate::model::fifo::{GroupHash, Seq};
use crate::model::rows::{GroupRow, LinePlace, RowKey, Write};

/// The line's cursors. The line itself is on disk: one place for each group that has messages which
/// were never received and (FIFO) is not held.
#[derive(Debug)]
pub(super) struct Line {
    /// Groups in line.
    pub(super) count: u64,
    /// Nobody stands before this place.
    pub(super) from: LinePlace,
    /// The last round given to a group that went to the end.
    pub(super) round: u64,
}

impl Line {
    /// The place behind every group whose turn can come now; `newest` is the newest `seq` that is
    /// not delayed, and groups that wait for a delay stand behind it.
    pub(super) fn end(&mut self, newest: Seq) -> LinePlace {
        self.round += 1;
        LinePlace { seq: newest, round: self.round }
    }
}

/// The group rows one command touches: loaded before it decides, and written once after it has, as
/// far as they changed.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    rows: BTreeMap<GroupHash, Entry>,
}

#[derive(Debug)]
struct Entry {
    loaded: GroupRow,
    now: GroupRow,
}

/// A group without messages that were never received, and not in line: it has no row.
const NO_ROW: GroupRow = GroupRow { fresh: 0, place: None };

impl Ledger {
    /// Loads a group's row, unless that has happened; `false` while it is missing.
    pub(super) fn load(&mut self, reader: &mut Reader<'_>, group: GroupHash) -> bool {
        if self.rows.contains_key(&group) {
            return true;
        }
        let Some(row) = reader.group(group) else { return false };
        let row = row.unwrap_or(NO_ROW);
        self.rows.insert(group, Entry { loaded: row, now: row });
        true
    }

    fn row(&mut self, group: GroupHash) -> &mut GroupRow {
        let entry = self.rows.get_mut(&group);
        &mut entry.expect("a group's row is loaded before the command is applied").now
    }

    /// Messages of the group that were never received.
    pub(super) fn fresh(&mut self, group: GroupHash) -> u64 {
        self.row(group).fresh
    }

    /// Whether the group's row was loaded.
    pub(super) fn holds(&self, group: GroupHash) -> bool {
        self.rows.contains_key(&group)
    }

    /// Where a loaded group stands in line.
    pub(super) fn place(&self, group: GroupHash) -> Option<LinePlace> {
        self.rows.get(&group).and_then(|entry| entry.now.place)
    }

    pub(super) fn is_in_line(&self, group: GroupHash) -> bool {
        self.place(group).is_some()
    }

    /// A message joined its group.
    pub(super) fn add(&mut self, group: GroupHash, seq: Seq, writes: &mut Vec<Write>) {
        self.row(group).fresh += 1;
        writes.push(Write::Member(group, seq));
    }

    /// A message that was never received left its group.
    pub(super) fn take(&mut self, group: GroupHash, seq: Seq, writes: &mut Vec<Write>) {
        let row = self.row(group);
        row.fresh = row.fresh.saturating_sub(1);
        writes.push(Write::Remove(RowKey::Member(group, seq)));
    }

    /// Puts the group in line.
    pub(super) fn join(
        &mut self,
        group: GroupHash,
        place: LinePlace,
        line: &mut Line,
        writes: &mut Vec<Write>,
    ) {
        self.row(group).place = Some(place);
        line.count += 1;
        writes.push(Write::Line(place, group));
    }

    /// Takes the group out of the line, if it stands there.
    pub(super) fn leave(&mut self, group: GroupHash, line: &mut Line, writes: &mut Vec<Write>) {
        if let Some(place) = self.row(group).place.take() {
            line.count = line.count.saturating_sub(1);
            writes.push(Write::Remove(RowKey::Line(place)));
        }
    }

    /// Writes the rows that changed.
    pub(super) fn close(self, writes: &mut Vec<Write>) {
        for (group, Entry { loaded, now }) in self.rows {
            if now != loaded {
                writes.push(match now {
                    NO_ROW => Write::Remove(RowKey::Group(group)),
                    row => Write::Group(group, row),
                });
            }
        }
    }
}
