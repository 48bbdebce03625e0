//! CreateQueue, GetQueueUrl, ListQueues, DeleteQueue, PurgeQueue and the attributes.

use aws_sdk_sqs::types::QueueAttributeName;
use stanchion_tests::{
    Server,
    sdk::{self, arn, attribute, attributes, client, create, failure},
};

#[tokio::test]
async fn a_fresh_standard_queue_has_the_default_attributes() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "orders", &[]).await;
    assert_eq!(url, format!("{}/000000000000/orders", server.url()));

    let all = sqs.get_queue_attributes().queue_url(&url).attribute_names("All".into()).send().await;
    let mut all = all.unwrap().attributes.unwrap();
    for name in ["CreatedTimestamp", "LastModifiedTimestamp"] {
        let seconds: u64 = all.remove(&name.into()).unwrap().parse().unwrap();
        assert!((1_600_000_000..16_000_000_000).contains(&seconds), "{name} is in seconds");
    }
    let expected = attributes(&[
        ("VisibilityTimeout", "30"),
        ("DelaySeconds", "0"),
        ("MaximumMessageSize", "1048576"),
        ("MessageRetentionPeriod", "345600"),
        ("ReceiveMessageWaitTimeSeconds", "0"),
        ("SqsManagedSseEnabled", "true"),
        ("QueueArn", "arn:aws:sqs:us-east-1:000000000000:orders"),
        ("ApproximateNumberOfMessages", "0"),
        ("ApproximateNumberOfMessagesNotVisible", "0"),
        ("ApproximateNumberOfMessagesDelayed", "0"),
    ]);
    assert_eq!(all, expected);
}

#[tokio::test]
async fn a_fresh_fifo_queue_has_four_more() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "orders.fifo", &[]).await;
    let all = sqs.get_queue_attributes().queue_url(&url).attribute_names("All".into()).send().await;
    let all = all.unwrap().attributes.unwrap();
    assert_eq!(all.len(), 16);
    for (name, value) in [
        ("FifoQueue", "true"),
        ("ContentBasedDeduplication", "false"),
        ("DeduplicationScope", "queue"),
        ("FifoThroughputLimit", "perQueue"),
    ] {
        assert_eq!(all[&name.into()], value, "{name}");
    }
}

#[tokio::test]
async fn attributes_are_returned_as_asked_for() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[]).await;
    let get = || sqs.get_queue_attributes().queue_url(&url);

    assert_eq!(get().send().await.unwrap().attributes, None, "no names, no attributes");
    let unset = get().attribute_names(QueueAttributeName::RedrivePolicy).send().await.unwrap();
    assert_eq!(unset.attributes, None, "valid but unset");
    let refused = failure(get().attribute_names("Colour".into()).send().await);
    assert_eq!(refused.code, "InvalidAttributeName");
    assert_eq!(refused.message, "Unknown Attribute Colour.");
}

#[tokio::test]
async fn creating_a_queue_twice_succeeds_unless_a_given_attribute_differs() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[("VisibilityTimeout", "10")]).await;
    assert_eq!(create(&sqs, "q", &[]).await, url, "attributes that are not given do not count");
    assert_eq!(create(&sqs, "q", &[("VisibilityTimeout", "10")]).await, url);

    let again = sqs.create_queue().queue_name("q");
    let again = again.attributes(QueueAttributeName::VisibilityTimeout, "11").send().await;
    let refused = failure(again);
    assert_eq!((refused.status, &*refused.code), (400, "QueueAlreadyExists"));
    assert_eq!(
        refused.message,
        "A queue already exists with the same name and a different value for attribute \
         VisibilityTimeout"
    );
}

#[tokio::test]
async fn a_throughput_limit_alone_makes_no_queue_and_may_describe_one() {
    let server = Server::start();
    let sqs = client(&server);
    let per_group = ("FifoThroughputLimit", "perMessageGroupId");
    let both = [per_group, ("DeduplicationScope", "messageGroup")];
    let alone = || async {
        let limit = QueueAttributeName::FifoThroughputLimit;
        let fifo = QueueAttributeName::FifoQueue;
        let create = sqs.create_queue().queue_name("q.fifo").attributes(fifo, "true");
        create.attributes(limit, per_group.1).send().await
    };
    assert_eq!(failure(alone().await).code, "InvalidAttributeValue");
    let url = create(&sqs, "q.fifo", &both).await;
    assert_eq!(alone().await.unwrap().queue_url(), Some(&*url));
    create(&sqs, "slower.fifo", &[]).await;
    let fifo = sqs.create_queue().queue_name("slower.fifo");
    let fifo = fifo.attributes(QueueAttributeName::FifoQueue, "true");
    let other = fifo.attributes(QueueAttributeName::FifoThroughputLimit, per_group.1);
    assert_eq!(failure(other.send().await).code, "QueueAlreadyExists");
}

