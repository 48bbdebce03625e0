use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::api::action::{self, Row};
use crate::api::error_table;
use crate::api::test_world::World;
use crate::audit::Record;
use crate::model::attributes::QueueSettings;
use crate::model::caller::Caller;
use crate::model::policy::document::Document;
use crate::model::policy::queue_policy::QueuePolicy;
use crate::model::queue::{AccountId, QueueKind};

const OWN: &str = "000000000000";
const OTHER: &str = "222222222222";

const CONFIG: &str = r#"
    [roles.sender]
    policies = ['{"Statement":{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"*"}}']
    [[roles.sender.trust]]
    principals = ["000000000000"]
"#;

impl World {
    /// Makes a queue with a policy and a tag, by nobody's leave.
    async fn queue(&self, account: &str, name: &str, statements: &str) -> QueueKey {
        let key = key(account, name);
        let mut settings = QueueSettings::new(QueueKind::Standard);
        settings.policy = (!statements.is_empty()).then(|| {
            let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
            QueuePolicy::parse(&text).unwrap()
        });
        let tags = Tags::from([("team".into(), "red".into())]);
        let created = self.0.shards.create(key.clone(), settings, tags, Box::new(|_| Ok(())));
        created.await.unwrap();
        key
    }
}

fn key(account: &str, name: &str) -> QueueKey {
    QueueKey::parse_arn(&format!("arn:aws:sqs:us-east-1:{account}:{name}")).unwrap()
}

fn url(account: &str, name: &str) -> String {
    format!("http://localhost:9324/{account}/{name}")
}

fn user(account: &str, statements: &str) -> Caller {
    let account = AccountId::parse(account).unwrap();
    let identity = Identity::User { account, name: "ann".into(), id: "AIDAX".into() };
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    let policies = match statements {
        "" => Vec::new(),
        _ => vec![Arc::new(Document::parse(&text).unwrap())],
    };
    Caller { identity, policies, ..Caller::anonymous() }
}

fn root(account: &str) -> Caller {
    Caller::root(AccountId::parse(account).unwrap())
}

fn allow(action: &str, resource: &str) -> String {
    format!(r#"{{"Effect":"Allow","Action":"{action}","Resource":"{resource}"}}"#)
}

fn code(outcome: Result<Value, Error>) -> &'static str {
    outcome.map_or_else(|error| error_table::row(&error).query_code, |_| "OK")
}

/// An input that would do for any action.
fn some_input(account: &str, name: &str) -> Value {
    let arn = key(account, name).arn();
    let handle = json!({"taskId": "1", "sourceArn": arn}).to_string();
    let handle = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, handle);
    json!({
        "QueueUrl": url(account, name), "QueueName": name, "QueueOwnerAWSAccountId": account,
        "SourceArn": arn, "DestinationArn": arn, "TaskHandle": handle,
        "DestinationQueueUrl": url(account, name), "MessageBody": "x", "ReceiptHandle": "x",
        "VisibilityTimeout": 1, "Label": "x", "AWSAccountIds": [account], "Actions": ["*"],
        "Attributes": {"DelaySeconds": "1"}, "Tags": {"a": "b"},
        "TagKeys": ["a"], "Seconds": 1, "Name": "x", "Filter": {}, "MessageGroupId": "x",
        "Action": "sqs:SendMessage",
    })
}

#[tokio::test]
async fn no_action_is_open_to_who_may_do_nothing() {
    let world = World::new(CONFIG);
    world.queue(OWN, "there", "").await;
    let nobody = [Caller::anonymous(), user(OWN, ""), user(OTHER, "")];
    // Who may take a role is for the role to say as well: those actions have tests of their own.
    for row in action::all().filter(|row| row.permission.scope != Scope::Role) {
        for caller in &nobody {
            for name in ["there", "missing"] {
                let outcome = world.run(caller, row, some_input(OWN, name), None).await;
                // Of another account's queues AWS says whether they are there. It also lists and
                // makes only the caller's own.
                let missing = *caller == user(OTHER, "") && name == "missing";
                let expected = match outcome {
                    Err(Error::QueueOutOfReach | Error::ResourceNotFound(_)) if missing => continue,
                    outcome => code(outcome),
                };
                let refused = ["AccessDenied", "MissingAuthenticationToken"].contains(&expected);
                assert!(refused, "{expected}: {} of {name}: {caller:?}", row.name);
            }
        }
    }
    assert!(world.0.shards.find(&key(OWN, "missing")).is_none());
}

