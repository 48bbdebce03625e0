//! Queues by their names, and what to say about a name that is none.

use std::cmp::Ordering;

use stanchion_sdk::actions::queues::ListQueues;
use stanchion_sdk::{Attributes, Client, Error, GetQueueAttributes};

use crate::args::Global;
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
    if !client.is_amazon() {
        let mut request = GetQueueAttributes::all(queue);
        request.attribute_names.extend(OWN_ATTRIBUTES.map(str::to_owned));
        match client.get_queue_attributes(request).await {
            // Somebody else's server.
            Err(error) if error.code() == Some("InvalidAttributeName") => {}
            answer => return Ok(answer?.attributes),
        }
    }
    attributes_of_sqs(client, queue).await
}

/// Everything about a queue of a server that is not Stanchion.
pub(crate) async fn attributes_of_sqs(client: &Client, queue: &str) -> Result<Attributes, Error> {
    Ok(client.get_queue_attributes(GetQueueAttributes::all(queue)).await?.attributes)
}

/// An attribute that is a number.
pub(crate) fn number(attributes: &Attributes, name: &str) -> Option<u64> {
    attributes.get(name)?.parse().ok()
}

/// How many messages a queue has, by their state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Depth {
    /// To be received.
    pub(crate) available: u64,
    /// Received, and neither deleted nor returned.
    pub(crate) in_flight: u64,
    /// Not to be received yet.
    pub(crate) delayed: u64,
}

impl Depth {
    /// Of a queue with these attributes; what they do not say is zero.
    pub(crate) fn of(attributes: &Attributes) -> Depth {
        let count = |name| number(attributes, name).unwrap_or(0);
        Depth {
            available: count("ApproximateNumberOfMessages"),
            in_flight: count("ApproximateNumberOfMessagesNotVisible"),
            delayed: count("ApproximateNumberOfMessagesDelayed"),
        }
    }

    /// All of them.
    pub(crate) fn total(self) -> u64 {
        self.available + self.in_flight + self.delayed
    }
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

/// Where a command failed for want of a queue, and one of those it `named` is missing: says which name
/// may have been meant.
pub(crate) async fn suggest(failure: Failure, global: &Global, named: &[String]) -> Failure {
    let Failure::MissingQueue { message, hint } = failure else { return failure };
    let Ok(target) = Target::resolve(global).await else {
        return Failure::MissingQueue { message, hint };
    };
    let Some((wanted, meant)) = meant(&target, named).await else {
        // They are there: what is missing is another one.
        return Failure::MissingQueue { message, hint };
    };
    let message = format!("there is no queue {wanted:?} on {} ({message})", target.name);
    let hint = hint.map_or(meant.clone(), |hint| format!("{meant} ({hint})"));
    Failure::MissingQueue { message, hint: Some(hint) }
}

/// The first of these queues that is missing, and what to say about its name.
pub(crate) async fn meant<'a>(target: &Target, named: &'a [String]) -> Option<(&'a str, String)> {
    let names = names(&target.client, None, LOOKED_THROUGH_MAX).await.ok()?;
    let missing = |wanted: &&str| !names.iter().any(|name| name == wanted);
    let wanted = named.iter().map(|queue| name_of(queue)).find(missing)?;
    let meant = match nearest(wanted, &names) {
        Some(name) => format!("did you mean {name}?"),
        None if names.is_empty() => format!("there are no queues on {} yet", target.name),
        None => "`stanchion queue ls` lists the queues".into(),
    };
    Some((wanted, meant))
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
