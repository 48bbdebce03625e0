//! A policy document: the grammar that identity, session and queue policies share. Written out, it
//! has the order of members that AWS gives its own policies.

use std::fmt;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::operands::Operands;
use crate::model::queue::AccountId;

/// A policy: its statements, each of which may allow or deny something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Document {
    /// Which version of the language; without it, the older one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// What its author calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// At least one; their `Sid`s are distinct.
    #[serde(rename = "Statement")]
    pub statements: Vec<Statement>,
}

/// A version of the policy language. Only the newer one knows variables such as `${aws:username}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// What AddPermission writes.
    #[serde(rename = "2008-10-17")]
    V2008,
    /// What people write.
    #[serde(rename = "2012-10-17")]
    V2012,
}

/// Who may or may not do what to what, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What its author calls it: for AddPermission, the label.
    pub sid: Option<String>,
    /// What it does to requests that match.
    pub effect: Effect,
    /// Who; a queue policy says so, an identity's does not.
    pub principals: Option<Selection<Principal>>,
    /// What they do: `<service>:<action>`, compared without regard to case, where `*` and `?` are
    /// wildcards.
    pub actions: Selection<String>,
    /// To what: ARNs, in which `*` and `?` are wildcards.
    pub resources: Selection<String>,
    /// All of these must hold.
    pub conditions: Vec<Condition>,
}

/// What a statement that matches does to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Lets it pass, unless something denies it.
    Allow,
    /// Refuses it, whatever allows it.
    Deny,
}

/// Some of all there is: what `Action` lists, or all but what `NotAction` lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection<T> {
    /// Any of these; at least one.
    Any(Vec<T>),
    /// Everything but these; at least one.
    AllBut(Vec<T>),
}

/// Who makes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Everybody, also without a signature.
    Anyone,
    /// An account and everybody in it.
    Account {
        /// Of its ARN: `aws`, `aws-cn`.
        partition: String,
        /// The account.
        id: AccountId,
    },
    /// A user, a role or a role's session, by its ARN.
    Arn(String),
    /// A service, such as `sns.amazonaws.com`.
    Service(String),
    /// Somebody whom an identity provider knows.
    Federated(String),
    /// An account by its canonical user id.
    CanonicalUser(String),
}

/// Something that must hold for one key of the request's context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// How the key is compared.
    pub operator: Operator,
    /// Which key, as written; names of keys are compared without regard to case.
    pub key: String,
    /// With what; one of them suffices. Numbers and booleans are kept as text.
    pub values: Vec<String>,
    /// The same, as what the operator compares.
    pub operands: Operands,
}

/// How a condition compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operator {
    /// For keys that may have several values.
    pub quantifier: Option<Quantifier>,
    /// The comparison itself.
    pub test: Test,
    /// `…IfExists`: holds also where the request does not have the key.
    pub if_exists: bool,
}

/// Which of a key's values must pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    /// `ForAllValues:`
    All,
    /// `ForAnyValue:`
    Any,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named as in the policy language")]
pub enum Test {
    StringEquals,
    StringNotEquals,
    StringEqualsIgnoreCase,
    StringNotEqualsIgnoreCase,
    StringLike,
    StringNotLike,
    NumericEquals,
    NumericNotEquals,
    NumericLessThan,
    NumericLessThanEquals,
    NumericGreaterThan,
    NumericGreaterThanEquals,
    DateEquals,
    DateNotEquals,
    DateLessThan,
    DateLessThanEquals,
    DateGreaterThan,
    DateGreaterThanEquals,
    Bool,
    BinaryEquals,
    IpAddress,
    NotIpAddress,
    ArnEquals,
    ArnNotEquals,
    ArnLike,
    ArnNotLike,
    Null,
}

const TESTS: &[(&str, Test)] = &[
    ("StringEquals", Test::StringEquals),
    ("StringNotEquals", Test::StringNotEquals),
    ("StringEqualsIgnoreCase", Test::StringEqualsIgnoreCase),
    ("StringNotEqualsIgnoreCase", Test::StringNotEqualsIgnoreCase),
    ("StringLike", Test::StringLike),
    ("StringNotLike", Test::StringNotLike),
    ("NumericEquals", Test::NumericEquals),
    ("NumericNotEquals", Test::NumericNotEquals),
    ("NumericLessThan", Test::NumericLessThan),
    ("NumericLessThanEquals", Test::NumericLessThanEquals),
    ("NumericGreaterThan", Test::NumericGreaterThan),
    ("NumericGreaterThanEquals", Test::NumericGreaterThanEquals),
    ("DateEquals", Test::DateEquals),
    ("DateNotEquals", Test::DateNotEquals),
    ("DateLessThan", Test::DateLessThan),
    ("DateLessThanEquals", Test::DateLessThanEquals),
    ("DateGreaterThan", Test::DateGreaterThan),
    ("DateGreaterThanEquals", Test::DateGreaterThanEquals),
    ("Bool", Test::Bool),
    ("BinaryEquals", Test::BinaryEquals),
    ("IpAddress", Test::IpAddress),
    ("NotIpAddress", Test::NotIpAddress),
    ("ArnEquals", Test::ArnEquals),
    ("ArnNotEquals", Test::ArnNotEquals),
    ("ArnLike", Test::ArnLike),
    ("ArnNotLike", Test::ArnNotLike),
    ("Null", Test::Null),
];

impl<T> Selection<T> {
    /// What is listed, whether it is in or out.
    pub fn listed(&self) -> &[T] {
        match self {
            Selection::Any(list) | Selection::AllBut(list) => list,
        }
    }