#[tokio::test]
async fn no_queues_policy_opens_an_action_of_our_own() {
    let world = World::new(CONFIG);
    let everybody = r#"{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}"#;
    world.queue(OWN, "open", everybody).await;
    // What is about an account is about the caller's own.
    let elsewhere = |row: &&Row| row.permission.scope != Scope::Account;
    for row in action::all().filter(|row| row.permission.is_ours()).filter(elsewhere) {
        for caller in [Caller::anonymous(), user(OWN, ""), user(OTHER, &allow("*", "*"))] {
            let outcome = world.run(&caller, row, some_input(OWN, "open"), None).await;
            let refused = outcome.is_err_and(|error| error.is_refusal());
            assert!(refused, "{}: {caller:?}", row.name);
        }
    }
}

#[tokio::test]
async fn what_concerns_every_account_is_for_the_servers_own() {
    let world = World::new(CONFIG);
    let info = || json!({});
    for (caller, expected) in [
        (root(OWN), "OK"),
        (root(OTHER), "AccessDenied"),
        (user(OWN, &allow("stanchion:GetServerInfo", "*")), "OK"),
        (user(OWN, &allow("sqs:*", "*")), "AccessDenied"),
        (user(OTHER, &allow("*", "*")), "AccessDenied"),
        (Caller::anonymous(), "MissingAuthenticationToken"),
    ] {
        let outcome = world.act(&caller, "GetServerInfo", info()).await;
        assert_eq!(code(outcome), expected, "{caller:?}");
    }
    // The server's owner operates every queue, but does not read other accounts' messages.
    world.queue(OTHER, "theirs", "").await;
    let theirs = || json!({"QueueUrl": url(OTHER, "theirs")});
    assert_eq!(code(world.act(&root(OWN), "PauseQueue", theirs()).await), "OK");
    assert_eq!(code(world.act(&root(OWN), "ReceiveMessage", theirs()).await), "AccessDenied");
}