#[tokio::test]
async fn queue_names_are_checked() {
    let server = Server::start();
    let sqs = client(&server);
    let longest = "n".repeat(80);
    create(&sqs, &longest, &[]).await;
    create(&sqs, &format!("{}.fifo", "n".repeat(75)), &[]).await;

    let standard =
        "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length";
    for name in [&format!("{longest}n"), "a b", "a.b", "ä", "orders.fifo"] {
        let refused = failure(sqs.create_queue().queue_name(name).send().await);
        assert_eq!(refused.code, "InvalidParameterValue", "{name}");
        assert_eq!(refused.message, standard, "{name}");
    }
    for name in ["orders", ".fifo", &format!("{}.fifo", "n".repeat(76))] {
        let fifo = sqs.create_queue().queue_name(name);
        let fifo = fifo.attributes(QueueAttributeName::FifoQueue, "true").send().await;
        let refused = failure(fifo);
        assert_eq!(refused.code, "InvalidParameterValue", "{name}");
        assert!(refused.message.contains("must end with .fifo suffix"), "{}", refused.message);
    }
}

#[tokio::test]
async fn attribute_values_are_checked() {
    let server = Server::start();
    let sqs = client(&server);
    let standard = create(&sqs, "q", &[]).await;
    let fifo = create(&sqs, "q.fifo", &[]).await;

    for (name, least, most) in [
        ("VisibilityTimeout", 0, 43_200),
        ("DelaySeconds", 0, 900),
        ("MaximumMessageSize", 1_024, 1_048_576),
        ("MessageRetentionPeriod", 60, 1_209_600),
        ("ReceiveMessageWaitTimeSeconds", 0, 20),
    ] {
        for good in [least, most] {
            let set = sqs.set_queue_attributes().queue_url(&standard);
            set.attributes(name.into(), good.to_string()).send().await.unwrap();
            assert_eq!(attribute(&sqs, &standard, name).await, good.to_string());
        }
        let bad = [(least - 1).to_string(), (most + 1).to_string()];
        for bad in bad.iter().map(String::as_str).chain(["", "ten", "1.5", " 1", "60 "]) {
            let set = sqs.set_queue_attributes().queue_url(&standard);
            let refused = failure(set.attributes(name.into(), bad).send().await);
            assert_eq!(refused.code, "InvalidAttributeValue", "{name}={bad:?}");
        }
        assert_eq!(attribute(&sqs, &standard, name).await, most.to_string(), "nothing changed");
    }

    for (url, name, value, code) in [
        (&standard, "Colour", "red", "InvalidAttributeName"),
        (&standard, "QueueArn", "arn:aws:sqs:us-east-1:000000000000:x", "InvalidAttributeName"),
        (&standard, "ApproximateNumberOfMessages", "1", "InvalidAttributeName"),
        (&standard, "ContentBasedDeduplication", "true", "InvalidAttributeName"),
        (&standard, "DeduplicationScope", "queue", "InvalidAttributeName"),
        (&standard, "Policy", "{", "InvalidAttributeValue"),
        (&fifo, "FifoQueue", "false", "InvalidAttributeValue"),
        (&fifo, "DeduplicationScope", "group", "InvalidAttributeValue"),
        (&fifo, "FifoThroughputLimit", "perMessageGroupId", "InvalidAttributeValue"),
    ] {
        let set = sqs.set_queue_attributes().queue_url(url).attributes(name.into(), value);
        assert_eq!(failure(set.send().await).code, code, "{name}={value}");
    }
}

#[tokio::test]
async fn booleans_are_accepted_in_any_case() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q.fifo", &[("ContentBasedDeduplication", "True")]).await;
    assert_eq!(attribute(&sqs, &url, "ContentBasedDeduplication").await, "true");
}

