//! Policies are read strictly: a member that is unknown, there twice or of the wrong type is never
//! passed over, because it may be what was meant to keep somebody out.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use super::document::{
    Condition, Document, Effect, Operator, Principal, Selection, Statement, Version,
};

impl Document {
    /// A policy as people write it; `None` where it is none. What a kind of policy demands beyond
    /// the grammar, such as principals, is not looked at.
    pub fn parse(text: &str) -> Option<Document> {
        let Object(RawDocument { version, id, statement }) = serde_json::from_str(text).ok()?;
        let raw: Vec<Object<RawStatement>> = statement.into();
        let statements: Vec<_> =
            raw.into_iter().map(|Object(raw)| raw.parse()).collect::<Option<_>>()?;
        let sids: Vec<_> = statements.iter().filter_map(|one| one.sid.as_ref()).collect();
        let distinct = sids.iter().enumerate().all(|(at, sid)| !sids[..at].contains(sid));
        (distinct && !statements.is_empty()).then_some(Document { version, id, statements })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RawDocument {
    #[serde(default, deserialize_with = "present")]
    version: Option<Version>,
    #[serde(default, deserialize_with = "present")]
    id: Option<String>,
    statement: OneOrMany<Object<RawStatement>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RawStatement {
    #[serde(default, deserialize_with = "present")]
    sid: Option<String>,
    effect: Effect,
    #[serde(default, deserialize_with = "present")]
    principal: Option<RawPrincipals>,
    #[serde(default, deserialize_with = "present")]
    not_principal: Option<RawPrincipals>,
    #[serde(default, deserialize_with = "present")]
    action: Option<OneOrMany<String>>,
    #[serde(default, deserialize_with = "present")]
    not_action: Option<OneOrMany<String>>,
    #[serde(default, deserialize_with = "present")]
    resource: Option<OneOrMany<String>>,
    #[serde(default, deserialize_with = "present")]
    not_resource: Option<OneOrMany<String>>,
    #[serde(default, deserialize_with = "present")]
    condition: Option<Pairs<Pairs<OneOrMany<Scalar>>>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawPrincipals {
    Text(String),
    ByKind(Object<PrincipalsByKind>),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PrincipalsByKind {
    #[serde(rename = "AWS")]
    #[serde(default, deserialize_with = "present")]
    aws: Option<OneOrMany<String>>,
    #[serde(default, deserialize_with = "present")]
    service: Option<OneOrMany<String>>,
    #[serde(default, deserialize_with = "present")]
    federated: Option<OneOrMany<String>>,
    #[serde(default, deserialize_with = "present")]
    canonical_user: Option<OneOrMany<String>>,
}

/// Quotation marks around numbers and booleans are optional.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Number(serde_json::Number),
    Bool(bool),
}

impl RawStatement {
    fn parse(self) -> Option<Statement> {
        let principals = |raw: Option<RawPrincipals>| match raw {
            Some(raw) => raw.parse().map(Some),
            None => Some(None),
        };
        let principals = (principals(self.principal)?, principals(self.not_principal)?);
        let texts = |raw: Option<OneOrMany<String>>| raw.map(Vec::from);
        Some(Statement {
            sid: self.sid,
            effect: self.effect,
            principals: match principals {
                (None, None) => None,
                (any, all_but) => Some(select(any, all_but)?),
            },
            actions: select(texts(self.action), texts(self.not_action))?,
            resources: select(texts(self.resource), texts(self.not_resource))?,
            conditions: parse_conditions(self.condition.unwrap_or_default())?,
        })
    }
}

impl RawPrincipals {
    fn parse(self) -> Option<Vec<Principal>> {
        let RawPrincipals::ByKind(Object(PrincipalsByKind {
            aws,
            service,
            federated,
            canonical_user,
        })) = self
        else {
            let RawPrincipals::Text(text) = self else { return None };
            return (text == "*").then(|| vec![Principal::Anyone]);
        };
        let each = |raw: Option<OneOrMany<String>>| raw.map(Vec::from).unwrap_or_default();
        let service_name = |name: &String| {
            let legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b".-".contains(&c);
            !name.is_empty() && name.bytes().all(legal)
        };
        let mut all: Vec<_> =
            each(aws).iter().map(|text| Principal::parse_aws(text)).collect::<Option<_>>()?;
        for name in each(service) {
            all.push(Some(name).filter(service_name).map(Principal::Service)?);
        }
        let named = |name: &String| !name.is_empty();
        for name in each(federated) {
            all.push(Some(name).filter(named).map(Principal::Federated)?);
        }
        for id in each(canonical_user) {
            all.push(Some(id).filter(named).map(Principal::CanonicalUser)?);
        }
        Some(all)
    }
}

/// Exactly one of the two members must be there, and list something.
fn select<T>(any: Option<Vec<T>>, all_but: Option<Vec<T>>) -> Option<Selection<T>> {
    let selection = match (any, all_but) {
        (Some(list), None) => Selection::Any(list),
        (None, Some(list)) => Selection::AllBut(list),
        _ => return None,
    };
    (!selection.listed().is_empty()).then_some(selection)
}

fn parse_conditions(Pairs(raw): Pairs<Pairs<OneOrMany<Scalar>>>) -> Option<Vec<Condition>> {
    let mut conditions: Vec<Condition> = Vec::new();
    for (operator, Pairs(keys)) in raw {
        let operator = Operator::parse(&operator)?;
        // Names in another case are the same operator, which may be there once.
        if conditions.iter().any(|one| one.operator == operator) {
            return None;
        }
        for (key, values) in keys {
            let values: Vec<_> = Vec::from(values).into_iter().map(Scalar::into_text).collect();
            if key.is_empty() || values.is_empty() {
                return None;
            }
            conditions.push(Condition::new(operator, key, values));
        }
    }
    Some(conditions)
}

impl Scalar {
    fn into_text(self) -> String {
        match self {
            Scalar::Text(text) => text,
            Scalar::Number(number) => number.to_string(),
            Scalar::Bool(bool) => bool.to_string(),
        }
    }
}

/// A member that may be missing. One that is there and `null` is not missing: it is of the wrong type.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    value: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> From<OneOrMany<T>> for Vec<T> {
    fn from(raw: OneOrMany<T>) -> Vec<T> {
        match raw {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

/// A struct from an object alone: serde would also take a list, its elements for the members.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// An object whose members have names of their own, in order, none of them twice.
struct Pairs<T>(Vec<(String, T)>);

impl<T> Default for Pairs<T> {
    fn default() -> Pairs<T> {
        Pairs(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pairs<T>, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Pairs<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<T>, A::Error> {
                let mut pairs: Vec<(String, T)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, T>()? {
                    // Quadratic, but a policy has at most 8192 bytes.
                    if pairs.iter().any(|(other, _)| *other == name) {
                        return Err(A::Error::custom("a member is there twice"));
                    }
                    pairs.push((name, value));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Members(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::policy::document::{Quantifier, Test};

    fn statement(members: &str) -> Option<Statement> {
        let text = format!(r#"{{"Statement":[{{"Effect":"Allow",{members}}}]}}"#);
        Document::parse(&text).map(|mut document| document.statements.remove(0))
    }

    fn principals(json: &str) -> Option<Vec<Principal>> {
        let members = format!(r#""Principal":{json},"Action":"*","Resource":"*""#);
        Some(statement(&members)?.principals?.listed().to_vec())
    }

    fn conditions(json: &str) -> Option<Vec<Condition>> {
        Some(statement(&format!(r#""Action":"*","Resource":"*","Condition":{json}"#))?.conditions)
    }

    #[test]
    fn a_document_is_read_whole() {
        let document = Document::parse(
            r#"{"Version":"2012-10-17","Id":"mine","Statement":[
                {"Sid":"a","Effect":"Allow","Principal":{"AWS":["111122223333"]},
                 "Action":["sqs:SendMessage","sqs:Receive*"],"Resource":"arn:aws:sqs:*:*:q",
                 "Condition":{"ArnLike":{"aws:SourceArn":["a","b"]}}},
                {"Effect":"Deny","NotAction":"sqs:*","NotResource":["*"]}]}"#,
        )
        .unwrap();
        assert_eq!(
            (document.version, document.id.as_deref()),
            (Some(Version::V2012), Some("mine"))
        );
        let [first, second] = &document.statements[..] else { panic!("{document:?}") };
        assert_eq!(first.sid.as_deref(), Some("a"));
        assert_eq!(first.actions.listed(), ["sqs:SendMessage", "sqs:Receive*"]);
        assert_eq!(first.conditions[0].values, ["a", "b"]);
        assert_eq!((second.effect, &second.principals), (Effect::Deny, &None));
        assert_eq!(second.actions, Selection::AllBut(vec!["sqs:*".into()]));
        assert_eq!(second.resources, Selection::AllBut(vec!["*".into()]));
    }

    #[test]
    fn principals_have_their_forms() {
        let arn = "arn:aws:iam::111122223333:role/path/x";
        let session = "arn:aws:sts::111122223333:assumed-role/x/session";
        let all = principals(&format!(
            r#"{{"AWS":["*","111122223333","arn:aws-cn:iam::111122223333:root","{arn}","{session}"],
                "Service":"sns.amazonaws.com","Federated":"accounts.google.com"}}"#
        ));
        let account = |partition: &str| Principal::Account {
            partition: partition.into(),
            id: crate::model::queue::AccountId::parse("111122223333").unwrap(),
        };
        assert_eq!(
            all.unwrap(),
            [
                Principal::Anyone,
                account("aws"),
                account("aws-cn"),
                Principal::Arn(arn.into()),
                Principal::Arn(session.into()),
                Principal::Service("sns.amazonaws.com".into()),
                Principal::Federated("accounts.google.com".into()),
            ]
        );
        assert_eq!(principals(r#""*""#).unwrap(), [Principal::Anyone]);
        for wrong in [
            r#""111122223333""#,
            r#"{"AWS":"alice"}"#,
            r#"{"AWS":"1111222233334"}"#,
            r#"{"AWS":"arn:aws:iam::111122223333:role/*"}"#,
            r#"{"AWS":"arn:aws:sqs:us-east-1:111122223333:q"}"#,
            r#"{"AWS":"arn:aws:iam::111122223333:"}"#,
            r#"{"AWS":[]}"#,
            r#"{"aws":"*"}"#,
            r#"{"Service":"*"}"#,
            r#"{"Federated":""}"#,
            "{}",
            "[]",
            "5",
        ] {
            assert_eq!(principals(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn conditions_have_operators_keys_and_values() {
        let read = conditions(
            r#"{"stringlike":{"aws:userid":"x"},"ForAllValues:StringEqualsIfExists":
                {"aws:TagKeys":["a","b"],"aws:x":true},"NumericLessThan":{"aws:TokenAge":5},
                "Null":{"aws:SourceArn":"true"}}"#,
        );
        let shown: Vec<_> = read
            .unwrap()
            .into_iter()
            .map(|one| format!("{} {} {}", one.operator, one.key, one.values.join("|")))
            .collect();
        assert_eq!(
            shown,
            [
                "StringLike aws:userid x",
                "ForAllValues:StringEqualsIfExists aws:TagKeys a|b",
                "ForAllValues:StringEqualsIfExists aws:x true",
                "NumericLessThan aws:TokenAge 5",
                "Null aws:SourceArn true",
            ]
        );
        let operator = Operator::parse("foranyvalue:ArnNotLike");
        let any = Operator {
            quantifier: Some(Quantifier::Any),
            test: Test::ArnNotLike,
            if_exists: false,
        };
        assert_eq!(operator, Some(any));
        for wrong in [
            r#"{"StringIs":{"a":"b"}}"#,
            r#"{"ForSomeValues:StringEquals":{"a":"b"}}"#,
            r#"{"NullIfExists":{"a":"true"}}"#,
            r#"{"StringEquals":{"a":[]}}"#,
            r#"{"StringEquals":{"":"b"}}"#,
            r#"{"StringEquals":{"a":{}}}"#,
            r#"{"StringEquals":{"a":"b","a":"c"}}"#,
            r#"{"StringEquals":{"a":"b"},"stringEquals":{"b":"c"}}"#,
            r#"{"StringEquals":"a"}"#,
            "[]",
        ] {
            assert_eq!(conditions(wrong), None, "{wrong}");
        }
        assert_eq!(conditions("{}"), Some(vec![]));
    }

    #[test]
    fn nothing_is_passed_over() {
        for wrong in [
            r#""Action":"*""#,
            r#""Resource":"*""#,
            r#""Action":"*","NotAction":"sqs:*","Resource":"*""#,
            r#""Action":"*","Resource":"*","NotResource":"*""#,
            r#""Action":"*","Resource":"*","Principal":"*","NotPrincipal":"*""#,
            r#""Action":"*","Resource":"*","Effect":"Deny""#,
            r#""Action":"*","Resource":"*","Conditions":{}"#,
            r#""Action":[],"Resource":"*""#,
            r#""Action":[5],"Resource":"*""#,
            r#""Action":"*","Resource":"*","Condition":null"#,
            r#""Action":"*","Resource":"*","Principal":null"#,
            r#""Action":"*","Resource":"*","NotAction":null"#,
            r#""Action":"*","Resource":"*","Principal":{"AWS":"*","Service":null}"#,
        ] {
            assert_eq!(statement(wrong), None, "{wrong}");
        }
        let one = r#"{"Sid":"a","Effect":"Deny","Action":"*","Resource":"*"}"#;
        for wrong in [
            format!(r#"{{"Statement":[{one},{one}]}}"#),
            format!(r#"{{"Statement":[{one}],"Statement":[]}}"#),
            format!(r#"{{"Version":"2015-01-01","Statement":{one}}}"#),
            format!(r#"{{"Statement":{one},"Extra":1}}"#),
            format!(r#"{{"Version":null,"Statement":{one}}}"#),
            format!(r#"["2012-10-17",null,[{one}]]"#),
            r#"{"Statement":[["a","Deny",null,null,"*",null,"*",null,null]]}"#.into(),
            "[".repeat(8000),
        ] {
            assert_eq!(Document::parse(&wrong), None, "{wrong}");
        }
        assert!(Document::parse(&format!(r#"{{"Statement":{one}}}"#)).is_some());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_the_same(document in documents()) {
            let text = serde_json::to_string(&document).unwrap();
            prop_assert_eq!(Document::parse(&text), Some(document), "{}", text);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in r#"[\[\]{}",:*a-zA-Z0-9]{0,200}"#) {
            let _ = Document::parse(&text);
        }
    }

    fn documents() -> impl Strategy<Value = Document> {
        let statement = (any::<[bool; 4]>(), "[a-z]{0,3}", operators()).prop_map(
            |([deny, principals, all_but, several], name, operator)| Statement {
                sid: None,
                effect: if deny { Effect::Deny } else { Effect::Allow },
                principals: principals.then(|| match all_but {
                    true => Selection::AllBut(vec![
                        Principal::Arn("arn:aws:iam::111122223333:user/x".into()),
                        Principal::Service("sns.amazonaws.com".into()),
                    ]),
                    false => Selection::Any(vec![Principal::Anyone]),
                }),
                actions: Selection::Any(vec![format!("sqs:{name}"); if several { 2 } else { 1 }]),
                resources: Selection::AllBut(vec![name.clone()]),
                conditions: (0..usize::from(several) * 2)
                    .map(|n| {
                        let values = vec![name.clone(); 1 + n];
                        Condition::new(operator, format!("aws:{n}"), values)
                    })
                    .collect(),
            },
        );
        let statements = proptest::collection::vec(statement, 1..4);
        (any::<bool>(), statements).prop_map(|(old, mut statements)| {
            statements[0].sid = Some("first".into());
            let version = if old { Version::V2008 } else { Version::V2012 };
            Document { version: Some(version), id: None, statements }
        })
    }

    fn operators() -> impl Strategy<Value = Operator> {
        let tests = prop_oneof![Just("StringLike"), Just("Bool"), Just("NotIpAddress")];
        let quantifiers = prop_oneof![Just(""), Just("ForAllValues:"), Just("ForAnyValue:")];
        (quantifiers, tests, prop_oneof![Just(""), Just("IfExists")]).prop_map(
            |(all, test, exists)| Operator::parse(&format!("{all}{test}{exists}")).unwrap(),
        )
    }
}
