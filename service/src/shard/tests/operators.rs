//! What operators do to messages and groups without a handle.

use std::sync::Arc;
use std::time::Duration;

use super::served::{create, new_message, receive};
use super::world::key;
use crate::env::ManualClock;
use crate::error::Error;
use crate::model::attributes::{QueueSettings, RedrivePolicy};
use crate::model::filter::Filter;
use crate::model::message::{MessageId, MessageState, NewMessage};
use crate::model::time::Millis;
use crate::shard::cleanup::Errand;
use crate::shard::groups::Group;
use crate::shard::handle::{Shards, Tags};
use crate::shard::messages::ReceiveRequest;
use crate::shard::start::StartOptions;
use crate::store::memory::MemoryStore;

fn start() -> (Shards, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Duration::from_secs(1_800_000_000)));
    let options = StartOptions::new(Arc::new(MemoryStore::new()), clock.clone());
    (Shards::start(StartOptions { shards: 2, ..options }).unwrap().0, clock)
}

fn of_group(group: &str, body: &str) -> NewMessage {
    let mut message = new_message(body);
    message.content.group_id = Some(group.into());
    message.content.deduplication_id = Some(format!("{group}{body}"));
    message
}

async fn send(shards: &Shards, queue: &str, messages: Vec<NewMessage>) -> Vec<MessageId> {
    let sent = shards.send(&key(queue), messages).await.unwrap();
    sent.into_iter().map(|sent| sent.unwrap().id).collect()
}

fn errand(filter: Filter) -> Errand {
    Errand { filter, max: 1000, token: None, dry_run: false }
}

fn named(ids: &[MessageId]) -> Filter {
    Filter { ids: ids.iter().copied().collect(), ..Filter::default() }
}

#[tokio::test]
async fn messages_go_by_their_ids_in_any_state_and_once() {
    let (shards, clock) = start();
    create(&shards, "q").await;
    let q = key("q");
    let mut ids = send(&shards, "q", ["1", "2", "3", "4"].map(new_message).into()).await;
    let later = NewMessage { delay: Some(Millis(60_000)), ..new_message("5") };
    ids.extend(send(&shards, "q", vec![later]).await);
    let taken = shards.receive(&q, ReceiveRequest { max: 2, ..receive(0) }).await.unwrap();
    let handles: Vec<_> = taken.iter().map(|taken| taken.receipt_handle.clone()).collect();
    shards.change_visibility(&q, vec![(handles[1].clone(), 0)]).await.unwrap();

    // In flight, returned, available, delayed.
    let chosen = [ids[0], ids[1], ids[2], ids[4]];
    let dry = Errand { dry_run: true, ..errand(named(&chosen)) };
    let would = shards.delete_messages(&q, dry).await.unwrap();
    assert_eq!(would.ids, chosen);
    assert_eq!(would.token, None, "all that were named were found");
    let counted = shards.counters(&q).await.unwrap();
    assert_eq!((counted.available, counted.in_flight, counted.delayed), (3, 1, 1));

    let done = shards.delete_messages(&q, errand(named(&chosen))).await.unwrap();
    assert_eq!(done.ids, chosen);
    let counted = shards.counters(&q).await.unwrap();
    assert_eq!((counted.available, counted.in_flight, counted.delayed), (1, 0, 0));
    let again = shards.delete_messages(&q, errand(named(&chosen))).await.unwrap();
    assert_eq!((again.ids.len(), again.token), (0, None));

    // The handles are those of deleted messages.
    assert_eq!(shards.delete(&q, vec![handles[0].clone()]).await.unwrap(), [Ok(())]);
    let hidden = shards.change_visibility(&q, vec![(handles[0].clone(), 9)]).await.unwrap();
    assert!(matches!(hidden[0], Err(Error::MessageNotAvailable(_))));
    clock.advance(Duration::from_secs(3600));
    assert_eq!(shards.receive(&q, receive(0)).await.unwrap().len(), 1);
    shards.stop().await;
}