#[tokio::test]
async fn a_queue_is_found_by_its_name() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[]).await;
    let found = sqs.get_queue_url().queue_name("q").send().await.unwrap();
    assert_eq!(found.queue_url, Some(url));

    let refused = failure(sqs.get_queue_url().queue_name("r").send().await);
    assert_eq!(refused.status, 400);
    assert_eq!(refused.code, "AWS.SimpleQueueService.NonExistentQueue");
    assert_eq!(refused.message, "The specified queue does not exist.");
}

#[tokio::test]
async fn any_form_of_a_queue_url_names_the_queue() {
    let server = Server::start();
    let sqs = client(&server);
    create(&sqs, "q", &[]).await;
    for url in [
        "q",
        "arn:aws:sqs:us-east-1:000000000000:q",
        "https://sqs.us-east-1.amazonaws.com/000000000000/q",
        "http://sqs.us-east-1.localhost:9324/000000000000/q",
        "http://queue:9324/queue/us-east-1/000000000000/q",
    ] {
        sdk::send(&sqs, url, "to q").await;
    }
    let missing = sqs.send_message().queue_url("http://x/000000000000/no").message_body("m");
    let refused = failure(missing.send().await);
    assert_eq!(refused.code, "AWS.SimpleQueueService.NonExistentQueue");
}

#[tokio::test]
async fn queues_are_listed_by_prefix_and_in_pages() {
    let server = Server::start();
    let sqs = client(&server);
    assert_eq!(sqs.list_queues().send().await.unwrap().queue_urls, None);
    let mut urls = Vec::new();
    for name in ["a-1", "a-2", "a-3", "b-1"] {
        urls.push(create(&sqs, name, &[]).await);
    }
    let listed = sqs.list_queues().queue_name_prefix("a-").send().await.unwrap();
    let mut of_a = listed.queue_urls.unwrap();
    of_a.sort();
    assert_eq!(of_a, urls[..3]);
    assert_eq!(listed.next_token, None);

    let mut paged = Vec::new();
    let mut pages = sqs.list_queues().max_results(3).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.unwrap().queue_urls.unwrap();
        assert!(page.len() <= 3);
        paged.extend(page);
    }
    paged.sort();
    assert_eq!(paged, urls);

    for wrong in [0, 1001] {
        let refused = failure(sqs.list_queues().max_results(wrong).send().await);
        assert_eq!(refused.code, "InvalidParameterValue", "{wrong}");
    }
}

#[tokio::test]
async fn a_deleted_queue_is_gone_with_its_messages() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[]).await;
    sdk::send(&sqs, &url, "m").await;
    let stale = sdk::receive_one(&sqs, &url).await;
    sqs.delete_queue().queue_url(&url).send().await.unwrap();

    let again = failure(sqs.delete_queue().queue_url(&url).send().await);
    assert_eq!(again.code, "AWS.SimpleQueueService.NonExistentQueue");
    assert_eq!(create(&sqs, "q", &[]).await, url, "standard limits know no 60 seconds");
    assert_eq!(sdk::counters(&sqs, &url).await, [0, 0, 0]);
    let old = sqs.delete_message().queue_url(&url).receipt_handle(sdk::handle(&stale));
    assert_eq!(failure(old.send().await).code, "ReceiptHandleIsInvalid", "another queue's handle");
}

#[tokio::test]
async fn a_purge_empties_the_queue_whatever_state_its_messages_are_in() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[]).await;
    sdk::send(&sqs, &url, "in flight").await;
    sdk::receive_one(&sqs, &url).await;
    sdk::send(&sqs, &url, "available").await;
    let delayed = sqs.send_message().queue_url(&url).message_body("delayed").delay_seconds(900);
    delayed.send().await.unwrap();
    assert_eq!(sdk::counters(&sqs, &url).await, [1, 1, 1]);

    sqs.purge_queue().queue_url(&url).send().await.unwrap();
    assert_eq!(sdk::counters(&sqs, &url).await, [0, 0, 0]);
    assert_eq!(sdk::bodies(&sdk::receive(&sqs, &url, 0).await), [""; 0]);
    sqs.purge_queue().queue_url(&url).send().await.expect("standard limits know no 60 seconds");
}

