//! Every number we promise, with its unit and its source.

/// A queue's name, `.fifo` included. Source: CreateQueue, `QueueName`.
pub const QUEUE_NAME_BYTES_MAX: usize = 80;

/// Messages one receive may return. Source: ReceiveMessage, `MaxNumberOfMessages`.
pub const RECEIVE_MESSAGES_MAX: usize = 10;

/// Entries of a batch. Source: TooManyEntriesInBatchRequest.
pub const BATCH_ENTRIES_MAX: usize = 10;

// A full receive can be acknowledged with a single DeleteMessageBatch.
const _: () = assert!(RECEIVE_MESSAGES_MAX <= BATCH_ENTRIES_MAX);

/// How long a message may stay in flight, counted from its receive, in seconds. Source: facts
/// sheet, 5.4.
pub const IN_FLIGHT_S_MAX: u32 = 12 * 60 * 60;

/// Messages in flight per queue, standard and FIFO. Source: facts sheet, 5.5.
pub const IN_FLIGHT_MESSAGES_MAX: usize = 120_000;