#[tokio::test]
async fn a_large_errand_goes_on_with_its_token() {
    let (shards, _clock) = start();
    create(&shards, "q").await;
    let q = key("q");
    for _ in 0..30 {
        send(&shards, "q", (0..10).map(|n| new_message(&n.to_string())).collect()).await;
    }
    let even = |token| Errand {
        filter: Filter { body: Some("4".into()), ..Filter::default() },
        max: 20,
        token,
        dry_run: false,
    };
    let first = shards.delete_messages(&q, even(None)).await.unwrap();
    let second = shards.delete_messages(&q, even(first.token.clone())).await.unwrap();
    assert_eq!((first.ids.len(), second.ids.len(), second.token), (20, 10, None));
    assert_eq!(shards.counters(&q).await.unwrap().available, 270);
    let refused = shards.delete_messages(&q, even(Some("nonsense".into()))).await;
    assert!(matches!(refused, Err(Error::InvalidParameter(_))));
    let states = [MessageState::InFlight].into_iter().collect();
    let none = errand(Filter { states, ..Filter::default() });
    assert_eq!(shards.delete_messages(&q, none).await.unwrap().ids.len(), 0);
    let all = shards.delete_messages(&q, errand(Filter::default())).await.unwrap();
    assert_eq!((all.ids.len(), shards.counters(&q).await.unwrap()), (270, Default::default()));
    shards.stop().await;
}

#[tokio::test]
async fn messages_are_moved_to_another_queue_once_wherever_it_is() {
    for target in (0..4).map(|n| format!("target{n}")) {
        let (shards, _clock) = start();
        create(&shards, "q").await;
        create(&shards, &target).await;
        let (q, there) = (key("q"), key(&target));
        let ids = send(&shards, "q", ["1", "2", "3", "4"].map(new_message).into()).await;
        let taken = shards.receive(&q, ReceiveRequest { max: 1, ..receive(0) }).await.unwrap();
        let some = errand(named(&ids[..2]));
        let dry = Errand { dry_run: true, ..some.clone() };
        assert_eq!(shards.move_messages(&q, &there, dry, "why").await.unwrap().ids, ids[..2]);
        assert_eq!(shards.counters(&there).await.unwrap(), Default::default());
        let moved = shards.move_messages(&q, &there, some.clone(), "why").await.unwrap();
        assert_eq!((&moved.ids[..], moved.token), (&ids[..2], None));
        assert_eq!(shards.move_messages(&q, &there, some, "why").await.unwrap().ids, []);

        let mut arrived = Vec::new();
        while arrived.len() < 2 {
            arrived.extend(shards.receive(&there, receive(20)).await.unwrap());
        }
        let mut found: Vec<_> =
            arrived.iter().map(|received| received.message.content.body.clone()).collect();
        found.sort_unstable();
        assert_eq!(found, ["1", "2"]);
        // They are new messages there.
        assert!(arrived.iter().all(|received| !ids.contains(&received.message.id)));
        assert!(arrived.iter().all(|received| received.message.receive_count == 1));
        let left = shards.counters(&q).await.unwrap();
        assert_eq!((left.available, left.in_flight), (2, 0));
        let handle = taken[0].receipt_handle.clone();
        assert_eq!(shards.delete(&q, vec![handle]).await.unwrap(), [Ok(())], "it is not there");
        assert_eq!(shards.counters(&there).await.unwrap().in_flight, 2);

        create(&shards, "q.fifo").await;
        let all = || errand(Filter::default());
        let refused = shards.move_messages(&q, &key("q.fifo"), all(), "why").await;
        assert!(matches!(refused, Err(Error::UnsupportedOperation(_))));
        let refused = shards.move_messages(&q, &q, all(), "why").await;
        assert!(matches!(refused, Err(Error::InvalidParameter(_))));
        shards.stop().await;
    }
}