#[tokio::test]
async fn strict_limits_know_sixty_seconds() {
    let server = Server::start_with(&["--limits", "strict"]);
    let sqs = client(&server);
    let url = create(&sqs, "q", &[]).await;
    sqs.purge_queue().queue_url(&url).send().await.unwrap();
    let refused = failure(sqs.purge_queue().queue_url(&url).send().await);
    assert_eq!(refused.status, 403);
    assert_eq!(refused.code, "AWS.SimpleQueueService.PurgeQueueInProgress");
    assert_eq!(refused.message, "Only one PurgeQueue operation on q is allowed every 60 seconds.");

    sqs.delete_queue().queue_url(&url).send().await.unwrap();
    let refused = failure(sqs.create_queue().queue_name("q").send().await);
    assert_eq!(refused.code, "AWS.SimpleQueueService.QueueDeletedRecently");
}

#[tokio::test]
async fn tags_are_added_replaced_removed_and_listed() {
    let mut server = Server::start();
    let sqs = client(&server);
    let created = sqs.create_queue().queue_name("q").tags("team", "red").send().await.unwrap();
    let url = created.queue_url.unwrap();
    let tag = sqs.tag_queue().queue_url(&url).tags("team", "blue").tags("Größe", "");
    tag.send().await.unwrap();
    let listed = async |sqs: &aws_sdk_sqs::Client| {
        let tags = sqs.list_queue_tags().queue_url(&url).send().await.unwrap().tags;
        let mut tags: Vec<_> = tags.unwrap_or_default().into_iter().collect();
        tags.sort();
        tags
    };
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(listed(&sqs).await, [tag("Größe", ""), tag("team", "blue")]);

    server.kill();
    server.start_again();
    let sqs = client(&server);
    assert_eq!(listed(&sqs).await.len(), 2, "they are as durable as the queue");
    let untag = sqs.untag_queue().queue_url(&url).tag_keys("team").tag_keys("never there");
    untag.send().await.unwrap();
    assert_eq!(listed(&sqs).await, [tag("Größe", "")]);
    sqs.untag_queue().queue_url(&url).tag_keys("Größe").send().await.unwrap();
    assert_eq!(listed(&sqs).await, []);
}

#[tokio::test]
async fn wrong_tags_are_refused_and_change_nothing() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[]).await;
    let many = |from: u32, to: u32| (from..to).map(|n| (n.to_string(), String::new())).collect();
    sqs.tag_queue().queue_url(&url).set_tags(Some(many(0, 40))).send().await.unwrap();

    let none = sqs.tag_queue().queue_url(&url).set_tags(Some(many(0, 0))).send().await;
    assert_eq!(failure(none).code, "MissingParameter");
    let more = sqs.tag_queue().queue_url(&url).set_tags(Some(many(30, 51))).send().await;
    let refused = failure(more);
    assert_eq!((refused.status, &*refused.code), (400, "InvalidParameterValue"));
    assert_eq!(refused.message, "Too many tags added for queue q.");
    let none = sqs.untag_queue().queue_url(&url).set_tag_keys(Some(vec![])).send().await;
    let refused = failure(none);
    assert_eq!(refused.code, "InvalidParameterValue");
    assert_eq!(refused.message, "Tag keys must be between 1 and 128 characters in length.");
    let left = sqs.list_queue_tags().queue_url(&url).send().await.unwrap().tags.unwrap();
    assert_eq!(left.len(), 40);
}

#[tokio::test]
async fn the_sources_of_a_dead_letter_queue_are_listed_in_pages() {
    let server = Server::start();
    let sqs = client(&server);
    let dead = create(&sqs, "dead", &[]).await;
    let target = arn(&sqs, &dead).await;
    let policy = format!(r#"{{"deadLetterTargetArn":"{target}","maxReceiveCount":3}}"#);
    let mut sources = Vec::new();
    for name in ["a", "b", "c"] {
        sources.push(create(&sqs, name, &[("RedrivePolicy", &policy)]).await);
    }
    create(&sqs, "other", &[]).await;
    let list = || sqs.list_dead_letter_source_queues().queue_url(&dead);
    assert_eq!(list().send().await.unwrap().queue_urls, sources);

    let first = list().max_results(2).send().await.unwrap();
    assert_eq!(first.queue_urls, sources[..2]);
    let next = first.next_token.expect("there is a third");
    let second = list().max_results(2).next_token(next).send().await.unwrap();
    assert_eq!((second.queue_urls, second.next_token), (vec![sources[2].clone()], None));

    let none = sqs.list_dead_letter_source_queues().queue_url(&sources[0]).send().await.unwrap();
    assert_eq!(none.queue_urls, [""; 0]);
    assert_eq!(failure(list().max_results(0).send().await).code, "InvalidParameterValue");
}
