//! The requests that wait for their replies.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::Message;

/// Who waits for which reply. Cheap to clone; all clones are one.
///
/// The lock guards a map that is only looked up in; nothing is awaited while it is held.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending(Arc<Mutex<HashMap<Uuid, oneshot::Sender<Message>>>>);

/// The place of one request. Dropped, nobody waits for its reply any more.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) id: Uuid,
    pub(super) reply: oneshot::Receiver<Message>,
    pending: Pending,
}

impl Pending {
    /// A place under an id of its own.
    pub(super) fn enter(&self) -> Place {
        let id = Uuid::new_v4();
        let (answer, reply) = oneshot::channel();
        self.with(|waiting| waiting.insert(id, answer));
        Place { id, reply, pending: self.clone() }
    }

    /// Hands a reply to who waits for it; `false` when nobody does, because it is late, or a second
    /// one, or no reply of ours.
    pub(super) fn settle(&self, id: &str, reply: Message) -> bool {
        let Ok(id) = Uuid::try_parse(id) else {
            return false;
        };
        let waiting = self.with(|waiting| waiting.remove(&id));
        waiting.is_some_and(|answer| answer.send(reply).is_ok())
    }

    fn with<R>(&self, act: impl FnOnce(&mut HashMap<Uuid, oneshot::Sender<Message>>) -> R) -> R {
        // Nothing done under the lock leaves the map half changed.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.pending.with(|waiting| waiting.remove(&self.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(body: &str) -> Message {
        Message { body: body.into(), ..Message::default() }
    }

    #[tokio::test]
    async fn each_reply_goes_to_its_request() {
        let pending = Pending::default();
        let (mut one, mut two) = (pending.enter(), pending.enter());
        assert!(pending.settle(&two.id.to_string(), reply("2")));
        assert!(pending.settle(&one.id.to_string(), reply("1")));
        assert_eq!((&mut one.reply).await.unwrap().body, "1");
        assert_eq!((&mut two.reply).await.unwrap().body, "2");
    }

    #[test]
    fn late_second_and_foreign_replies_are_nobodys() {
        let pending = Pending::default();
        let place = pending.enter();
        let id = place.id.to_string();
        assert!(pending.settle(&id, reply("first")));
        assert!(!pending.settle(&id, reply("second")));
        let given_up = pending.enter();
        let late = given_up.id.to_string();
        drop((place, given_up));
        assert!(!pending.settle(&late, reply("late")));
        assert!(!pending.settle("no id of ours", reply("foreign")));
        assert!(pending.with(|waiting| waiting.is_empty()));
    }
}
