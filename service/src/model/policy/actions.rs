//! What a policy can allow: the permissions of Amazon SQS, and those of our own actions. Source:
//! facts sheet, 10.1 and 10.3.

use std::fmt;

/// One permission, which an action of the same name needs. A batch needs that of the single action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// `sqs`, or `stanchion` for what is not an action of AWS.
    pub service: &'static str,
    /// Behind the colon.
    pub name: &'static str,
    /// Who can be given it, and by what.
    pub scope: Scope,
}

/// To what a permission applies, and whose it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A queue, whose policy may give it to anybody.
    Shared,
    /// A queue, or all of an account's, whose policy may give it within the account.
    Owner,
    /// A queue; its policy gives it to nobody, only policies of identities in its account do.
    Operator,
    /// What belongs to an account beside queues; as with `Operator`.
    Account,
    /// The server with all its accounts: only identities of the server's own account have it.
    Server,
    /// A role. The role says who may take it; policies of identities, who of them does.
    Role,
}

/// Every permission of Amazon SQS, in the order of their names.
pub const SQS_ACTIONS: &[Permission] = &[
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

const fn shared(name: &'static str) -> Permission {
    Permission { service: "sqs", name, scope: Scope::Shared }
}

const fn owner(name: &'static str) -> Permission {
    Permission { service: "sqs", name, scope: Scope::Owner }
}

impl Permission {
    /// The permission of Amazon SQS that has this name; in a constant, so that one that does not
    /// exist is found by the compiler.
    pub const fn sqs(name: &str) -> Permission {
        let mut at = 0;
        while at < SQS_ACTIONS.len() {
            if is_same(SQS_ACTIONS[at].name.as_bytes(), name.as_bytes()) {
                return SQS_ACTIONS[at];
            }
            at += 1;
        }
        panic!("Amazon SQS has no such permission")
    }

    /// What an action of our own does to a queue.
    pub const fn operator(name: &'static str) -> Permission {
        Permission { service: "stanchion", name, scope: Scope::Operator }
    }

    /// What an action of our own does within an account.
    pub const fn account(name: &'static str) -> Permission {
        Permission { service: "stanchion", name, scope: Scope::Account }
    }

    /// What an action of our own does to the server.
    pub const fn server(name: &'static str) -> Permission {
        Permission { service: "stanchion", name, scope: Scope::Server }
    }

    /// What an action of STS does with a role.
    pub const fn role(name: &'static str) -> Permission {
        Permission { service: "sts", name, scope: Scope::Role }
    }

    /// Whether it is not one of AWS.
    pub fn is_ours(&self) -> bool {
        self.service == "stanchion"
    }

    /// Whether it is about messages as they come and go, of which there are many, rather than about
    /// queues and what operators do.
    pub fn is_of_data(&self) -> bool {
        let names = ["ChangeMessageVisibility", "DeleteMessage", "ReceiveMessage", "SendMessage"];
        self.service == "sqs" && names.contains(&self.name)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.name)
    }
}

/// The slices' own comparison cannot be used in constants.
const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// The permission of Amazon SQS of a name without its prefix, in any case.
pub fn find(name: &str) -> Option<&'static Permission> {
    SQS_ACTIONS.iter().find(|action| action.name.eq_ignore_ascii_case(name))
}
