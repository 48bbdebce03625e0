//! Queues by their names, and what to say about a name that is none.

use std::cmp::Ordering;
use std::future::Future;

use stanchion_sdk::actions::queues::ListQueues;
use stanchion_sdk::{Attributes, Client, Error, GetQueueAttributes};

use crate::context::Target;
use crate::failure::Failure;

/// How many queues are looked through for a name that may have been meant.
const LOOKED_THROUGH_MAX: usize = 10_000;

/// The name at the end of a queue's URL or ARN; a name is one itself.
pub(crate) fn name_of(queue: &str) -> &str {
    queue.rsplit(['/', ':']).next().unwrap_or(queue)
}

/// Whether the name is a FIFO queue's.
pub(crate) fn is_fifo(queue: &str) -> bool {
    queue.ends_with(".fifo")
}

/// Attributes of our own, which `All` does not mean.
const OWN_ATTRIBUTES: [&str; 3] =
    ["Stanchion.Paused", "Stanchion.LongDelays", "Stanchion.ExpireAfterIdle"];

/// Everything about a queue, where it is Stanchion's also what it has beyond SQS.
pub(crate) async fn attributes(client: &Client, queue: &str) -> Result<Attributes, Error> {
    let mut request = GetQueueAttributes::all(queue);
    if !client.is_amazon() {
        request.attribute_names.extend(OWN_ATTRIBUTES.map(str::to_owned));
        match client.get_queue_attributes(request).await {
            // Somebody else's server.
            Err(error) if error.code() == Some("InvalidAttributeName") => {}
            answer => return Ok(answer?.attributes),
        }
        request = GetQueueAttributes::all(queue);
    }
    Ok(client.get_queue_attributes(request).await?.attributes)
}

/// The names of the queues that begin so, `max` at most.
pub(crate) async fn names(
    client: &Client,
    prefix: Option<String>,
    max: usize,
) -> Result<Vec<String>, Error> {
    let max_results = Some(1_000);
    let mut request = ListQueues { queue_name_prefix: prefix, max_results, next_token: None };
    let mut names = Vec::new();
    loop {
        let page = client.list_queues(request.clone()).await?;
        names.extend(page.queue_urls.iter().map(|url| name_of(url).to_owned()));
        request.next_token = page.next_token;
        if request.next_token.is_none() || names.len() >= max {
            names.truncate(max);
            return Ok(names);
        }
    }
}

/// Does something with a queue that somebody named; where there is none of that name, says which name
/// may have been meant.
pub(crate) async fn about<T>(
    target: &Target,
    queue: &str,
    deed: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let message = match deed.await {
        Err(Failure::MissingQueue { message, hint: None }) => message,
        done => return done,
    };
    let wanted = name_of(queue);
    let Ok(names) = names(&target.client, None, LOOKED_THROUGH_MAX).await else {
        return Err(Failure::MissingQueue { message, hint: None });
    };
    if names.iter().any(|name| name == wanted) {
        // It is there: what is missing is another one.
        return Err(Failure::MissingQueue { message, hint: None });
    }
    let hint = match nearest(wanted, &names) {
        Some(name) => format!("did you mean {name}?"),
        None if names.is_empty() => format!("there are no queues on {} yet", target.name),
        None => "`stanchion queue ls` lists the queues".into(),
    };
    let message = format!("there is no queue {wanted:?} on {} ({message})", target.name);
    Err(Failure::MissingQueue { message, hint: Some(hint) })
}

/// The name that is most like this one, if one is.
fn nearest<'a>(wanted: &str, names: &'a [String]) -> Option<&'a str> {
    /// Less alike than this are two names that have nothing to do with each other.
    const ALIKE_MIN: f64 = 0.6;
    let likeness = |name: &'a String| (strsim::normalized_damerau_levenshtein(wanted, name), name);
    let by_likeness =
        |a: &(f64, &String), b: &(f64, &String)| a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal);
    let best = names.iter().map(likeness).max_by(by_likeness);
    best.filter(|(alike, _)| *alike >= ALIKE_MIN).map(|(_, name)| name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_was_meant_is_the_one_that_is_most_like_it() {
        let names = ["orders", "orders-dlq", "payments.fifo"].map(str::to_owned);
        assert_eq!(nearest("ordres", &names), Some("orders"));
        assert_eq!(nearest("orders-dql", &names), Some("orders-dlq"));
        assert_eq!(nearest("payment.fifo", &names), Some("payments.fifo"));
        assert_eq!(nearest("invoices", &names), None);
        assert_eq!(nearest("x", &[]), None);
    }

    #[test]
    fn a_name_is_what_a_url_or_an_arn_ends_in() {
        assert_eq!(name_of("http://localhost:9324/000000000000/a.fifo"), "a.fifo");
        assert_eq!(name_of("arn:aws:sqs:us-east-1:000000000000:a"), "a");
        assert_eq!(name_of("a"), "a");
    }
}
