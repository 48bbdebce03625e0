//! ListQueues.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::Action;
use crate::api::call::Call;
use crate::error::Error;
use crate::limits::LIST_RESULTS_MAX;
use crate::model::policy::actions::Permission;
use crate::model::queue::QueueName;

/// Lists the queues of the caller's account and region, in the order of their names.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListQueues {
    queue_name_prefix: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// Queues by URL, and where to go on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListQueuesOutput {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    queue_urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

impl Action for ListQueues {
    const NAME: &'static str = "ListQueues";
    const PERMISSION: Permission = Permission::sqs("ListQueues");
    type Output = ListQueuesOutput;

    async fn run(self, call: &Call<'_>) -> Result<ListQueuesOutput, Error> {
        call.ask_for_all()?;
        let page = Page::parse(self.max_results, self.next_token)?;
        let prefix = self.queue_name_prefix.unwrap_or_default();
        let queues = call.app.shards.list(
            &call.account,
            &call.region,
            &prefix,
            page.after.as_ref(),
            page.max + 1,
        );
        let next_token = page.next_token(queues.iter().map(|queue| &queue.key.name));
        let urls = queues.iter().take(page.max).map(|queue| call.queue_url(&queue.key));
        Ok(ListQueuesOutput { queue_urls: urls.collect(), next_token })
    }
}

/// Which part of a listing is asked for. The token is the last name of the page before.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// At most so many.
    pub max: usize,
    /// Names after this one.
    pub after: Option<QueueName>,
    wants_token: bool,
}

impl Page {
    /// `MaxResults` and `NextToken` of a listing of queues.
    pub fn parse(max_results: Option<i64>, next_token: Option<String>) -> Result<Page, Error> {
        let wants_token = max_results.is_some();
        let max = self::max_results(max_results, LIST_RESULTS_MAX, LIST_RESULTS_MAX)?;
        let read = |token: &str| {
            let name = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
            QueueName::parse(&name).ok()
        };
        let after =
            match next_token.filter(|token| !token.is_empty()) {
                None => None,
                Some(token) => Some(read(&token).ok_or_else(|| {
                    Error::InvalidParameter("Invalid or expired next token.".into())
                })?),
            };
        Ok(Page { max, after, wants_token })
    }

    /// The token of the next page, given one name more than fits into this one, if there is one.
    /// Who does not say how many to list never gets a token.
    pub fn next_token<'a>(&self, names: impl Iterator<Item = &'a QueueName>) -> Option<String> {
        let mut names = names.skip(self.max - 1);
        let (last, _more) = (names.next()?, names.next()?);
        self.wants_token.then(|| Page::token(last))
    }

    /// The token of a page that begins after a name.
    pub fn token(after: &QueueName) -> String {
        URL_SAFE_NO_PAD.encode(after.as_str())
    }
}

/// `MaxResults` of any listing: from one to a maximum.
pub fn max_results(given: Option<i64>, max: usize, default: usize) -> Result<usize, Error> {
    let Some(given) = given else { return Ok(default) };
    let legal = usize::try_from(given).ok().filter(|given| (1..=max).contains(given));
    legal.ok_or_else(|| {
        let reason = format!("Must be between 1 and {max}, if provided.");
        Error::invalid("MaxResults", given, reason)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_a_gap() {
        let names: Vec<_> = ["a", "b", "c"].map(|name| QueueName::parse(name).unwrap()).into();
        let first = Page::parse(Some(2), None).unwrap();
        let token = first.next_token(names.iter());
        let second = Page::parse(Some(2), token).unwrap();
        assert_eq!(second.after, Some(names[1].clone()));
        assert_eq!(second.next_token(names[2..].iter()), None);
    }

    #[test]
    fn without_a_maximum_there_is_never_a_token() {
        let names: Vec<_> =
            (0..1001).map(|n| QueueName::parse(&format!("q{n:04}")).unwrap()).collect();
        assert_eq!(Page::parse(None, None).unwrap().next_token(names.iter()), None);
        assert!(Page::parse(Some(1000), None).unwrap().next_token(names.iter()).is_some());
    }

    #[test]
    fn a_maximum_has_its_range() {
        assert_eq!(max_results(None, 100, 10), Ok(10));
        assert_eq!(max_results(Some(100), 100, 10), Ok(100));
        for odd in [0, 101, -1, i64::MIN] {
            assert!(max_results(Some(odd), 100, 10).is_err(), "{odd}");
        }
    }

    #[test]
    fn maxima_and_tokens_out_of_range_are_refused() {
        for max in [0, 1001, -1, i64::MAX] {
            assert!(Page::parse(Some(max), None).is_err(), "{max}");
        }
        for token in ["!", "AAAA", "a=="] {
            assert!(Page::parse(None, Some(token.into())).is_err(), "{token}");
        }
    }
}
