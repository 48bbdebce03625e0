use std::sync::Arc;

use super::*;

const OWN: &str = "111111111111";
const OTHER: &str = "222222222222";
const QUEUE: &str = "arn:aws:sqs:us-east-1:111111111111:orders";

/// What a case says of its request.
type Given = &'static [(&'static str, &'static str)];

/// Keys and their values; a key may be there several times.
struct Keys<'a>(&'a [(&'a str, &'a str)]);

impl Context for Keys<'_> {
    fn values(&self, key: &str) -> Vec<String> {
        let found = self.0.iter().filter(|(name, _)| name.eq_ignore_ascii_case(key));
        found.map(|(_, value)| value.to_string()).collect()
    }
}

fn account(id: &str) -> AccountId {
    AccountId::parse(id).unwrap()
}

/// `anonymous`, `root@1`, `ann@1`, `role/ops/night@2`: the digit is the account's, twelve times.
fn caller(text: &str) -> Caller {
    let Some((name, digit)) = text.split_once('@') else { return Caller::anonymous() };
    let account = account(&digit.repeat(12));
    let identity = match name.split('/').collect::<Vec<_>>()[..] {
        ["role", role, session] => Identity::Session {
            account,
            role: role.into(),
            role_id: "AROAX".into(),
            name: session.into(),
        },
        ["root"] => Identity::Root(account),
        _ => Identity::User { account, name: name.into(), id: "AIDAX".into() },
    };
    Caller { identity, ..Caller::anonymous() }
}

fn document(statements: &str) -> Document {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    Document::parse(&text).unwrap_or_else(|| panic!("no policy: {text}"))
}

/// What is asked, and its answer in short: `yes`, `no: <kind>` for want of an `Allow`, `never: <kind>`
/// for a `Deny`; with the `Sid` of the statement behind it, if there is one.
fn answer(
    who: &Caller,
    permission: Permission,
    queue: Option<&Document>,
    keys: &[(&str, &str)],
) -> String {
    let key = QueueKey::parse_arn(QUEUE).unwrap();
    let resource = Resource::Queue { key: &key, policy: queue };
    let context = &Keys(keys);
    let decision = decide(&Question { caller: who, permission, resource, context });
    let verdict = match decision.verdict {
        Verdict::Allowed => "yes".to_string(),
        Verdict::NotAllowed(kind) => format!("no: {kind:?}"),
        Verdict::Refused(kind) => format!("never: {kind:?}"),
    };
    match decision.by.and_then(|by| by.sid) {
        Some(sid) => format!("{verdict} by {sid}"),
        None => verdict,
    }
}

const SEND: Permission = Permission::sqs("SendMessage");

