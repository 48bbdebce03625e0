//! Looks through a queue page by page, without a trace in it.

use stanchion_sdk::Client;
use stanchion_sdk::actions::own::messages::{Filter, PeekMessages, PeekedMessage};

use crate::failure::Failure;

/// The most that a page has.
const PAGE: u32 = 100;

/// Where a walk through a queue is.
#[derive(Debug)]
pub(crate) struct Pages<'a> {
    client: &'a Client,
    request: PeekMessages,
    ended: bool,
}

impl<'a> Pages<'a> {
    /// From the oldest message on.
    pub(crate) fn oldest(client: &'a Client, queue: &str, filter: Option<Filter>) -> Pages<'a> {
        let request = PeekMessages { filter, max_results: Some(PAGE), ..PeekMessages::new(queue) };
        Pages { client, request, ended: false }
    }

    /// From what arrives from now on.
    pub(crate) fn now(client: &'a Client, queue: &str, filter: Option<Filter>) -> Pages<'a> {
        let mut pages = Pages::oldest(client, queue, filter);
        pages.request.start_from = Some("Now".into());
        pages
    }

    /// The same, with smaller pages.
    pub(crate) fn of_at_most(mut self, messages: u64) -> Pages<'a> {
        let most = u32::try_from(messages).unwrap_or(PAGE);
        self.request.max_results = Some(most.clamp(1, PAGE));
        self
    }

    /// Another page, possibly an empty one; none at the end of the queue.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<PeekedMessage>>, Failure> {
        if self.ended {
            return Ok(None);
        }
        let page = self.client.peek_messages(self.request.clone()).await?;
        self.ended = page.next_token.is_none();
        self.request.start_from = None;
        self.request.next_token = page.next_token.or(page.tail_token);
        Ok(Some(page.messages))
    }

    /// Goes on with what arrives after the end, and waits for it so long with each page.
    pub(crate) fn follow(&mut self, wait_seconds: u32) {
        self.request.wait_time_seconds = Some(wait_seconds);
        self.ended = false;
    }
}