#[tokio::test]
async fn a_refusal_says_who_what_and_why() {
    let world = World::new(CONFIG);
    let deny = r#"{"Effect":"Deny","Principal":{"AWS":"000000000000"},"Action":"sqs:PurgeQueue",
                   "Resource":"*"}"#;
    world.queue(OWN, "q", deny).await;
    let all = allow("*", "*");
    let narrow = Document::parse(&format!(r#"{{"Statement":{}}}"#, allow("sqs:L*", "*"))).unwrap();
    let session = Caller { session_policy: Some(Arc::new(narrow)), ..user(OWN, &all) };
    let but = format!(r#"{all},{}"#, allow("sqs:*", "*").replace("Allow", "Deny"));
    let send = |account| json!({"QueueUrl": url(account, "q"), "MessageBody": "x"});
    let ann = "User: arn:aws:iam::000000000000:user/ann is not authorized to perform: ";
    let on = "on resource: arn:aws:sqs:us-east-1:000000000000:q";
    #[rustfmt::skip]
    let cases = [
        (user(OWN, ""), "SendMessage", format!("{ann}sqs:sendmessage {on} because no identity-based policy allows the sqs:sendmessage action")),
        (user(OWN, &but), "SendMessage", format!("{ann}sqs:sendmessage {on} with an explicit deny in an identity-based policy")),
        (session, "SendMessage", format!("{ann}sqs:sendmessage {on} because no session policy allows the sqs:sendmessage action")),
        (root(OWN), "PurgeQueue", format!("User: arn:aws:iam::000000000000:root is not authorized to perform: sqs:purgequeue {on} with an explicit deny in a resource-based policy")),
        (root(OTHER), "SendMessage", format!("User: arn:aws:iam::222222222222:root is not authorized to perform: sqs:sendmessage {on} because no resource-based policy allows the sqs:sendmessage action")),
        (Caller::anonymous(), "SendMessage", "Access to the resource http://localhost:9324/000000000000/q is denied.".into()),
        (Caller::anonymous(), "ListQueues", "Access to the resource http://localhost:9324/ is denied.".into()),
        (user(OWN, ""), "ListQueues", format!("{ann}sqs:listqueues on resource: * because no identity-based policy allows the sqs:listqueues action")),
    ];
    for (caller, action, text) in cases {
        let outcome = world.act(&caller, action, send(OWN)).await;
        assert_eq!(outcome, Err(Error::AccessDenied(text.into())), "{action}");
    }
    // A queue that is not there is no different for its account's people.
    let missing =
        world.act(&user(OWN, ""), "DeleteQueue", json!({"QueueUrl": url(OWN, "x")})).await;
    assert_eq!(code(missing), "AccessDenied");
    let missing =
        world.act(&user(OWN, &all), "DeleteQueue", json!({"QueueUrl": url(OWN, "x")})).await;
    assert_eq!(missing, Err(Error::QueueDoesNotExist));
    let elsewhere =
        world.act(&root(OWN), "SendMessage", json!({"QueueUrl": url(OTHER, "x")})).await;
    assert_eq!(elsewhere, Err(Error::QueueOutOfReach));
}

#[tokio::test]
async fn other_accounts_and_nobody_get_what_a_queues_policy_gives() {
    let world = World::new(CONFIG);
    let open = r#"{"Effect":"Allow","Principal":"*","Action":"sqs:SendMessage","Resource":"*",
                   "Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}},
                  {"Effect":"Allow","Principal":{"AWS":"222222222222"},"Resource":"*",
                   "Action":["sqs:ReceiveMessage","sqs:GetQueueUrl"]}"#;
    world.queue(OWN, "shared", open).await;
    let send = || json!({"QueueUrl": url(OWN, "shared"), "MessageBody": "x"});
    let nobody = Caller::anonymous();
    assert_eq!(code(world.act(&nobody, "SendMessage", send()).await), "OK");
    assert_eq!(code(world.act(&nobody, "ReceiveMessage", send()).await), "AccessDenied");
    let batch =
        json!({"QueueUrl": url(OWN, "shared"), "Entries": [{"Id": "a", "MessageBody": "x"}]});
    assert_eq!(code(world.act(&nobody, "SendMessageBatch", batch).await), "OK");
    // Both sides have to.
    for (policies, expected) in [("", "AccessDenied"), (&allow("sqs:*", "*"), "OK")] {
        let theirs = user(OTHER, policies);
        assert_eq!(code(world.act(&theirs, "ReceiveMessage", send()).await), expected);
        let named = json!({"QueueName": "shared", "QueueOwnerAWSAccountId": OWN});
        assert_eq!(code(world.act(&theirs, "GetQueueUrl", named).await), expected);
        assert_eq!(code(world.act(&theirs, "DeleteQueue", send()).await), "AccessDenied");
    }
}

#[tokio::test]
async fn conditions_see_what_a_request_brings_along() {
    let world = World::new(CONFIG);
    let queue = world.queue(OWN, "q", "").await;
    let tags = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    };
    let holds = async |condition: &str, action: &str, more: Value| {
        let statement = allow("*", "*").replace('}', &format!(r#","Condition":{condition}}}"#));
        let mut input = json!({"QueueUrl": url(OWN, "q"), "QueueName": "q2"});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        match world.act(&user(OWN, &statement), action, input).await {
            Err(Error::AccessDenied(_)) => false,
            outcome => outcome.map(|_| true).unwrap(),
        }
    };
    let none = json!({});
    #[rustfmt::skip]
    let cases = [
        (r#"{"IpAddress":{"aws:SourceIp":"192.0.2.7"}}"#, "GetQueueUrl", &none, true),
        (r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#, "GetQueueUrl", &none, false),
        (r#"{"StringLike":{"aws:UserAgent":"tests/*"}}"#, "GetQueueUrl", &none, true),
        (r#"{"Bool":{"aws:SecureTransport":"true"}}"#, "GetQueueUrl", &none, false),
        (r#"{"DateGreaterThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}"#, "GetQueueUrl", &none, true),
        (r#"{"NumericLessThan":{"aws:EpochTime":"1577836800"}}"#, "GetQueueUrl", &none, false),
        (r#"{"StringEquals":{"aws:ResourceTag/Team":"red"}}"#, "ListQueueTags", &none, true),
        (r#"{"StringEquals":{"aws:ResourceTag/team":"blue"}}"#, "ListQueueTags", &none, false),
        (r#"{"StringEquals":{"aws:RequestTag/cost":"1"}}"#, "TagQueue", &json!({"Tags": tags(&[("cost", "1")])}), true),
        (r#"{"StringEquals":{"aws:RequestTag/cost":"1"}}"#, "TagQueue", &json!({"Tags": tags(&[("cost", "2")])}), false),
        (r#"{"ForAllValues:StringEquals":{"aws:TagKeys":"cost"}}"#, "TagQueue", &json!({"Tags": tags(&[("team", "x")])}), false),
        (r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":"cost"}}"#, "UntagQueue", &json!({"TagKeys": ["cost"]}), true),
        (r#"{"StringEquals":{"aws:RequestTag/cost":"1"}}"#, "CreateQueue", &json!({"tags": tags(&[("cost", "2")])}), false),
        (r#"{"Null":{"aws:SourceArn":"true"}}"#, "GetQueueUrl", &none, true),
        (r#"{"StringEquals":{"aws:username":"ann"}}"#, "GetQueueUrl", &none, true),
    ];
    for (condition, action, more, expected) in cases {
        let more = match action {
            "GetQueueUrl" => json!({"QueueName": "q"}),
            _ => more.clone(),
        };
        assert_eq!(holds(condition, action, more).await, expected, "{condition}");
    }
    assert!(world.0.shards.find(&queue).is_some());
}

#[tokio::test]
async fn tags_that_no_queue_can_have_are_held_against_no_policy() {
    let world = World::new(CONFIG);
    world.queue(OWN, "q", "").await;
    let nobody = user(OWN, "");
    let url = url(OWN, "q");
    let many: BTreeMap<_, _> = (0..51).map(|n| (format!("k{n}"), "v")).collect();
    let keys: Vec<_> = many.keys().collect();
    for (action, input) in [
        ("TagQueue", json!({"QueueUrl": url, "Tags": {"k": "v".repeat(257)}})),
        ("TagQueue", json!({"QueueUrl": url, "Tags": many})),
        ("UntagQueue", json!({"QueueUrl": url, "TagKeys": ["k".repeat(129)]})),
        ("UntagQueue", json!({"QueueUrl": url, "TagKeys": keys})),
        ("CreateQueue", json!({"QueueName": "new", "tags": {"k": "v".repeat(257)}})),
    ] {
        let outcome = world.act(&nobody, action, input).await;
        assert_eq!(code(outcome), "InvalidParameterValue", "{action}");
    }
    for (action, input) in [
        ("TagQueue", json!({"QueueUrl": url, "Tags": {"k": "v"}})),
        ("UntagQueue", json!({"QueueUrl": url, "TagKeys": ["k"]})),
    ] {
        assert_eq!(code(world.act(&nobody, action, input).await), "AccessDenied", "{action}");
    }
}

#[tokio::test]
async fn what_an_action_itself_refuses_is_on_record() {
    let world = World::new(CONFIG);
    let manager = user(OWN, &allow("*", "*"));
    let elsewhere = json!({"AccountId": OTHER, "UserName": "joe"});
    let of_root = json!({"AccountId": OWN});
    for (input, reason) in [
        (elsewhere, "Only root may manage other accounts."),
        (of_root, "Only root may manage the access keys of an account's root."),
    ] {
        let row = action::all().find(|row| row.name == "CreateAccessKey").unwrap();
        let record = Record::default();
        let outcome = world.run(&manager, row, input, Some(&record)).await;
        assert_eq!(outcome, Err(Error::AccessDenied(reason.into())));
        assert_eq!(record.refusal(), Some(reason));
    }
    let theirs = world.act(&root(OWN), "CreateAccessKey", json!({"AccountId": OTHER})).await;
    let id = theirs.unwrap()["AccessKeyId"].take();
    let row = action::all().find(|row| row.name == "DeleteAccessKey").unwrap();
    for (id, refusal) in
        [(id, Some("The access key is another account's.")), (json!("AKIAMISSING"), None)]
    {
        let record = Record::default();
        let outcome = world.run(&manager, row, json!({"AccessKeyId": id}), Some(&record)).await;
        assert_eq!(outcome, Err(Error::ResourceNotFound("AccessKeyId")));
        assert_eq!(record.refusal(), refusal);
    }
}

#[tokio::test]
async fn actions_that_do_more_than_one_thing_need_more_than_one_permission() {
    let world = World::new(CONFIG);
    let dead = world.queue(OWN, "dead", "").await;
    let source = world.queue(OWN, "source", "").await;
    let arn = dead.arn();
    world
        .0
        .shards
        .update(
            &source,
            Box::new(move |settings: &mut QueueSettings, _: &mut Tags| {
                settings.redrive = Some(crate::model::attributes::RedrivePolicy {
                    dead_letter_target_arn: arn,
                    max_receive_count: 1,
                });
                Ok(())
            }),
        )
        .await
        .unwrap();
    let dead = || json!({"SourceArn": key(OWN, "dead").arn()});
    let to =
        || json!({"SourceArn": key(OWN, "dead").arn(), "DestinationArn": key(OWN, "source").arn()});
    let moves = || {
        json!({"QueueUrl": url(OWN, "dead"), "DestinationQueueUrl": url(OWN, "source"),
        "Filter": {}, "DryRun": true})
    };
    let tagged = || json!({"QueueName": "new", "tags": {"a": "b"}});
    let plain = || json!({"QueueName": "plain"});
    let take = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];
    let with = |more: &[&'static str]| [&take[..], more].concat();
    for (action, input, needs) in [
        ("StartMessageMoveTask", to(), with(&["sqs:StartMessageMoveTask", "sqs:SendMessage"])),
        ("StartMessageMoveTask", dead(), with(&["sqs:StartMessageMoveTask", "sqs:SendMessage"])),
        (
            "ListMessageMoveTasks",
            dead(),
            vec!["sqs:ListMessageMoveTasks", "sqs:GetQueueAttributes"],
        ),
        ("MoveMessages", moves(), vec!["stanchion:MoveMessages", "sqs:SendMessage"]),
        ("CreateQueue", tagged(), vec!["sqs:CreateQueue", "sqs:TagQueue"]),
        ("CreateQueue", plain(), vec!["sqs:CreateQueue"]),
    ] {
        for without in &needs {
            let rest: Vec<_> = needs.iter().filter(|need| need != &without).collect();
            let statements: Vec<_> = rest.iter().map(|need| allow(need, "*")).collect();
            let outcome = world.act(&user(OWN, &statements.join(",")), action, input.clone()).await;
            assert_eq!(code(outcome), "AccessDenied", "{action} without {without}");
        }
        let statements: Vec<_> = needs.iter().map(|need| allow(need, "*")).collect();
        let outcome = world.act(&user(OWN, &statements.join(",")), action, input).await;
        // There may be such a task already.
        assert!(["OK", "InvalidParameterValue"].contains(&code(outcome)), "{action}");
    }
}

#[tokio::test]
async fn a_queue_is_made_on_use_only_for_who_may_make_it() {
    let mut world = World::new(CONFIG);
    Arc::get_mut(&mut world.0).unwrap().create_on_use = true;
    let send = || json!({"QueueUrl": url(OWN, "new"), "MessageBody": "x"});
    let sender = user(OWN, &allow("sqs:SendMessage", "*"));
    assert_eq!(world.act(&sender, "SendMessage", send()).await, Err(Error::QueueDoesNotExist));
    assert_eq!(code(world.act(&user(OWN, ""), "SendMessage", send()).await), "AccessDenied");
    assert!(world.0.shards.find(&key(OWN, "new")).is_none());
    let maker = user(OWN, &allow("sqs:*", "*"));
    assert_eq!(code(world.act(&maker, "SendMessage", send()).await), "OK");
}

#[tokio::test]
async fn a_simulation_tells_the_decision_and_the_statement() {
    let world = World::new(CONFIG);
    let statements = r#"{"Sid":"guests","Effect":"Allow","Principal":"*","Action":"sqs:SendMessage",
        "Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}},
        {"Effect":"Deny","Principal":"*","Action":"sqs:*","Resource":"*","Condition":
        {"StringEquals":{"aws:ResourceTag/team":"red","aws:UserAgent":"x"}}}"#;
    world.queue(OWN, "q", statements).await;
    let ask = async |more: Value| {
        let mut input = json!({"QueueUrl": url(OWN, "q"), "Action": "SendMessage"});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        world.act(&root(OWN), "SimulatePolicy", input).await
    };
    let inside = json!({"aws:sourceip": ["10.0.0.1"]});
    let policy = format!(r#"{{"Statement":[{}]}}"#, allow("sqs:Send*", "*"));
    let (ann, guest) = ("arn:aws:iam::000000000000:user/ann", "arn:aws:iam::222222222222:user/g");
    for (input, expected) in [
        (json!({}), json!({"Decision": "allowed"})),
        (
            json!({"Principal": "anonymous"}),
            json!({"Decision": "implicitDeny", "PolicyType": "resource"}),
        ),
        (
            json!({"Principal": "anonymous", "Context": inside}),
            json!({"Decision": "allowed", "PolicyType": "resource", "PolicyIndex": 0,
                "StatementIndex": 0, "StatementId": "guests"}),
        ),
        (json!({"Principal": ann}), json!({"Decision": "implicitDeny", "PolicyType": "identity"})),
        (
            json!({"Principal": ann, "Policies": [policy]}),
            json!({"Decision": "allowed", "PolicyType": "identity", "PolicyIndex": 0,
                "StatementIndex": 0}),
        ),
        (
            json!({"Principal": ann, "Policies": [policy], "Context": {"aws:UserAgent": ["x"]}}),
            json!({"Decision": "explicitDeny", "PolicyType": "resource", "PolicyIndex": 0,
                "StatementIndex": 1}),
        ),
        (
            json!({"Principal": guest, "Policies": [policy]}),
            json!({"Decision": "implicitDeny", "PolicyType": "resource"}),
        ),
    ] {
        assert_eq!(ask(input.clone()).await, Ok(expected), "{input}");
    }
    // A role's session has the role's policies, and one of its own may only take away.
    let session = |role: &str| format!("arn:aws:sts::000000000000:assumed-role/{role}/night");
    let narrower = format!(r#"{{"Statement":[{}]}}"#, allow("sqs:ReceiveMessage", "*"));
    for (input, expected) in [
        (
            json!({"Principal": session("sender")}),
            json!({"Decision": "allowed", "PolicyType": "identity", "PolicyIndex": 0,
                "StatementIndex": 0}),
        ),
        (
            json!({"Principal": session("sender"), "SessionPolicy": narrower}),
            json!({"Decision": "implicitDeny", "PolicyType": "session"}),
        ),
        (
            json!({"Principal": session("sender"), "SessionPolicy": narrower,
                "Action": "ReceiveMessage"}),
            json!({"Decision": "implicitDeny", "PolicyType": "identity"}),
        ),
        (
            json!({"Principal": session("missing")}),
            json!({"Decision": "implicitDeny", "PolicyType": "identity"}),
        ),
    ] {
        assert_eq!(ask(input.clone()).await, Ok(expected), "{input}");
    }
    for wrong in [
        json!({"Principal": "ann"}),
        json!({"Action": "Fly"}),
        json!({"Policies": ["{}"]}),
        json!({"Policies": vec![""; 21]}),
        json!({"SessionPolicy": "x"}),
    ] {
        assert_eq!(code(ask(wrong.clone()).await), "InvalidParameterValue", "{wrong}");
    }
    let long = " ".repeat(5_000) + "{}";
    assert_eq!(code(ask(json!({"Policies": vec![long; 5]})).await), "OverLimit");
}

#[tokio::test]
async fn without_authentication_nothing_is_asked() {
    let mut world = World::new(CONFIG);
    Arc::get_mut(&mut world.0).unwrap().verifier = None;
    let deny = r#"{"Effect":"Deny","Principal":"*","Action":"sqs:*","Resource":"*"}"#;
    world.queue(OWN, "shut", deny).await;
    world.queue(OTHER, "theirs", "").await;
    for (account, name) in [(OWN, "shut"), (OTHER, "theirs")] {
        let send = json!({"QueueUrl": url(account, name), "MessageBody": "x"});
        assert_eq!(code(world.act(&root(OWN), "SendMessage", send).await), "OK");
    }
}

#[test]
fn the_permissions_of_the_tables_are_those_of_their_service() {
    use crate::api::{sqs, stanchion};
    for row in sqs::ACTIONS {
        let single = row.name.strip_suffix("Batch").unwrap_or(row.name);
        assert_eq!(row.permission, Permission::sqs(single), "{}", row.name);
    }
    for row in stanchion::ACTIONS {
        assert_eq!((row.permission.service, row.permission.name), ("stanchion", row.name));
    }
}