/// Statements that the cases name. Each is also its `Sid`.
fn statements(names: &str) -> Option<Document> {
    let mut all = Vec::new();
    for name in names.split_whitespace() {
        let (effect, rest) = name.split_once('-').unwrap();
        let effect = match effect {
            "allow" => "Allow",
            "deny" => "Deny",
            other => panic!("{other}"),
        };
        let (who, what) = rest.split_once('-').unwrap_or((rest, "send"));
        let principal = match who {
            "all" => r#""Principal":"*","#.to_string(),
            "own" => format!(r#""Principal":{{"AWS":"{OWN}"}},"#),
            "other" => format!(r#""Principal":{{"AWS":"{OTHER}"}},"#),
            "ann" => format!(r#""Principal":{{"AWS":"arn:aws:iam::{OWN}:user/ann"}},"#),
            "but.ann" => format!(r#""NotPrincipal":{{"AWS":"arn:aws:iam::{OWN}:user/ann"}},"#),
            "but.own" => format!(r#""NotPrincipal":{{"AWS":"{OWN}"}},"#),
            "ops" => format!(r#""Principal":{{"AWS":"arn:aws:iam::{OWN}:role/ops"}},"#),
            "night" => {
                format!(r#""Principal":{{"AWS":"arn:aws:sts::{OWN}:assumed-role/ops/night"}},"#)
            }
            "sns" => r#""Principal":{"Service":"sns.amazonaws.com"},"#.into(),
            "me" => String::new(),
            other => panic!("{other}"),
        };
        let action = match what {
            "send" => r#""Action":"sqs:SendMessage""#,
            "sqs" => r#""Action":"sqs:*""#,
            "any" => r#""Action":"*""#,
            "delete" => r#""Action":"sqs:DeleteQueue""#,
            "but.delete" => r#""NotAction":"sqs:DeleteQueue""#,
            "peek" => r#""Action":"stanchion:PeekMessages""#,
            other => panic!("{other}"),
        };
        all.push(format!(
            r#"{{"Sid":"{name}","Effect":"{effect}",{principal}{action},"Resource":"{QUEUE}"}}"#
        ));
    }
    (!all.is_empty()).then(|| document(&all.join(",")))
}

#[test]
fn who_is_allowed_by_which_policy() {
    let delete = Permission::sqs("DeleteQueue");
    let peek = Permission::operator("PeekMessages");
    #[rustfmt::skip]
    let cases = [
        // Who          what    identity policy      queue policy                 session policy  answer
        // The owner of the account, whom only a denial stops.
        ("root@1",         SEND,   "",               "",                          "",             "yes"),
        ("root@1",         SEND,   "",               "allow-other",               "",             "yes"),
        ("root@1",         SEND,   "",               "deny-all",                  "",             "never: Resource by deny-all"),
        ("root@1",         SEND,   "",               "deny-own",                  "",             "never: Resource by deny-own"),
        ("root@1",         SEND,   "",               "deny-other",                "",             "yes"),
        ("root@1",         delete, "",               "deny-all-send",             "",             "yes"),
        ("root@1",         peek,   "",               "",                          "",             "yes"),
        // A user of the account: one side suffices.
        ("ann@1",          SEND,   "",               "",                          "",             "no: Identity"),
        ("ann@1",          SEND,   "allow-me",       "",                          "",             "yes by allow-me"),
        ("ann@1",          SEND,   "",               "allow-ann",                 "",             "yes by allow-ann"),
        // An account is not everybody in it: its people have what policies of theirs hand out.
        ("ann@1",          SEND,   "",               "allow-own",                 "",             "no: Identity"),
        ("ann@1",          SEND,   "allow-me",       "allow-own",                 "",             "yes by allow-me"),
        ("ann@1",          SEND,   "",               "allow-own allow-ann",       "",             "yes by allow-ann"),
        ("ann@1",          SEND,   "allow-me",       "deny-own",                  "",             "never: Resource by deny-own"),
        ("ann@1",          SEND,   "",               "allow-all",                 "",             "yes by allow-all"),
        ("bob@1",          SEND,   "",               "allow-ann",                 "",             "no: Identity"),
        ("ann@2",          SEND,   "allow-me",       "allow-ann",                 "",             "no: Resource"),
        ("ann@1",          SEND,   "allow-me-delete","",                          "",             "no: Identity"),
        ("ann@1",          SEND,   "allow-me-sqs",   "",                          "",             "yes by allow-me-sqs"),
        ("ann@1",          SEND,   "allow-me-but.delete", "",                     "",             "yes by allow-me-but.delete"),
        ("ann@1",          delete, "allow-me-but.delete", "",                     "",             "no: Identity"),
        // Denials win, wherever they are and in whatever order.
        ("ann@1",          SEND,   "allow-me deny-me", "",                        "",             "never: Identity by deny-me"),
        ("ann@1",          SEND,   "deny-me allow-me", "allow-ann",               "",             "never: Identity by deny-me"),
        ("ann@1",          SEND,   "allow-me",       "allow-all deny-ann",        "",             "never: Resource by deny-ann"),
        ("ann@1",          SEND,   "allow-me",       "deny-all-but.delete",       "",             "never: Resource by deny-all-but.delete"),
        ("bob@1",          SEND,   "allow-me",       "allow-all deny-ann",        "",             "yes by allow-me"),
        // Whoever is not named.
        ("ann@1",          SEND,   "allow-me",       "deny-but.ann",              "",             "yes by allow-me"),
        ("bob@1",          SEND,   "allow-me",       "deny-but.ann",              "",             "never: Resource by deny-but.ann"),
        ("root@1",         SEND,   "",               "deny-but.own",              "",             "yes"),
        ("ann@1",          SEND,   "allow-me",       "deny-but.own",              "",             "never: Resource by deny-but.own"),
        ("anonymous",      SEND,   "",               "allow-but.ann",             "",             "yes by allow-but.ann"),
        ("ann@1",          SEND,   "",               "allow-but.ann",             "",             "no: Identity"),
        ("ann@1",          SEND,   "",               "allow-but.own",             "",             "no: Identity"),
        // Another account's people: both sides must allow.
        ("ann@2",          SEND,   "",               "",                          "",             "no: Identity"),
        ("ann@2",          SEND,   "allow-me",       "",                          "",             "no: Resource"),
        ("ann@2",          SEND,   "",               "allow-other",               "",             "no: Identity"),
        ("ann@2",          SEND,   "allow-me",       "allow-other",               "",             "yes by allow-other"),
        ("ann@2",          SEND,   "allow-me",       "allow-all",                 "",             "yes by allow-all"),
        ("ann@2",          SEND,   "allow-me",       "allow-other deny-all",      "",             "never: Resource by deny-all"),
        ("ann@2",          SEND,   "allow-me deny-me", "allow-other",             "",             "never: Identity by deny-me"),
        ("root@2",         SEND,   "",               "",                          "",             "no: Resource"),
        ("root@2",         SEND,   "",               "allow-other",               "",             "yes by allow-other"),
        // What no other account can have.
        ("ann@2",          delete, "allow-me-any",   "allow-other-any",           "",             "no: Resource"),
        ("root@2",         delete, "",               "allow-all-any",             "",             "no: Resource"),
        ("anonymous",      delete, "",               "allow-all-any",             "",             "no: Resource"),
        ("ann@1",          delete, "",               "allow-ann-delete",          "",             "yes by allow-ann-delete"),
        // What no queue's policy gives.
        ("ann@1",          peek,   "",               "allow-ann-any",             "",             "no: Identity"),
        ("ann@1",          peek,   "allow-me-peek",  "",                          "",             "yes by allow-me-peek"),
        ("ann@1",          peek,   "allow-me-sqs",   "",                          "",             "no: Identity"),
        ("ann@2",          peek,   "allow-me-any",   "allow-all-any",             "",             "no: Resource"),
        ("anonymous",      peek,   "",               "allow-all-any",             "",             "no: Resource"),
        // Nobody in particular.
        ("anonymous",      SEND,   "",               "",                          "",             "no: Resource"),
        ("anonymous",      SEND,   "",               "allow-all",                 "",             "yes by allow-all"),
        ("anonymous",      SEND,   "",               "allow-own",                 "",             "no: Resource"),
        ("anonymous",      SEND,   "",               "allow-all deny-all",        "",             "never: Resource by deny-all"),
        // Roles: the role's name and the session's.
        ("role/ops/night@1", SEND, "",               "allow-ops",                 "",             "yes by allow-ops"),
        ("role/ops/night@1", SEND, "",               "allow-night",               "",             "yes by allow-night"),
        ("role/ops/day@1",   SEND, "",               "allow-night",               "",             "no: Identity"),
        ("role/dev/night@1", SEND, "",               "allow-ops",                 "",             "no: Identity"),
        ("role/ops/night@2", SEND, "allow-me",       "allow-ops",                 "",             "no: Resource"),
        ("role/ops/day@1",   SEND, "",               "allow-own",                 "",             "no: Identity"),
        ("role/ops/day@1",   SEND, "allow-me",       "",                          "",             "yes by allow-me"),
        // A session's policy narrows.
        ("role/ops/day@1", SEND,   "allow-me",       "",                          "allow-me-send", "yes by allow-me"),
        ("role/ops/day@1", SEND,   "allow-me",       "",                          "allow-me-delete", "no: Session"),
        ("role/ops/day@1", SEND,   "",               "",                          "allow-me-send", "no: Identity"),
        ("role/ops/day@1", SEND,   "allow-me",       "",                          "allow-me deny-me", "never: Session by deny-me"),
        ("role/ops/day@1", SEND,   "",               "allow-ops",                 "allow-me-delete", "no: Session"),
        ("root@1",         SEND,   "",               "",                          "allow-me-delete", "no: Session"),
        // Services are nobody who calls.
        ("ann@1",          SEND,   "",               "allow-sns",                 "",             "no: Identity"),
        ("anonymous",      SEND,   "",               "allow-sns",                 "",             "no: Resource"),
    ];
    for (who, permission, identity, queue, session, expected) in cases {
        let mut caller = caller(who);
        caller.policies = statements(identity).into_iter().map(Arc::new).collect();
        caller.session_policy = statements(session).map(Arc::new);
        let answer = answer(&caller, permission, statements(queue).as_ref(), &[]);
        assert_eq!(answer, expected, "{who} {permission} [{identity}] [{queue}] [{session}]");
    }
}

#[test]
fn all_of_an_account_is_asked_for_as_a_star() {
    let mut ann = caller("ann@1");
    let listing = |who: &Caller, of: &str| {
        let owner = account(of);
        let resource = Resource::All(&owner);
        let permission = Permission::sqs("ListQueues");
        decide(&Question { caller: who, permission, resource, context: &() }).is_allowed()
    };
    assert!(listing(&caller("root@1"), OWN));
    assert!(!listing(&caller("root@2"), OWN));
    assert!(!listing(&caller("anonymous"), OWN) && !listing(&ann, OWN));
    for (resource, allowed) in [("*", true), ("arn:aws:sqs:*", false)] {
        let policy = format!(r#"{{"Effect":"Allow","Action":"sqs:L*","Resource":"{resource}"}}"#);
        ann.policies = vec![Arc::new(document(&policy))];
        assert_eq!(listing(&ann, OWN), allowed, "{resource}");
        assert!(!listing(&ann, OTHER));
    }
}

/// Whether a user `ann` with one statement may send.
fn allows(effect: &str, members: &str, keys: &[(&str, &str)]) -> bool {
    let mut ann = caller("ann@1");
    let always = r#"{"Effect":"Allow","Action":"*","Resource":"*"},"#;
    let always = if effect == "Deny" { always } else { "" };
    let statement = format!(r#"{always}{{"Effect":"{effect}",{members}}}"#);
    ann.policies = vec![Arc::new(document(&statement))];
    answer(&ann, SEND, None, keys).starts_with("yes")
}

#[test]
fn actions_and_resources_have_wildcards() {
    #[rustfmt::skip]
    let cases = [
        (r#""Action":"SQS:sendmessage","Resource":"*""#, true),
        (r#""Action":"sqs:Send*","Resource":"*""#, true),
        (r#""Action":"s?s:*","Resource":"*""#, true),
        (r#""Action":"sqs:Send","Resource":"*""#, false),
        (r#""Action":["sqs:ReceiveMessage","sqs:SendMessage"],"Resource":"*""#, true),
        (r#""NotAction":["sqs:ReceiveMessage"],"Resource":"*""#, true),
        (r#""NotAction":["sqs:ReceiveMessage","sqs:Send*"],"Resource":"*""#, false),
        (r#""Action":"*","Resource":"arn:aws:sqs:us-east-1:111111111111:orders""#, true),
        (r#""Action":"*","Resource":"arn:aws:sqs:us-east-1:111111111111:Orders""#, false),
        (r#""Action":"*","Resource":"arn:aws:sqs:*:*:ord*""#, true),
        (r#""Action":"*","Resource":"arn:aws:sqs:us-east-?:*:order?""#, true),
        (r#""Action":"*","Resource":"arn:aws:sqs:eu-*:*:orders""#, false),
        (r#""Action":"*","Resource":"arn:aws:s3:::*""#, false),
        (r#""Action":"*","NotResource":"arn:aws:sqs:*:*:ord*""#, false),
        (r#""Action":"*","NotResource":"arn:aws:sqs:*:*:other""#, true),
        (r#""Action":"*","Resource":"arn:aws:sqs:*:*:${aws:username}""#, false),
        (r#""Action":"*","Resource":"arn:aws:sqs:*:${aws:PrincipalAccount}:*""#, true),
        // Nobody knows what this leaves.
        (r#""Action":"*","NotResource":"arn:aws:sqs:*:*:${aws:SourceVpc}""#, false),
    ];
    for (members, allowed) in cases {
        assert_eq!(allows("Allow", members, &[]), allowed, "{members}");
    }
}

#[test]
fn conditions_compare_as_their_operators_say() {
    const NIGHT: &str = "2026-01-01T00:30:00Z";
    #[rustfmt::skip]
    let cases: &[(&str, Given, bool)] = &[
        // Text.
        (r#"{"StringEquals":{"aws:UserAgent":"a"}}"#,              &[("aws:UserAgent", "a")], true),
        (r#"{"StringEquals":{"AWS:useragent":"a"}}"#,              &[("aws:UserAgent", "a")], true),
        (r#"{"StringEquals":{"aws:UserAgent":"a"}}"#,              &[("aws:UserAgent", "A")], false),
        (r#"{"StringEquals":{"aws:UserAgent":"a*"}}"#,             &[("aws:UserAgent", "ab")], false),
        (r#"{"StringEquals":{"aws:UserAgent":"a*"}}"#,             &[("aws:UserAgent", "a*")], true),
        (r#"{"StringEquals":{"aws:UserAgent":["b","a"]}}"#,        &[("aws:UserAgent", "a")], true),
        (r#"{"StringEquals":{"aws:UserAgent":"a"}}"#,              &[], false),
        (r#"{"StringNotEquals":{"aws:UserAgent":"a"}}"#,           &[("aws:UserAgent", "b")], true),
        (r#"{"StringNotEquals":{"aws:UserAgent":["a","b"]}}"#,     &[("aws:UserAgent", "b")], false),
        (r#"{"StringNotEquals":{"aws:UserAgent":"a"}}"#,           &[], true),
        (r#"{"StringEqualsIgnoreCase":{"aws:UserAgent":"ÄB"}}"#,   &[("aws:UserAgent", "äb")], true),
        (r#"{"StringNotEqualsIgnoreCase":{"aws:UserAgent":"AB"}}"#, &[("aws:UserAgent", "ab")], false),
        (r#"{"StringLike":{"aws:UserAgent":"aws-*/2.?"}}"#,        &[("aws:UserAgent", "aws-sdk/2.1")], true),
        (r#"{"StringLike":{"aws:UserAgent":"aws-*/2.?"}}"#,        &[("aws:UserAgent", "aws-sdk/2.10")], false),
        (r#"{"StringNotLike":{"aws:UserAgent":"aws-*"}}"#,         &[("aws:UserAgent", "aws-sdk")], false),
        // Variables.
        (r#"{"StringEquals":{"aws:ResourceTag/owner":"${aws:username}"}}"#, &[("aws:ResourceTag/owner", "ann")], true),
        (r#"{"StringEquals":{"aws:ResourceTag/owner":"${aws:username}"}}"#, &[("aws:ResourceTag/owner", "bob")], false),
        (r#"{"StringLike":{"aws:ResourceTag/owner":"${AWS:UserName}*"}}"#,  &[("aws:ResourceTag/owner", "anna")], true),
        (r#"{"StringEquals":{"aws:ResourceTag/owner":"${aws:x}"}}"#,        &[("aws:ResourceTag/owner", "${aws:x}")], false),
        (r#"{"StringEquals":{"aws:ResourceTag/owner":"${aws:x, 'all'}"}}"#, &[("aws:ResourceTag/owner", "all")], true),
        (r#"{"StringLike":{"aws:UserAgent":"${aws:ResourceTag/t}"}}"#,
            &[("aws:UserAgent", "ab"), ("aws:ResourceTag/t", "*")], false),
        // Numbers.
        (r#"{"NumericEquals":{"k":1.0}}"#,                         &[("k", "1")], true),
        (r#"{"NumericNotEquals":{"k":1}}"#,                        &[("k", "1.5")], true),
        (r#"{"NumericLessThan":{"k":"10"}}"#,                      &[("k", "9")], true),
        (r#"{"NumericLessThan":{"k":"10"}}"#,                      &[("k", "10")], false),
        (r#"{"NumericLessThanEquals":{"k":"10"}}"#,                &[("k", "10")], true),
        (r#"{"NumericGreaterThan":{"k":"10"}}"#,                   &[("k", "11")], true),
        (r#"{"NumericGreaterThanEquals":{"k":"10"}}"#,             &[("k", "9.9")], false),
        (r#"{"NumericLessThan":{"k":"10"}}"#,                      &[("k", "few")], false),
        (r#"{"NumericLessThan":{"aws:EpochTime":"1767225600"}}"#,  &[("aws:EpochTime", "1767225599")], true),
        // Dates.
        (r#"{"DateLessThan":{"aws:CurrentTime":"2026-01-01T01:00:00Z"}}"#,    &[("aws:CurrentTime", NIGHT)], true),
        (r#"{"DateGreaterThan":{"aws:CurrentTime":"2026-01-01T01:00:00Z"}}"#, &[("aws:CurrentTime", NIGHT)], false),
        (r#"{"DateGreaterThanEquals":{"aws:CurrentTime":"2026-01-01T01:30:00+01:00"}}"#, &[("aws:CurrentTime", NIGHT)], true),
        (r#"{"DateGreaterThan":{"aws:EpochTime":"2026-01-01"}}"#,  &[("aws:EpochTime", "1767225601")], true),
        (r#"{"DateEquals":{"aws:CurrentTime":"1767227400"}}"#,     &[("aws:CurrentTime", NIGHT)], true),
        (r#"{"DateNotEquals":{"aws:CurrentTime":"1767227400"}}"#,  &[("aws:CurrentTime", NIGHT)], false),
        (r#"{"DateLessThanEquals":{"aws:CurrentTime":"1767227400"}}"#, &[("aws:CurrentTime", NIGHT)], true),
        // Booleans and bytes.
        (r#"{"Bool":{"aws:SecureTransport":true}}"#,               &[("aws:SecureTransport", "true")], true),
        (r#"{"Bool":{"aws:SecureTransport":"False"}}"#,            &[("aws:SecureTransport", "true")], false),
        (r#"{"Bool":{"aws:SecureTransport":"true"}}"#,             &[], false),
        (r#"{"BinaryEquals":{"k":"AQI="}}"#,                       &[("k", "AQI=")], true),
        (r#"{"BinaryEquals":{"k":"AQI="}}"#,                       &[("k", "aqi=")], false),
        // Addresses.
        (r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#,         &[("aws:SourceIp", "10.1.2.3")], true),
        (r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#,         &[("aws:SourceIp", "11.1.2.3")], false),
        (r#"{"IpAddress":{"aws:SourceIp":["::1","10.0.0.1"]}}"#,   &[("aws:SourceIp", "10.0.0.1")], true),
        (r#"{"IpAddress":{"aws:SourceIp":"10.0.0.1"}}"#,           &[("aws:SourceIp", "::ffff:10.0.0.1")], true),
        (r#"{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}"#,      &[("aws:SourceIp", "2001:db8::7")], true),
        (r#"{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}"#,          &[("aws:SourceIp", "2001:db8::7")], false),
        (r#"{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#,      &[("aws:SourceIp", "10.1.2.3")], false),
        (r#"{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#,      &[("aws:SourceIp", "9.1.2.3")], true),
        // ARNs, part by part.
        (r#"{"ArnEquals":{"aws:SourceArn":"arn:aws:sns:*:1:t"}}"#, &[("aws:SourceArn", "arn:aws:sns:eu-1:1:t")], true),
        (r#"{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::b*"}}"#,     &[("aws:SourceArn", "arn:aws:s3:::bucket:x")], true),
        (r#"{"ArnLike":{"aws:SourceArn":"arn:aws:*:t"}}"#,         &[("aws:SourceArn", "arn:aws:sns:eu-1:1:t")], false),
        (r#"{"ArnNotLike":{"aws:SourceArn":"arn:aws:s3:::b*"}}"#,  &[("aws:SourceArn", "arn:aws:s3:::b")], false),
        (r#"{"ArnNotEquals":{"aws:SourceArn":"arn:aws:s3:::b"}}"#, &[], true),
        (r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::${aws:PrincipalAccount}:user/*"}}"#, &[], true),
        // Whether a key is there.
        (r#"{"Null":{"k":"true"}}"#,                               &[], true),
        (r#"{"Null":{"k":"true"}}"#,                               &[("k", "")], false),
        (r#"{"Null":{"k":"false"}}"#,                              &[("k", "x")], true),
        (r#"{"Null":{"k":false}}"#,                                &[], false),
        (r#"{"StringEqualsIfExists":{"k":"a"}}"#,                  &[], true),
        (r#"{"StringEqualsIfExists":{"k":"a"}}"#,                  &[("k", "b")], false),
        (r#"{"BoolIfExists":{"aws:MultiFactorAuthPresent":"true"}}"#, &[], true),
        // Keys with several values.
        (r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}"#, &[("aws:TagKeys", "a"), ("aws:TagKeys", "b")], true),
        (r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}"#, &[("aws:TagKeys", "a"), ("aws:TagKeys", "c")], false),
        (r#"{"ForAllValues:StringEquals":{"aws:TagKeys":"a"}}"#,       &[], true),
        (r#"{"ForAllValues:StringNotEquals":{"aws:TagKeys":"a"}}"#,    &[("aws:TagKeys", "b"), ("aws:TagKeys", "a")], false),
        (r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":"a"}}"#,        &[("aws:TagKeys", "b"), ("aws:TagKeys", "a")], true),
        (r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":"a"}}"#,        &[], false),
        (r#"{"ForAnyValue:StringEqualsIfExists":{"aws:TagKeys":"a"}}"#, &[], true),
        (r#"{"ForAnyValue:StringNotEquals":{"aws:TagKeys":"a"}}"#,     &[("aws:TagKeys", "a"), ("aws:TagKeys", "b")], true),
        (r#"{"ForAnyValue:StringNotEquals":{"aws:TagKeys":"a"}}"#,     &[("aws:TagKeys", "a")], false),
        // All must hold.
        (r#"{"StringEquals":{"a":"1","b":"2"}}"#,                  &[("a", "1"), ("b", "2")], true),
        (r#"{"StringEquals":{"a":"1","b":"2"}}"#,                  &[("a", "1")], false),
        (r#"{"StringEquals":{"a":"1"},"Bool":{"b":"true"}}"#,      &[("a", "1"), ("b", "false")], false),
        // Who asks is not for the request to say.
        (r#"{"StringEquals":{"aws:username":"ann"}}"#,             &[("aws:username", "bob")], true),
        (r#"{"StringEquals":{"aws:userid":"AIDAX"}}"#,             &[], true),
        (r#"{"StringEquals":{"aws:PrincipalType":"User"}}"#,       &[], true),
        // Values that cannot be compared: they allow nothing, and keep no denial away.
        (r#"{"NotIpAddress":{"aws:SourceIp":"nonsense"}}"#,        &[("aws:SourceIp", "10.1.2.3")], false),
        (r#"{"NumericNotEquals":{"k":"one"}}"#,                    &[("k", "1")], false),
    ];
    for (condition, keys, holds) in cases {
        let members = format!(r#""Action":"*","Resource":"*","Condition":{condition}"#);
        assert_eq!(allows("Allow", &members, keys), *holds, "allow {condition} {keys:?}");
        let is_unreadable = condition.contains("nonsense") || condition.contains("one");
        let denies = *holds || is_unreadable;
        assert_eq!(allows("Deny", &members, keys), !denies, "deny {condition} {keys:?}");
    }
}

#[test]
fn the_older_language_has_no_variables() {
    let text = |version: &str| {
        format!(
            r#"{{"Version":"{version}","Statement":[{{"Effect":"Allow","Action":"*","Resource":
                "arn:aws:sqs:*:${{aws:PrincipalAccount}}:*"}}]}}"#
        )
    };
    for (version, expected) in [("2012-10-17", "yes"), ("2008-10-17", "no: Identity")] {
        let mut ann = caller("ann@1");
        ann.policies = vec![Arc::new(Document::parse(&text(version)).unwrap())];
        assert_eq!(answer(&ann, SEND, None, &[]), expected, "{version}");
    }
}

#[test]
fn a_statement_is_named_by_its_sid_or_its_number() {
    let deciding = |sid| Deciding { kind: PolicyKind::Identity, policy: 1, statement: 2, sid };
    assert_eq!(deciding(Some("x")).to_string(), "identity-based policy 1, statement x");
    let queue = Deciding { kind: PolicyKind::Resource, ..deciding(None) };
    assert_eq!(queue.to_string(), "resource-based policy, statement 2");
}
