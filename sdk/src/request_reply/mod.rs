//! Questions and answers over queues: a [`Requester`] sends a request and gets its reply back, a
//! [`Replier`] answers. Each requester has a reply queue of its own, and any number of requests in
//! flight over it.
//!
//! What travels with a request, as message attributes of type `String`; a reply has the first one:
//!
//! | attribute | |
//! | --- | --- |
//! | [`CORRELATION_ID`] `Stanchion.CorrelationId` | which request a reply is to, unique |
//! | [`REPLY_TO`] `Stanchion.ReplyTo` | the URL of the queue that the reply is to be sent to |

mod pending;
mod replier;
mod requester;

pub use replier::{Replier, ReplierBuilder, ReplyError};
pub use requester::{RequestError, Requester, RequesterBuilder};

/// The message attribute that says which request a reply is to.
pub const CORRELATION_ID: &str = "Stanchion.CorrelationId";

/// The message attribute with the URL of the queue that a reply is to be sent to.
pub const REPLY_TO: &str = "Stanchion.ReplyTo";

/// The queue attribute with the seconds after which a queue that nobody used is deleted.
const EXPIRE_AFTER_IDLE: &str = "Stanchion.ExpireAfterIdle";
