//! What a policy can allow on a queue. Source: facts sheet, 10.1 and 10.3.

/// One permission, named after its action. A batch needs the permission of the single action.
#[derive(Debug, PartialEq, Eq)]
pub struct SqsAction {
    /// Behind `sqs:`.
    pub name: &'static str,
    /// Other accounts may be given it; everything else is the owner's alone.
    pub shareable: bool,
}

/// Every permission there is, in the order of their names.
pub const SQS_ACTIONS: &[SqsAction] = &[
    owner("AddPermission"),
    owner("CancelMessageMoveTask"),
    shared("ChangeMessageVisibility"),
    owner("CreateQueue"),
    shared("DeleteMessage"),
    owner("DeleteQueue"),
    shared("GetQueueAttributes"),
    shared("GetQueueUrl"),
    shared("ListDeadLetterSourceQueues"),
    owner("ListMessageMoveTasks"),
    owner("ListQueueTags"),
    owner("ListQueues"),
    shared("PurgeQueue"),
    shared("ReceiveMessage"),
    owner("RemovePermission"),
    shared("SendMessage"),
    owner("SetQueueAttributes"),
    owner("StartMessageMoveTask"),
    owner("TagQueue"),
    owner("UntagQueue"),
];

const fn shared(name: &'static str) -> SqsAction {
    SqsAction { name, shareable: true }
}

const fn owner(name: &'static str) -> SqsAction {
    SqsAction { name, shareable: false }
}

/// The permission of a name without its prefix, in any case.
pub fn find(name: &str) -> Option<&'static SqsAction> {
    SQS_ACTIONS.iter().find(|action| action.name.eq_ignore_ascii_case(name))
}
