//! What operators do to messages without a handle: they name places, and what stands there goes,
//! whatever its state.

use std::collections::BTreeSet;

use crate::engine::command::{Context, EntryError, Outcome, Removal, Step};
use crate::engine::line::Ledger;
use crate::engine::queue::{Queue, sync};
use crate::engine::reader::Reader;

impl Queue {
    /// Deletes messages. A handle of one of them is from now on that of a deleted message.
    pub(super) fn remove(&mut self, removal: &mut Removal, context: &mut Context<'_>) -> Step {
        let mut reader = Reader::new(context.loaded);
        let mut ledger = Ledger::default();
        let places: BTreeSet<_> = removal.places.iter().copied().collect();
        let mut unreceived = self.load_for_removal(places.into_iter(), &mut reader, &mut ledger);
        if !reader.is_complete() {
            return Step::More(reader.missing());
        }

        let mut results = Vec::with_capacity(removal.places.len());
        for place in std::mem::take(&mut removal.places) {
            let received = self.deliveries.get(place.seq).copied();
            let received = received.filter(|row| row.lane == place.lane);
            let fresh = unreceived.remove(&place);
            let head = fresh.as_ref().map(|row| &row.head);
            if !self.state_of(place, head).is_some_and(|state| removal.states.contains(state)) {
                results.push(Err(EntryError::Gone));
                continue;
            }
            match (received, fresh) {
                (Some(row), _) => self.discard_received(place, row, &mut ledger, context.effects),
                (None, Some(row)) => {
                    self.discard_fresh(place, &row, &mut ledger, context.effects);
                }
                // It would have no state.
                (None, None) => {}
            }
            results.push(Ok(()));
        }
        ledger.close(&mut context.effects.writes);
        if context.effects.removed > 0 {
            sync(context.effects);
        }
        Step::Done(Ok(Outcome::Done(results)))
    }
}
