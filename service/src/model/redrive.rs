//! `RedrivePolicy` and `RedriveAllowPolicy`. An empty text removes the attribute.

use serde_json::{Map, Value};

use super::attributes::{RedrivePolicy, parse_number};
use super::queue::QueueKey;
use crate::error::Error;
use crate::limits;

/// `RedrivePolicy`. Whether the target exists is for the catalogue to say. Source: facts sheet, 3.3.
pub(super) fn parse_redrive(text: &str) -> Result<Option<RedrivePolicy>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let refuse = |reason: String| Error::invalid("RedrivePolicy", text, reason);
    let policy = parse_map(text).ok_or_else(|| {
        Error::InvalidParameter(
            "Invalid value for the parameter RedrivePolicy. Reason: Redrive policy is not a valid \
             JSON map."
                .into(),
        )
    })?;
    let mandatory = |name: &str| {
        policy.get(name).filter(|value| !value.is_null()).ok_or_else(|| {
            refuse(format!("Redrive policy does not contain mandatory attribute: {name}."))
        })
    };
    let target = mandatory("deadLetterTargetArn")?;
    let count = mandatory("maxReceiveCount")?;
    if policy.len() > 2 {
        return Err(refuse(
            "Only following attributes are supported: [maxReceiveCount, deadLetterTargetArn]."
                .into(),
        ));
    }
    let target = target
        .as_str()
        .filter(|arn| QueueKey::parse_arn(arn).is_some())
        .ok_or_else(|| refuse("Dead-letter target ARN should be fully qualified ARN.".into()))?;
    let max_receive_count = match count {
        Value::String(digits) => parse_number(digits),
        number => number.as_u64().and_then(|count| u32::try_from(count).ok()),
    };
    let max_receive_count = max_receive_count
        .filter(|count| (1..=limits::MAX_RECEIVE_COUNT_MAX).contains(count))
        .ok_or_else(|| {
            let count = count.as_str().map_or_else(|| count.to_string(), str::to_string);
            refuse(format!(
                "Invalid value for maxReceiveCount: {count}, valid values are from 1 to 1000 both \
                 inclusive."
            ))
        })?;
    Ok(Some(RedrivePolicy { dead_letter_target_arn: target.into(), max_receive_count }))
}

/// A redrive policy in its canonical form: the count is a number.
pub(super) fn show_redrive(policy: &RedrivePolicy) -> String {
    serde_json::to_string(policy).expect("a text and a number are always JSON")
}

/// `RedriveAllowPolicy`, made canonical. Source: facts sheet, 3.4.
pub(super) fn parse_redrive_allow(text: &str) -> Result<Option<String>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let unsupported = || {
        Error::InvalidParameter(
            "Invalid value for the parameter RedriveAllowPolicy. Reason: Amazon SQS can't create \
             the redrive allow policy, as it’s in an unsupported format."
                .into(),
        )
    };
    let refuse = |why: &str| {
        Error::invalid(
            "RedriveAllowPolicy",
            text,
            format!("Amazon SQS can't create the redrive allow policy. {why}"),
        )
    };
    let policy = parse_map(text).ok_or_else(unsupported)?;
    let known = |name: &String| name == "redrivePermission" || name == "sourceQueueArns";
    if !policy.keys().all(known) {
        return Err(unsupported());
    }
    let sources = match policy.get("sourceQueueArns") {
        None | Some(Value::Null) => None,
        Some(Value::Array(sources)) if sources.iter().all(is_queue_arn) => Some(sources),
        Some(_) => return Err(unsupported()),
    };
    match policy.get("redrivePermission").and_then(Value::as_str) {
        Some("allowAll" | "denyAll") if sources.is_some() => Err(refuse(
            "To specify one or more source queue ARNs, you must set redrivePermission to byQueue.",
        )),
        Some("allowAll" | "denyAll") => Ok(()),
        Some("byQueue") => match sources.map_or(0, Vec::len) {
            0 => Err(refuse(
                "When you specify the byQueue permission type, you must also specify one or more \
                 sourceQueueArns values.",
            )),
            count if count > limits::REDRIVE_ALLOW_SOURCES_MAX => {
                Err(refuse("The maximum number of source queue ARNs you can specify is 10."))
            }
            _ => Ok(()),
        },
        _ => Err(unsupported()),
    }?;
    Ok(Some(Value::Object(policy).to_string()))
}

/// A policy as a map; a text that is too long for one is not even read.
fn parse_map(text: &str) -> Option<Map<String, Value>> {
    let text = Some(text).filter(|text| text.len() <= limits::POLICY_BYTES_MAX)?;
    serde_json::from_str(text).ok()
}

fn is_queue_arn(value: &Value) -> bool {
    value.as_str().is_some_and(|arn| QueueKey::parse_arn(arn).is_some())
}

