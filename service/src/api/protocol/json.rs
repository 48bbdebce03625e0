//! AWS JSON 1.0. Source: facts sheet, 1.1 to 1.3.

mod objects;
mod writer;

use memchr::{memchr, memchr2};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::objects::Objects;
use self::writer::Writer;
use crate::api::error_table;
use crate::error::Error;
use crate::limits::INPUT_VALUES_MAX;

/// Of requests (as a prefix) and answers.
pub const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// Whether a request with this `Content-Type` speaks JSON: any version of AWS JSON.
pub fn recognises(content_type: &str) -> bool {
    const PREFIX: &[u8] = b"application/x-amz-json";
    let start = content_type.as_bytes().get(..PREFIX.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// The input of an action. An empty body is an empty object.
pub fn decode<Input: DeserializeOwned>(body: &[u8]) -> Result<Input, Error> {
    let body = if body.is_empty() { b"{}" } else { body };
    if has_too_many_values(body) {
        return Err(Error::MalformedInput("There are too many values.".into()));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    Input::deserialize(Objects(&mut reader))
        .and_then(|input| reader.end().map(|()| input))
        .map_err(|error| Error::MalformedInput(explain(&error).into()))
}

/// Whether there are more values than any legal input has. Before each but the first stands a comma
/// or a bracket.
fn has_too_many_values(body: &[u8]) -> bool {
    let is_start = |byte: &u8| matches!(byte, b',' | b'[' | b'{');
    // So few at a time that their number is a byte, which the compiler makes vectors of.
    let count = |part: &[u8]| -> usize {
        let parts = part.chunks(u8::MAX.into());
        parts.map(|part| usize::from(part.iter().map(|b| u8::from(is_start(b))).sum::<u8>())).sum()
    };
    // Nearly every body has few of these bytes, wherever they stand. Only in others texts are told
    // from the rest.
    if body.len() <= INPUT_VALUES_MAX || count(body) <= INPUT_VALUES_MAX {
        return false;
    }
    let (mut values, mut rest) = (0, body);
    while let Some(quote) = memchr(b'"', rest) {
        values += count(&rest[..quote]);
        rest = after_text(&rest[quote + 1..]);
    }
    values + count(rest) > INPUT_VALUES_MAX
}

/// What comes behind a text whose opening quote was read.
fn after_text(mut rest: &[u8]) -> &[u8] {
    while let Some(at) = memchr2(b'"', b'\\', rest) {
        if rest[at] == b'"' {
            return &rest[at + 1..];
        }
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    &[]
}

/// The body of an answer, with about so many bytes of text if it is mostly that; empty for an action
/// without output.
pub fn encode<Output: Serialize>(
    output: &Output,
    text_bytes: Option<usize>,
) -> Result<Vec<u8>, Error> {
    let body = match text_bytes {
        Some(bytes) => Writer::write(output, bytes),
        None => serde_json::to_vec(output),
    };
    let body =
        body.map_err(|error| Error::Internal(format!("encoding an answer: {error}").into()))?;
    // Outputs are structs, which are objects; only the unit type is `null`.
    Ok(if body == b"null" { Vec::new() } else { body })
}

/// The body of an error.
pub fn encode_error(error: &Error) -> Vec<u8> {
    let row = error_table::row(error);
    let body = serde_json::json!({
        "__type": format!("{}#{}", row.namespace, row.shape),
        "message": error_table::public_text(error),
    });
    body.to_string().into_bytes()
}

/// What is wrong with a body, in the words of AWS where serde's can be translated.
fn explain(error: &serde_json::Error) -> String {
    if !error.is_data() {
        return "The request body is not valid JSON.".into();
    }
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(&*text, |(text, _)| text);
    let types = text.strip_prefix("invalid type: ");
    let Some((found, expected)) = types.and_then(|types| types.split_once(", expected ")) else {
        return text.into();
    };
    let found = match found.split([' ', '`']).next() {
        Some("map") => return "Start of structure or map found where not expected.".into(),
        Some("sequence") => return "Start of list found where not expected.".into(),
        Some("integer" | "floating") => "NUMBER_VALUE",
        Some("boolean") if found.contains("true") => "TRUE_VALUE",
        Some("boolean") => "FALSE_VALUE",
        Some("string") => "STRING_VALUE",
        _ => "NULL_VALUE",
    };
    let expected = match expected.split(' ').next() {
        _ if expected.starts_with("a string") => "a String",
        Some("i32" | "i64" | "u32" | "u64") => "an Integer",
        _ if expected.starts_with("a sequence") => "a List",
        _ => "a Structure",
    };
    format!("{found} can not be converted to {expected}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::api::sqs::send_message_batch::SendMessageBatch;

    #[derive(Debug, Default, PartialEq, Deserialize, Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Sample {
        text: Option<String>,
        number: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        list: Option<Vec<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        map: Option<BTreeMap<String, String>>,
    }

    fn refusal(body: &str) -> String {
        decode::<Sample>(body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn absent_null_and_unknown_members_are_all_the_same() {
        for body in ["", "{}", " {} ", r#"{"Text":null,"List":null}"#, r#"{"Novelty":[1,{}]}"#] {
            assert_eq!(decode(body.as_bytes()), Ok(Sample::default()), "{body}");
        }
    }

    #[test]
    fn a_member_of_the_wrong_type_is_refused_in_the_words_of_aws() {
        #[rustfmt::skip]
        let cases = [
            (r#"{"Text":5}"#,            "NUMBER_VALUE can not be converted to a String"),
            (r#"{"Text":1.5}"#,          "NUMBER_VALUE can not be converted to a String"),
            (r#"{"Text":true}"#,         "TRUE_VALUE can not be converted to a String"),
            (r#"{"Text":{}}"#,           "Start of structure or map found where not expected."),
            (r#"{"Text":[]}"#,           "Start of list found where not expected."),
            (r#"{"Number":"5"}"#,        "STRING_VALUE can not be converted to an Integer"),
            (r#"{"Number":1.5}"#,        "NUMBER_VALUE can not be converted to an Integer"),
            (r#"{"List":"a"}"#,          "STRING_VALUE can not be converted to a List"),
            (r#"{"Map":{"a":1}}"#,       "NUMBER_VALUE can not be converted to a String"),
            (r#"{"Text":"a","Text":"b"}"#, "duplicate field `Text`"),
            (r#"[]"#,                    "Start of list found where not expected."),
            (r#"{"Text":"a"#,            "The request body is not valid JSON."),
            (r#"{"Text":"a"} x"#,        "The request body is not valid JSON."),
        ];
        for (body, text) in cases {
            assert_eq!(refusal(body), text, "{body}");
        }
    }

    #[test]
    fn a_list_is_no_structure_however_deep_it_lies() {
        for input in [
            r#"["q"]"#,
            r#"{"Entries":[["a","body"]]}"#,
            r#"{"Entries":[{"MessageAttributes":{"a":["String","x"]}}]}"#,
            r#"{"Entries":[{"MessageSystemAttributes":{"AWSTraceHeader":["String"]}}]}"#,
        ] {
            let refusal = decode::<SendMessageBatch>(input.as_bytes()).unwrap_err();
            assert_eq!(refusal.to_string(), "Start of list found where not expected.", "{input}");
        }
        let whole = r#"{"Entries":[{"Id":"a","MessageAttributes":{"a":{"DataType":"String"}}}]}"#;
        assert!(decode::<SendMessageBatch>(whole.as_bytes()).is_ok());
        // A member that nobody knows may be anything.
        let novel = r#"{"Entries":[{"Novelty":[["x"]]}],"Novelty":[]}"#;
        assert!(decode::<SendMessageBatch>(novel.as_bytes()).is_ok());
    }

    #[test]
    fn values_are_counted_and_what_stands_in_texts_is_not() {
        let list = |count: usize| format!(r#"{{"List":[{}]}}"#, vec![r#""""#; count].join(","));
        // The object, its list, and the elements but the first.
        assert!(decode::<Sample>(list(INPUT_VALUES_MAX - 1).as_bytes()).is_ok());
        for body in [
            list(INPUT_VALUES_MAX),
            format!(r#"{{"Novelty":{}}}"#, "[".repeat(1 << 20)),
            format!(r#"{{"Text":"{}","Novelty":{}}}"#, ",".repeat(9000), "[],".repeat(3000)),
            format!(r#"{{"Text":"\\","Novelty":{}}}"#, "{},".repeat(3000)),
        ] {
            assert_eq!(refusal(&body), "There are too many values.", "{}", &body[..80]);
        }
        for text in [",".repeat(9000), r#"{\"[\\\"],"#.repeat(9000)] {
            let sample: Sample = decode(format!(r#"{{"Text":"{text}"}}"#).as_bytes()).unwrap();
            assert_eq!(sample.text.map(|text| text.matches(',').count()), Some(9000));
        }
        for torn in ["\"", "\\", "\"\\", "\"\\\""] {
            assert!(decode::<Sample>(format!("{}{torn}", ",".repeat(9000)).as_bytes()).is_err());
        }
    }

    #[test]
    fn an_error_names_its_shape_in_full() {
        assert_eq!(
            String::from_utf8(encode_error(&Error::QueueDoesNotExist)).unwrap(),
            r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."}"#
        );
    }

    #[test]
    fn an_action_without_output_has_an_empty_body() {
        assert_eq!(encode(&(), None), Ok(Vec::new()));
        assert_eq!(encode(&BTreeMap::<String, String>::new(), None), Ok(b"{}".to_vec()));
    }

    #[test]
    fn every_version_of_aws_json_is_recognised() {
        for yes in [CONTENT_TYPE, "application/x-amz-json-1.1; charset=utf-8"] {
            assert!(recognises(yes), "{yes}");
        }
        for no in ["", "application/json", "application/x-www-form-urlencoded"] {
            assert!(!recognises(no), "{no}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(body in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = decode::<SendMessageBatch>(&body);
        }

        #[test]
        fn no_json_makes_the_decoder_panic(body in json_text(4)) {
            if let Err(error) = decode::<SendMessageBatch>(body.as_bytes()) {
                prop_assert!(matches!(error, Error::MalformedInput(_)));
            }
        }
    }

    /// JSON that looks a little like a batch of sends.
    fn json_text(depth: u32) -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_string()),
            Just("true".to_string()),
            any::<i64>().prop_map(|number| number.to_string()),
            any::<f32>().prop_map(|number| number.to_string()),
            any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
            Just("\"\\ud800\"".to_string()),
            Just("1e999".to_string()),
        ];
        let name = prop_oneof![
            Just("Entries"),
            Just("Id"),
            Just("MessageAttributes"),
            Just("BinaryValue"),
            Just("DataType"),
            Just("DelaySeconds"),
            Just("x")
        ];
        leaf.prop_recursive(depth, 64, 8, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8)
                    .prop_map(|items| format!("[{}]", items.join(","))),
                proptest::collection::vec((name.clone(), inner), 0..8).prop_map(|members| {
                    let members: Vec<_> =
                        members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }
}
