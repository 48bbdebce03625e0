//! Messages that leave for another queue, and those that come from one.

use crate::engine::command::{Context, Departure, Step};
use crate::engine::line::Ledger;
use crate::engine::queue::{Queue, done, sync};
use crate::engine::reader::Reader;
use crate::model::fifo::GroupHash;
use crate::model::rows::{DeliveryRow, Lane, MessageHead, MessageRow, Moved, Place, Write};
use crate::model::time::Timestamp;

impl Queue {
    /// Sends a message that was received often enough to the dead-letter queue: its rows go, and a
    /// departure says where it was. The shard writes the other half into the same batch.
    pub(super) fn depart(
        &mut self,
        place: Place,
        message: MessageRow,
        delivery: Option<DeliveryRow>,
        context: &mut Context<'_>,
    ) {
        let Some(delivery) = delivery else { return };
        self.drop_row(place, context.effects);
        let max = self.settings.redrive.as_ref().map_or(0, |redrive| redrive.max_receive_count);
        let moved = Moved {
            source_arn: String::new(),
            dead_letter: true,
            receive_count: delivery.receive_count,
            moved_at: context.now,
            reason: format!("maxReceiveCount {max} exceeded"),
            redrives: Moved::redrives_after(message.moved.as_deref(), true),
        };
        context.effects.departures.push(Departure { message, place, delivery, moved });
    }

    /// Takes in a message of another queue, at the end.
    pub(super) fn accept(&mut self, departure: &mut Departure, context: &mut Context<'_>) -> Step {
        let fifo = self.is_fifo();
        let now = context.now;
        let Departure { message, delivery, moved, .. } = departure;
        let head = match moved.dead_letter {
            true => dead_letter_head(&message.head, delivery, moved, fifo, now),
            // A new message (facts sheet, 8.5): sent now, never received, retained anew.
            false => MessageHead::sent(now, None, message.head.group),
        };
        let mut reader = Reader::new(context.loaded);
        let mut ledger = Ledger::default();
        if fifo || self.fair_from.is_some() || head.group.is_some() {
            ledger.load(&mut reader, head.group.unwrap_or(GroupHash::UNGROUPED));
        }
        if !reader.is_complete() {
            return Step::More(reader.missing());
        }
        let row = MessageRow {
            head,
            payload: message.payload.clone(),
            moved: Some(Box::new(moved.clone())),
        };
        if fifo {
            self.enqueue_grouped(row, &mut ledger, context.effects);
        } else {
            if row.head.retained_from < now {
                self.sweep.mix_ages();
            }
            let mut room = context.window_room;
            self.enqueue_fresh(row, &mut ledger, &mut room, context);
        }
        ledger.close(&mut context.effects.writes);
        sync(context.effects);
        done()
    }

    /// Takes back a message whose target is gone: where it was, available, its counts kept.
    pub(super) fn restore(&mut self, departure: &mut Departure, context: &mut Context<'_>) -> Step {
        let now = context.now;
        let seq = departure.place.seq;
        let place = match self.is_fifo() {
            true => departure.place,
            // Not into the main lane: what lies before its first message that is alive may be dropped
            // at any time.
            false => Place { lane: Lane::Delayed, seq },
        };
        let mut reader = Reader::new(context.loaded);
        let mut ledger = Ledger::default();
        let group = departure.delivery.group.filter(|_| self.is_fifo());
        if let Some(group) = group {
            ledger.load(&mut reader, group);
        }
        if !reader.is_complete() {
            return Step::More(reader.missing());
        }
        let delivery =
            DeliveryRow { lane: place.lane, visible_at: now, attempt: None, ..departure.delivery };
        self.deliveries.put(place.seq, delivery, now);
        self.sweep.added(delivery.retained_from.plus(self.settings.retention()));
        context.effects.writes.push(Write::Message(place, departure.message.clone()));
        if let Some(group) = group {
            self.hold_member(group, place.seq);
            self.settle_group(group, &mut ledger, context.effects);
        }
        ledger.close(&mut context.effects.writes);
        sync(context.effects);
        done()
    }
}

/// What a dead letter keeps: facts sheet, 8.2.
fn dead_letter_head(
    head: &MessageHead,
    delivery: &DeliveryRow,
    moved: &Moved,
    fifo: bool,
    now: Timestamp,
) -> MessageHead {
    let first_received_at = head.earlier_first_received_at.unwrap_or(delivery.first_received_at);
    let received = moved.receive_count > 0 || head.earlier_first_received_at.is_some();
    MessageHead {
        sent_at: head.sent_at,
        // A standard queue goes on counting from the send; a FIFO queue begins again.
        retained_from: if fifo { now } else { head.retained_from },
        due_at: None,
        group: head.group,
        earlier_receives: head.earlier_receives.saturating_add(moved.receive_count),
        earlier_first_received_at: received.then_some(first_received_at),
    }
}
