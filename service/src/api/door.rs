//! The door to queues and to everything else: whoever wants to do something is asked by what right,
//! before it is looked at or even looked for. Source: facts sheet, 10.6 and 10.7.

use std::sync::Arc;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::api::call::{Call, required};
use crate::audit::Note;
use crate::env::{Clock, SystemClock};
use crate::error::Error;
use crate::keyring::NoAnswer;
use crate::model::caller::Identity;
use crate::model::policy::actions::{Permission, Scope};
use crate::model::policy::context::Context;
use crate::model::policy::evaluate::{Decision, PolicyKind, Question, Resource, Verdict, decide};
use crate::model::queue::{AccountId, QueueKey};
use crate::shard::handle::{QueueInfo, Tags};

const CREATE_QUEUE: Permission = Permission::sqs("CreateQueue");
const TAG_QUEUE: Permission = Permission::sqs("TagQueue");

/// The tags that a request brings along, which conditions may ask about.
#[derive(Clone, Copy)]
pub enum TagsGiven<'a> {
    /// It does not deal with tags.
    None,
    /// Tags to set.
    Pairs(&'a Tags),
    /// Tags to remove, by their keys.
    Keys(&'a [String]),
}

impl Call<'_> {
    /// The queue that a `QueueUrl` parameter means, for whoever may do to it what this action does.
    pub fn queue(&self, url: Option<&str>) -> Result<Arc<QueueInfo>, Error> {
        self.queue_for(self.permission, url)
    }

    /// The same, where the action also does something that needs another permission.
    pub fn queue_for(
        &self,
        permission: Permission,
        url: Option<&str>,
    ) -> Result<Arc<QueueInfo>, Error> {
        self.find_given(permission, &self.queue_key(url)?, url, TagsGiven::None)
    }

    /// The same as [`Call::queue`], for what seals or opens messages: their key must be there.
    pub fn queue_with_key(&self, url: Option<&str>) -> Result<Arc<QueueInfo>, Error> {
        let queue = self.queue(url)?;
        if let Some(id) = &queue.settings.kms_key_id
            && self.app.limits.kms_keys_must_exist
        {
            let answer = self.app.shards.keyring().answering_to(id);
            answer.map_err(|why| match why {
                NoAnswer::Unknown => Error::KmsNotFound(id.clone()),
                NoAnswer::Disabled => Error::KmsDisabled(id.clone()),
            })?;
        }
        Ok(queue)
    }

    /// The same as [`Call::queue`], of an action that changes tags.
    pub fn queue_given(
        &self,
        url: Option<&str>,
        tags: TagsGiven<'_>,
    ) -> Result<Arc<QueueInfo>, Error> {
        self.find_given(self.permission, &self.queue_key(url)?, url, tags)
    }

    /// A queue by its name, for whoever has a permission on it.
    pub fn find(&self, permission: Permission, key: &QueueKey) -> Result<Arc<QueueInfo>, Error> {
        self.find_given(permission, key, None, TagsGiven::None)
    }

    /// The name of the queue that a `QueueUrl` parameter means. Nothing is asked yet.
    pub fn queue_key(&self, url: Option<&str>) -> Result<QueueKey, Error> {
        QueueKey::parse_url(required(url, "QueueUrl")?, &self.account, &self.region)
    }

    fn find_given(
        &self,
        permission: Permission,
        key: &QueueKey,
        url: Option<&str>,
        tags: TagsGiven<'_>,
    ) -> Result<Arc<QueueInfo>, Error> {
        let found = self.app.shards.find(key);
        if found.is_none() && self.is_from_elsewhere(key) {
            return Err(Error::QueueOutOfReach);
        }
        // Who may not is told so, whether there is such a queue or not.
        self.ask(permission, Asked::Queue(key, found.as_deref(), tags))?;
        let found = found.ok_or_else(|| {
            self.hint_at_other_regions(key, url.unwrap_or_default());
            Error::QueueDoesNotExist
        })?;
        // Only now: whoever may not do anything to a queue cannot use up what others may.
        self.app.throttle.admit_queue(&found)?;
        Ok(found)
    }

    /// Whether somebody asks for a queue of another account than their own.
    fn is_from_elsewhere(&self, key: &QueueKey) -> bool {
        self.app.authorises() && self.caller.account().is_some_and(|own| *own != key.account)
    }

    /// For actions that are about more than one queue: what an account has, or the server.
    pub fn ask_for_all(&self) -> Result<(), Error> {
        self.ask(self.permission, Asked::All)
    }

    /// For actions that are about a role, by its ARN: whether the caller's own policies allow it. What
    /// the role says is another question.
    pub fn ask_for_role(&self, arn: &str) -> Result<(), Error> {
        self.ask(self.permission, Asked::Role(arn))
    }

    /// For a queue that is to be made, with its tags.
    pub fn ask_to_create(&self, key: &QueueKey, tags: &Tags) -> Result<(), Error> {
        let existing = self.app.shards.find(key);
        let asked = Asked::Queue(key, existing.as_deref(), TagsGiven::Pairs(tags));
        self.ask(CREATE_QUEUE, asked)?;
        match tags.is_empty() {
            true => Ok(()),
            false => self.ask(TAG_QUEUE, asked),
        }
    }

    /// Whether the caller may make a queue, which was not what they asked for.
    pub fn may_create(&self, key: &QueueKey, tags: &Tags) -> bool {
        let asked = Asked::Queue(key, None, TagsGiven::Pairs(tags));
        let may = |permission| self.decide(permission, asked, |decision| decision.is_allowed());
        !self.app.authorises() || may(CREATE_QUEUE) && (tags.is_empty() || may(TAG_QUEUE))
    }

    fn ask(&self, permission: Permission, asked: Asked<'_>) -> Result<(), Error> {
        // Without authentication everybody may do everything.
        let is_asked = self.app.authorises() && !(permission.is_ours() && self.is_root());
        if !is_asked && self.record.is_none() {
            return Ok(());
        }
        let resource = || match asked {
            Asked::Queue(key, ..) => key.arn(),
            Asked::Role(arn) => arn.into(),
            Asked::All => "*".into(),
        };
        let note = |refused: bool, by: Option<String>| {
            if let Some(record) = self.record {
                let (action, resource) = (permission.to_string(), resource());
                record.note(Note { action, resource, refused, by });
            }
        };
        if !is_asked {
            note(false, None);
            return Ok(());
        }
        self.decide(permission, asked, |decision| {
            note(!decision.is_allowed(), decision.by.map(|by| by.to_string()));
            match decision.is_allowed() {
                true => Ok(()),
                false => Err(self.refusal(permission, asked, decision)),
            }
        })
    }

    fn decide<T>(
        &self,
        permission: Permission,
        asked: Asked<'_>,
        then: impl FnOnce(&Decision<'_>) -> T,
    ) -> T {
        let resource = match asked {
            Asked::Queue(key, found, _) => {
                let policy = found.and_then(|queue| queue.settings.policy.as_ref());
                Resource::Queue { key, policy: policy.map(|policy| policy.document()) }
            }
            Asked::Role(arn) => Resource::Other { account: &self.account, arn },
            // What concerns every account is for the people of the server's own.
            Asked::All if permission.scope == Scope::Server => Resource::All(&self.app.account),
            Asked::All => Resource::All(&self.account),
        };
        let context = &Circumstances { call: self, asked };
        then(&decide(&Question { caller: &self.caller, permission, resource, context }))
    }

    /// What AWS says to whom it refuses.
    fn refusal(&self, permission: Permission, asked: Asked<'_>, decision: &Decision<'_>) -> Error {
        let (url, resource) = match asked {
            Asked::Queue(key, ..) => (self.queue_url(key), key.arn()),
            Asked::Role(arn) => (self.base_url(), arn.into()),
            Asked::All => (self.base_url(), "*".into()),
        };
        let Some(arn) = self.caller.arn() else {
            // Whoever it is, only with a signature.
            return match permission.is_ours() {
                true => Error::MissingAuthenticationToken,
                false => {
                    Error::AccessDenied(format!("Access to the resource {url} is denied.").into())
                }
            };
        };
        let action = permission.to_string().to_ascii_lowercase();
        let why: String = match decision.verdict {
            Verdict::Refused(PolicyKind::Identity) => {
                " with an explicit deny in an identity-based policy".into()
            }
            Verdict::Refused(kind) => format!(" with an explicit deny in a {}", kind.name()),
            Verdict::NotAllowed(kind) => {
                format!(" because no {} allows the {action} action", kind.name())
            }
            Verdict::Allowed => String::new(),
        };
        let text = format!(
            "User: {arn} is not authorized to perform: {action} on resource: {resource}{why}"
        );
        Error::AccessDenied(text.into())
    }

    /// Whether the caller may do what concerns every account: the owner of the server's own, who is
    /// everybody while authentication is off.
    pub fn is_root(&self) -> bool {
        matches!(&self.caller.identity, Identity::Root(account) if *account == self.app.account)
    }

    /// Whether the caller may do whatever there is to do to an account: its owner, or root.
    pub fn is_root_of(&self, account: &AccountId) -> bool {
        self.is_root() || matches!(&self.caller.identity, Identity::Root(own) if own == account)
    }
}

/// What a permission is asked for.
#[derive(Clone, Copy)]
enum Asked<'a> {
    /// A queue, if there is one of that name.
    Queue(&'a QueueKey, Option<&'a QueueInfo>, TagsGiven<'a>),
    /// A role, by its ARN, which need not exist.
    Role(&'a str),
    /// What an account has, or the server.
    All,
}

/// What conditions may ask about a request.
struct Circumstances<'a> {
    call: &'a Call<'a>,
    asked: Asked<'a>,
}

impl Context for Circumstances<'_> {
    fn values(&self, key: &str) -> Vec<String> {
        let Circumstances { call, asked } = self;
        let (queue, given) = match asked {
            Asked::Queue(_, queue, given) => (*queue, *given),
            Asked::Role(_) | Asked::All => (None, TagsGiven::None),
        };
        let (name, tag) = key.split_once('/').unwrap_or((key, ""));
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let one = |value: Option<String>| value.into_iter().collect();
        match () {
            () if is("aws:SourceIp") => one(Some(call.source.to_string())),
            () if is("aws:UserAgent") => one(call.user_agent.as_deref().map(String::from)),
            () if is("aws:SecureTransport") => {
                one(Some((call.origin.scheme == "https").to_string()))
            }
            () if is("aws:EpochTime") => one(Some(SystemClock.wall().as_secs().to_string())),
            () if is("aws:CurrentTime") => one(now()),
            () if is("aws:ResourceTag") => {
                queue.map_or_else(Vec::new, |queue| tagged(&queue.tags, tag))
            }
            () if is("aws:RequestTag") => match given {
                TagsGiven::Pairs(tags) => tagged(tags, tag),
                TagsGiven::None | TagsGiven::Keys(_) => Vec::new(),
            },
            () if is("aws:TagKeys") => match given {
                TagsGiven::None => Vec::new(),
                TagsGiven::Pairs(tags) => tags.keys().cloned().collect(),
                TagsGiven::Keys(keys) => keys.to_vec(),
            },
            () => Vec::new(),
        }
    }
}

/// The value of a tag. Keys in conditions know no case, those of tags do: there may be several.
pub fn tagged(tags: &Tags, key: &str) -> Vec<String> {
    let same = tags.iter().filter(|(name, _)| name.eq_ignore_ascii_case(key));
    same.map(|(_, value)| value.clone()).collect()
}

/// The real time: what a policy says about dates is not for a virtual clock.
fn now() -> Option<String> {
    let seconds = i64::try_from(SystemClock.wall().as_secs()).ok()?;
    OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests;
