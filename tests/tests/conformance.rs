//! Every action with its defaults, shapes, limits and errors, through the unmodified AWS SDK, and
//! by hand where the SDK cannot make the bad input.

mod batches;
mod messages;
mod policies;
mod protocol;
mod queues;
mod visibility;