#[tokio::test]
async fn a_receiver_gives_up_what_it_holds_and_nothing_else() {
    for (source, dead) in [("q", "dead"), ("q.fifo", "dead.fifo")] {
        let (shards, clock) = start();
        create(&shards, source).await;
        create(&shards, dead).await;
        let q = key(source);
        send(&shards, source, vec![of_group("g", "1"), of_group("g", "2")]).await;
        let one = ReceiveRequest { max: 1, ..receive(0) };
        let first = shards.receive(&q, one.clone()).await.unwrap().remove(0);
        let give_up = async |handle: &str, reason: &str| {
            shards.dead_letter(&q, handle.into(), reason.into()).await
        };
        let refused = give_up(&first.receipt_handle, "why").await;
        assert!(matches!(refused, Err(Error::UnsupportedOperation(_))), "no dead-letter queue");
        let target = key(dead).arn();
        let redrive = RedrivePolicy { dead_letter_target_arn: target, max_receive_count: 5 };
        let change = move |settings: &mut QueueSettings, _: &mut Tags| {
            settings.redrive = Some(redrive);
            Ok(())
        };
        shards.update(&q, Box::new(change)).await.unwrap();

        assert_eq!(give_up(&first.receipt_handle, "no schema").await, Ok(key(dead)));
        let mut arrived = Vec::new();
        while arrived.is_empty() {
            arrived = shards.receive(&key(dead), receive(20)).await.unwrap();
        }
        let message = &arrived[0].message;
        assert_eq!((message.id, message.receive_count), (first.message.id, 2));
        let death = message.moved.as_deref().unwrap();
        assert_eq!((&*death.reason, death.dead_letter), ("no schema", true));
        assert_eq!(death.source_arn, q.arn());
        let again = give_up(&first.receipt_handle, "again").await;
        assert!(matches!(again, Err(Error::InvalidParameterValue { .. })), "{again:?}");

        // The next of the group may go; its handle is no good when its timeout has ended, or when
        // it was received again.
        let second = shards.receive(&q, one.clone()).await.unwrap().remove(0);
        clock.advance(Duration::from_secs(31));
        assert!(give_up(&second.receipt_handle, "late").await.is_err());
        let third = shards.receive(&q, one).await.unwrap().remove(0);
        assert_eq!(third.message.id, second.message.id);
        assert!(give_up(&second.receipt_handle, "not mine").await.is_err());
        assert!(give_up("nonsense", "x").await.is_err());
        assert_eq!(give_up(&third.receipt_handle, "mine").await, Ok(key(dead)));
        assert_eq!(shards.counters(&q).await.unwrap(), Default::default());
        shards.stop().await;
    }
}

/// Waiting, in flight, returned, held.
fn summary(group: &Group) -> (&str, u64, u64, u64, bool) {
    (&group.id, group.waiting, group.in_flight, group.returned, group.held)
}

