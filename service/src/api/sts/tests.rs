//! Roles, taken by callers of all kinds.

use std::sync::Arc;

use serde_json::Value;

use crate::api::test_world::World;
use crate::auth::credentials::CredentialSource;
use crate::env::{Clock, SystemClock};
use crate::error::Error;
use crate::model::caller::{Caller, Identity};
use crate::model::policy::document::Document;
use crate::model::queue::AccountId;

const OWN: &str = "000000000000";
const OTHER: &str = "222222222222";
const READER: &str = "arn:aws:iam::000000000000:role/reader";

const CONFIG: &str = r#"
    [roles.reader]
    max_session_s = 7200
    policies = []
    [[roles.reader.trust]]
    principals = ["000000000000", "arn:aws:iam::222222222222:user/ann"]

    [roles.brief]
    max_session_s = 1000
    policies = []
    [[roles.brief.trust]]
    principals = ["000000000000"]
    external_id = "q-7"
"#;

impl World {
    async fn assume(&self, caller: &Caller, role: &str, more: &str) -> Result<Value, Error> {
        let form = format!("RoleArn={role}&RoleSessionName=s-1&{more}");
        self.act_by_form(caller, "AssumeRole", &form).await
    }
}

fn account(text: &str) -> AccountId {
    AccountId::parse(text).unwrap()
}

fn user(of: &str, name: &str, action: &str) -> Caller {
    let id = "AIDAX".into();
    let identity = Identity::User { account: account(of), name: name.into(), id };
    let policy = format!(
        r#"{{"Statement":{{"Effect":"Allow","Action":"{action}","Resource":"{READER}"}}}}"#
    );
    let policies = vec![Arc::new(Document::parse(&policy).unwrap())];
    Caller { identity, policies, ..Caller::anonymous() }
}

#[tokio::test]
async fn everybody_who_signs_learns_who_they_are() {
    let world = World::new(CONFIG);
    let root = Caller::root(account(OWN));
    let session = Caller {
        identity: world.0.sessions.roles().find(READER).unwrap().session("s-1"),
        ..Caller::anonymous()
    };
    let role_id = crate::auth::ids::role_id(&account(OWN), "reader");
    for (caller, arn, id) in [
        (&root, "arn:aws:iam::000000000000:root", OWN),
        (&user(OTHER, "ann", "x:y"), "arn:aws:iam::222222222222:user/ann", "AIDAX"),
        (&session, "arn:aws:sts::000000000000:assumed-role/reader/s-1", &format!("{role_id}:s-1")),
    ] {
        let answer = world.act_by_form(caller, "GetCallerIdentity", "").await.unwrap();
        let account = caller.account().unwrap().as_str();
        let expected = serde_json::json!({"Arn": arn, "UserId": id, "Account": account});
        assert_eq!(answer, expected);
    }
    let nobody = world.act_by_form(&Caller::anonymous(), "GetCallerIdentity", "").await;
    assert_eq!(nobody, Err(Error::MissingAuthenticationToken));
}

#[tokio::test]
async fn a_role_is_for_whom_it_trusts_and_whose_policies_allow_it() {
    let world = World::new(CONFIG);
    let taken = |caller: Caller| {
        let world = &world;
        async move { world.assume(&caller, READER, "").await }
    };
    for caller in
        [Caller::root(account(OWN)), user(OWN, "jo", "sts:AssumeRole"), user(OTHER, "ann", "sts:*")]
    {
        let answer = taken(caller).await.unwrap();
        assert_eq!(
            answer["AssumedRoleUser"]["Arn"],
            "arn:aws:sts::000000000000:assumed-role/reader/s-1"
        );
    }
    for caller in [
        // Trusted, and not allowed.
        user(OWN, "jo", "sqs:*"),
        user(OTHER, "ann", "sqs:*"),
        // Allowed, and not trusted.
        user(OTHER, "jo", "sts:AssumeRole"),
        Caller::root(account(OTHER)),
    ] {
        let arn = caller.arn().unwrap();
        let refused = taken(caller).await.unwrap_err();
        let text = format!(
            "User: {arn} is not authorized to perform: sts:AssumeRole on resource: {READER}"
        );
        assert_eq!(refused.to_string(), text);
    }
    let missing = READER.replace("reader", "nobody");
    let refused = world.assume(&Caller::root(account(OWN)), &missing, "").await.unwrap_err();
    assert!(refused.to_string().ends_with(&missing) && refused.is_refusal(), "{refused}");
    let nobody = taken(Caller::anonymous()).await;
    assert_eq!(nobody, Err(Error::MissingAuthenticationToken));
}

#[tokio::test]
async fn what_is_taken_opens_as_the_role() {
    let world = World::new(CONFIG);
    let policy = "Policy=%7B%22Statement%22:%7B%22Effect%22:%22Deny%22,%22Action%22:%22sqs:*%22,\
                  %22Resource%22:%22*%22%7D%7D";
    let answer = world.assume(&Caller::root(account(OWN)), READER, policy).await.unwrap();
    assert_eq!(answer["PackedPolicySize"], 4);
    let credentials = &answer["Credentials"];
    let text = |name: &str| credentials[name].as_str().unwrap();
    let found =
        world.0.sessions.find(text("AccessKeyId"), Some(text("SessionToken")), SystemClock.wall());
    let found = found.unwrap().unwrap();
    assert_eq!(&*found.secret.0, text("SecretAccessKey"));
    assert_eq!(found.caller.arn().as_deref(), answer["AssumedRoleUser"]["Arn"].as_str());
    assert!(found.caller.session_policy.is_some());
}

#[tokio::test]
async fn a_session_is_no_longer_than_its_role_allows() {
    let world = World::new(CONFIG);
    let root = Caller::root(account(OWN));
    let session = Caller {
        identity: world.0.sessions.roles().find(READER).unwrap().session("s-1"),
        ..user(OWN, "", "sts:AssumeRole")
    };
    let brief = READER.replace("reader", "brief");
    for (caller, role, more, good) in [
        (&root, READER, "DurationSeconds=7200", true),
        (&root, READER, "DurationSeconds=7201", false),
        (&session, READER, "DurationSeconds=3600", true),
        (&session, READER, "DurationSeconds=3601", false),
        (&session, READER, "", true),
        (&root, &brief, "ExternalId=q-7", true),
        (&root, &brief, "ExternalId=q-7&DurationSeconds=1001", false),
        (&root, &brief, "ExternalId=q-8", false),
        (&root, &brief, "", false),
    ] {
        let outcome = world.assume(caller, role, more).await;
        assert_eq!(outcome.is_ok(), good, "{role} {more}: {outcome:?}");
    }
}

#[tokio::test]
async fn what_is_not_done_is_refused_rather_than_passed_over() {
    let world = World::new(CONFIG);
    let root = Caller::root(account(OWN));
    for more in [
        "PolicyArns.member.1.arn=arn:aws:iam::aws:policy/ReadOnly",
        "Tags.member.1.Key=team&Tags.member.1.Value=red",
        "SerialNumber=x&TokenCode=123456",
        "SourceIdentity=jo",
    ] {
        let refused = world.assume(&root, READER, more).await.unwrap_err();
        assert!(matches!(refused, Error::ValidationError(_)), "{more}: {refused}");
    }
    let all = world.act_by_form(&root, "AssumeRole", "").await.unwrap_err();
    assert!(all.to_string().starts_with("2 validation errors detected: "), "{all}");
}