    /// The name of the member that lists it.
    fn member(&self, any: &'static str, all_but: &'static str) -> &'static str {
        match self {
            Selection::Any(_) => any,
            Selection::AllBut(_) => all_but,
        }
    }
}

impl Principal {
    /// What stands under `AWS`: `*`, an account's id, or an ARN of IAM or STS.
    pub fn parse_aws(text: &str) -> Option<Principal> {
        if text == "*" {
            return Some(Principal::Anyone);
        }
        if let Some(id) = AccountId::parse(text) {
            return Some(Principal::Account { partition: "aws".into(), id });
        }
        let mut parts = text.splitn(6, ':');
        let (arn, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
        let (region, id, name) = (parts.next()?, AccountId::parse(parts.next()?)?, parts.next()?);
        let is_identity = arn == "arn" && region.is_empty() && matches!(service, "iam" | "sts");
        // A wildcard could be meant, but would not be one here: AWS refuses it too.
        if !is_identity || !partition.starts_with("aws") || name.is_empty() || name.contains('*') {
            return None;
        }
        match (service, name) {
            ("iam", "root") => Some(Principal::Account { partition: partition.into(), id }),
            _ => Some(Principal::Arn(text.into())),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Principal::Anyone | Principal::Account { .. } | Principal::Arn(_) => "AWS",
            Principal::Service(_) => "Service",
            Principal::Federated(_) => "Federated",
            Principal::CanonicalUser(_) => "CanonicalUser",
        }
    }
}

impl Condition {
    /// A condition, its values read.
    pub fn new(operator: Operator, key: String, values: Vec<String>) -> Condition {
        let operands = Operands::read(operator.test, &values);
        Condition { operator, key, values, operands }
    }
}

impl Operator {
    /// An operator by its name, in any case.
    pub fn parse(name: &str) -> Option<Operator> {
        let (quantifier, name) = match name.split_once(':') {
            None => (None, name),
            Some((all, name)) if all.eq_ignore_ascii_case("ForAllValues") => {
                (Some(Quantifier::All), name)
            }
            Some((any, name)) if any.eq_ignore_ascii_case("ForAnyValue") => {
                (Some(Quantifier::Any), name)
            }
            Some(_) => return None,
        };
        let find = |name: &str| TESTS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let split = name.len().checked_sub("IfExists".len());
        let suffixed = split.and_then(|at| name.split_at_checked(at));
        let (test, if_exists) = match suffixed {
            Some((stem, suffix)) if suffix.eq_ignore_ascii_case("IfExists") => {
                (find(stem)?.1, true)
            }
            _ => (find(name)?.1, false),
        };
        // `Null` is itself about whether the key is there.
        let alone = !if_exists && quantifier.is_none();
        (alone || test != Test::Null).then_some(Operator { quantifier, test, if_exists })
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.quantifier {
            None => "",
            Some(Quantifier::All) => "ForAllValues:",
            Some(Quantifier::Any) => "ForAnyValue:",
        })?;
        let name = TESTS.iter().find(|(_, test)| *test == self.test).map_or("", |(name, _)| name);
        f.write_str(name)?;
        f.write_str(if self.if_exists { "IfExists" } else { "" })
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Principal::Anyone => f.write_str("*"),
            Principal::Account { partition, id } => {
                write!(f, "arn:{partition}:iam::{}:root", id.as_str())
            }
            Principal::Arn(text)
            | Principal::Service(text)
            | Principal::Federated(text)
            | Principal::CanonicalUser(text) => f.write_str(text),
        }
    }
}

impl Serialize for Statement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Statement { sid, effect, principals, actions, resources, conditions } = self;
        let mut map = serializer.serialize_map(None)?;
        if let Some(sid) = sid {
            map.serialize_entry("Sid", sid)?;
        }
        map.serialize_entry("Effect", effect)?;
        if let Some(selection) = principals {
            let name = selection.member("Principal", "NotPrincipal");
            map.serialize_entry(name, &Principals(selection.listed()))?;
        }
        map.serialize_entry(actions.member("Action", "NotAction"), &List(actions.listed()))?;
        map.serialize_entry(
            resources.member("Resource", "NotResource"),
            &List(resources.listed()),
        )?;
        if !conditions.is_empty() {
            map.serialize_entry("Condition", &Conditions(conditions))?;
        }
        map.end()
    }
}

/// One by itself, several as a list: so AWS writes whatever may be either.
struct List<'a, T>(&'a [T]);

impl<T: Serialize> Serialize for List<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

struct Principals<'a>(&'a [Principal]);

impl Serialize for Principals<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let [Principal::Anyone] = self.0 {
            return serializer.serialize_str("*");
        }
        let mut map = serializer.serialize_map(None)?;
        for group in self.0.chunk_by(|a, b| a.kind() == b.kind()) {
            let names: Vec<String> = group.iter().map(Principal::to_string).collect();
            map.serialize_entry(group[0].kind(), &List(&names))?;
        }
        map.end()
    }
}

/// By operator, in the order in which they were written.
struct Conditions<'a>(&'a [Condition]);

impl Serialize for Conditions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Group<'a>(&'a [Condition]);
        impl Serialize for Group<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.iter().map(|one| (&one.key, List(&one.values))))
            }
        }
        let groups = self.0.chunk_by(|a, b| a.operator == b.operator);
        serializer.collect_map(groups.map(|group| (group[0].operator.to_string(), Group(group))))
    }
}