#[tokio::test]
async fn groups_show_what_holds_them_and_a_skip_lets_them_go() {
    let (shards, clock) = start();
    create(&shards, "q.fifo").await;
    let q = key("q.fifo");
    let ids = send(&shards, "q.fifo", ["1", "2", "3"].map(|n| of_group("a", n)).into()).await;
    clock.advance(Duration::from_secs(7));
    send(&shards, "q.fifo", vec![of_group("b", "1")]).await;
    let one = ReceiveRequest { max: 1, ..receive(0) };
    let taken = shards.receive(&q, one.clone()).await.unwrap();
    assert_eq!(taken[0].message.id, ids[0]);

    let mut groups = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let page = shards.groups(&q, token.as_deref(), 1).await.unwrap();
        assert!(page.groups.len() <= 1);
        groups.extend(page.groups);
        token = page.token;
        if token.is_none() {
            break;
        }
    }
    groups.sort_by(|one, other| one.id.cmp(&other.id));
    assert_eq!(
        groups.iter().map(summary).collect::<Vec<_>>(),
        [("a", 2, 1, 0, true), ("b", 1, 0, 0, false)]
    );
    assert_eq!((groups[0].head, groups[0].head_age), (ids[0], Millis(7_000)));
    assert_eq!(groups[1].head_age, Millis(0));
    let a = async || shards.group(&q, "a").await.unwrap();
    assert_eq!(a().await.as_ref(), Some(&groups[0]));
    assert_eq!(shards.group(&q, "nobody").await.unwrap(), None);

    // Nothing of it comes while its first is in flight.
    assert_eq!(
        shards.receive(&q, one.clone()).await.unwrap()[0].message.content.group_id,
        Some("b".into())
    );
    assert_eq!(shards.receive(&q, one.clone()).await.unwrap().len(), 0);
    assert_eq!(shards.skip_group_head(&q, "a", Some(ids[1])).await.unwrap(), None);
    assert_eq!(shards.skip_group_head(&q, "a", Some(ids[0])).await.unwrap(), Some(ids[0]));
    assert_eq!(summary(&a().await.unwrap()), ("a", 2, 0, 0, false));
    let next = shards.receive(&q, one.clone()).await.unwrap();
    assert_eq!(next[0].message.id, ids[1]);
    shards.change_visibility(&q, vec![(next[0].receipt_handle.clone(), 0)]).await.unwrap();
    assert_eq!(summary(&a().await.unwrap()), ("a", 1, 0, 1, false));
    // What came back is skipped, and what was never received.
    assert_eq!(shards.skip_group_head(&q, "a", None).await.unwrap(), Some(ids[1]));
    assert_eq!(shards.skip_group_head(&q, "a", None).await.unwrap(), Some(ids[2]));
    assert_eq!(shards.skip_group_head(&q, "a", None).await.unwrap(), None);
    assert_eq!(a().await, None);
    let handle = taken[0].receipt_handle.clone();
    assert_eq!(shards.delete(&q, vec![handle]).await.unwrap(), [Ok(())], "it is deleted already");

    create(&shards, "q").await;
    let refused = shards.skip_group_head(&key("q"), "a", None).await;
    assert!(matches!(refused, Err(Error::UnsupportedOperation(_))));
    let foreign = shards.groups(&q, None, 1).await.unwrap().token;
    assert_eq!(foreign, None);
    assert!(shards.groups(&q, Some("nonsense"), 1).await.is_err());
    shards.stop().await;
}

#[tokio::test]
async fn a_group_goes_alone_wherever_its_messages_are() {
    for queue in ["q.fifo", "q"] {
        let (shards, _clock) = start();
        create(&shards, queue).await;
        let q = key(queue);
        for round in 0..20 {
            let message =
                |n| of_group(if n % 2 == 0 { "even" } else { "odd" }, &format!("{round}-{n}"));
            send(&shards, queue, (0..10).map(message).collect()).await;
        }
        let taken = shards.receive(&q, receive(0)).await.unwrap();
        assert_eq!(taken.len(), 10);
        let filter = Filter { group: Some("even".into()), ..Filter::default() };
        let done = shards.delete_messages(&q, errand(filter)).await.unwrap();
        assert_eq!((done.ids.len(), done.token), (100, None), "{queue}");
        let left = shards.counters(&q).await.unwrap();
        assert_eq!(left.available + left.in_flight, 100, "{queue}");
        let groups = shards.groups(&q, None, 100).await.unwrap().groups;
        assert_eq!(groups.iter().map(|group| &*group.id).collect::<Vec<_>>(), ["odd"], "{queue}");
        shards.stop().await;
    }
}

#[tokio::test]
async fn a_fair_queue_shows_who_is_noisy() {
    let (shards, _clock) = start();
    create(&shards, "q").await;
    let q = key("q");
    for round in 0..5 {
        let messages = (0..10).map(|n| of_group("loud", &format!("{round}-{n}"))).collect();
        send(&shards, "q", messages).await;
    }
    send(&shards, "q", vec![of_group("quiet", "1"), new_message("of nobody")]).await;
    for _ in 0..3 {
        shards.receive(&q, receive(0)).await.unwrap();
    }
    let mut groups = shards.groups(&q, None, 100).await.unwrap().groups;
    groups.sort_by(|one, other| one.id.cmp(&other.id));
    let seen: Vec<_> = groups
        .iter()
        .map(|group| (&*group.id, group.waiting, group.in_flight, group.noisy))
        .collect();
    assert_eq!(seen, [("loud", 20, 30, true), ("quiet", 1, 0, false)]);
    shards.stop().await;
}