/// Whether a queue with this `RedriveAllowPolicy`, as stored, may be the dead-letter queue of
/// `source`. Without a policy every queue may.
pub fn allows_redrive_from(policy: Option<&str>, source: &QueueKey) -> bool {
    let Some(policy) = policy.and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
        return true;
    };
    match policy["redrivePermission"].as_str() {
        Some("denyAll") => false,
        Some("byQueue") => policy["sourceQueueArns"].as_array().is_some_and(|sources| {
            sources.iter().filter_map(Value::as_str).any(|arn| arn == source.arn())
        }),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:sqs:us-east-1:000000000000:dead";

    fn redrive_error(text: &str) -> String {
        parse_redrive(text).unwrap_err().to_string()
    }

    #[test]
    fn a_redrive_policy_takes_its_count_as_a_number_or_as_digits() {
        for count in ["5", "\"5\""] {
            let text = format!(r#"{{"maxReceiveCount":{count},"deadLetterTargetArn":"{ARN}"}}"#);
            let policy = parse_redrive(&text).unwrap().unwrap();
            assert_eq!(
                show_redrive(&policy),
                format!(r#"{{"deadLetterTargetArn":"{ARN}","maxReceiveCount":5}}"#)
            );
        }
        assert_eq!(parse_redrive(""), Ok(None));
    }

    #[test]
    fn what_is_too_long_for_a_policy_is_none() {
        let padded = |text: &str| format!("{text:width$}", width = limits::POLICY_BYTES_MAX + 1);
        let redrive = format!(r#"{{"deadLetterTargetArn":"{ARN}","maxReceiveCount":1}}"#);
        assert!(parse_redrive(&padded(&redrive)).is_err());
        assert!(parse_redrive(padded(&redrive).trim_end()).is_ok());
        assert!(parse_redrive_allow(&padded(r#"{"redrivePermission":"allowAll"}"#)).is_err());
    }

    #[test]
    fn a_redrive_policy_is_refused_in_the_words_of_aws() {
        #[rustfmt::skip]
        let cases = [
            ("[]", "Invalid value for the parameter RedrivePolicy. Reason: Redrive policy is not a valid JSON map."),
            ("{}", "Value {} for parameter RedrivePolicy is invalid. Reason: Redrive policy does not contain mandatory attribute: deadLetterTargetArn."),
            (r#"{"deadLetterTargetArn":"x"}"#, r#"Value {"deadLetterTargetArn":"x"} for parameter RedrivePolicy is invalid. Reason: Redrive policy does not contain mandatory attribute: maxReceiveCount."#),
            (r#"{"deadLetterTargetArn":"x","maxReceiveCount":1}"#, r#"Value {"deadLetterTargetArn":"x","maxReceiveCount":1} for parameter RedrivePolicy is invalid. Reason: Dead-letter target ARN should be fully qualified ARN."#),
            (r#"{"deadLetterTargetArn":"x","maxReceiveCount":1,"a":2}"#, r#"Value {"deadLetterTargetArn":"x","maxReceiveCount":1,"a":2} for parameter RedrivePolicy is invalid. Reason: Only following attributes are supported: [maxReceiveCount, deadLetterTargetArn]."#),
        ];
        for (text, expected) in cases {
            assert_eq!(redrive_error(text), expected);
        }
        for count in ["0", "1001", "\"0\"", "-1", "1.5", "true"] {
            let text = format!(r#"{{"deadLetterTargetArn":"{ARN}","maxReceiveCount":{count}}}"#);
            let reason = format!(
                "Invalid value for maxReceiveCount: {}, valid values are from 1 to 1000 both \
                 inclusive.",
                count.trim_matches('"')
            );
            assert!(redrive_error(&text).ends_with(&reason), "{count}");
        }
    }

    #[test]
    fn a_redrive_allow_policy_says_which_queues_may_use_it() {
        let source = QueueKey::parse_arn("arn:aws:sqs:us-east-1:000000000000:source").unwrap();
        let allows = |text: &str| {
            let stored = parse_redrive_allow(text).unwrap();
            allows_redrive_from(stored.as_deref(), &source)
        };
        assert!(allows(""));
        assert!(allows(r#"{"redrivePermission":"allowAll"}"#));
        assert!(!allows(r#"{"redrivePermission":"denyAll"}"#));
        let by_queue =
            |arn: &str| format!(r#"{{"redrivePermission":"byQueue","sourceQueueArns":["{arn}"]}}"#);
        assert!(allows(&by_queue(&source.arn())));
        assert!(!allows(&by_queue(ARN)));
    }

    #[test]
    fn a_redrive_allow_policy_names_queues_exactly_when_it_goes_by_queue() {
        let eleven = vec![ARN; 11];
        let eleven = serde_json::json!({"redrivePermission": "byQueue", "sourceQueueArns": eleven});
        #[rustfmt::skip]
        let cases = [
            (format!(r#"{{"redrivePermission":"allowAll","sourceQueueArns":["{ARN}"]}}"#), "must set redrivePermission to byQueue."),
            (r#"{"redrivePermission":"byQueue"}"#.into(), "one or more sourceQueueArns values."),
            (eleven.to_string(), "source queue ARNs you can specify is 10."),
            (r#"{"redrivePermission":"x"}"#.into(), "in an unsupported format."),
            (r#"{"redrivePermission":"byQueue","sourceQueueArns":"a"}"#.into(), "in an unsupported format."),
            (r#"{"redrivePermission":"byQueue","sourceQueueArns":["a"]}"#.into(), "in an unsupported format."),
            (r#"{"redrivePermission":"denyAll","other":1}"#.into(), "in an unsupported format."),
            ("nonsense".into(), "in an unsupported format."),
        ];
        for (text, ending) in cases {
            let error = parse_redrive_allow(&text).unwrap_err().to_string();
            assert!(error.ends_with(ending), "{text}: {error}");
        }
    }
}
