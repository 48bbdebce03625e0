//! What the three batches have in common. Source: facts sheet, 9.

use serde::Serialize;

use crate::api::error_table;
use crate::error::Error;
use crate::limits;

/// The answer to a batch. A list without members is left out: clients ask whether it is there.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct BatchOutput<Success> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    successful: Vec<Success>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<Failure>,
}

/// An entry that was done and has nothing more to say.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Done {
    id: String,
}

/// An entry that failed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    id: String,
    sender_fault: bool,
    code: &'static str,
    message: String,
}

impl Done {
    /// The answer to an entry.
    pub fn new(id: String) -> Done {
        Done { id }
    }
}

/// Checks what fails a batch as a whole, and returns the entries with their ids. `kind` is what AWS
/// calls an entry.
pub fn check_entries<Entry>(
    kind: &'static str,
    entries: Option<Vec<Entry>>,
    id: impl Fn(&mut Entry) -> Option<String>,
) -> Result<Vec<(String, Entry)>, Error> {
    let entries = entries.unwrap_or_default();
    if entries.is_empty() {
        return Err(Error::EmptyBatchRequest(kind));
    }
    if entries.len() > limits::BATCH_ENTRIES_MAX {
        return Err(Error::TooManyEntriesInBatchRequest(entries.len()));
    }
    let mut named = Vec::with_capacity(entries.len());
    for (index, mut entry) in entries.into_iter().enumerate() {
        let id = id(&mut entry).ok_or_else(|| Error::missing(member(kind, index, "Id")))?;
        let legal = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        if id.is_empty() || id.len() > limits::BATCH_ID_BYTES_MAX || !id.bytes().all(legal) {
            return Err(Error::InvalidBatchEntryId);
        }
        named.push((id, entry));
    }
    // At most ten: each is compared with those before it.
    let ids = || named.iter().map(|(id, _)| id);
    match ids().enumerate().find(|(at, id)| ids().take(*at).any(|other| other == *id)) {
        Some((_, id)) => Err(Error::BatchEntryIdsNotDistinct(id.clone())),
        None => Ok(named),
    }
}

/// What AWS calls a member of an entry; entries are counted from one.
pub fn member(kind: &str, index: usize, name: &str) -> String {
    format!("{kind}.{}.{name}", index + 1)
}

/// Brings the entries, each legal or not, and the results of the legal ones together, in request
/// order.
pub fn merge<Legal, Outcome, Success>(
    entries: Vec<(String, Result<Legal, Error>)>,
    outcomes: Vec<Result<Outcome, Error>>,
    success: impl Fn(String, Legal, Outcome) -> Success,
) -> Result<BatchOutput<Success>, Error> {
    let mut output = BatchOutput { successful: Vec::with_capacity(entries.len()), failed: vec![] };
    let mut outcomes = outcomes.into_iter();
    for (id, entry) in entries {
        let outcome = match entry {
            Ok(legal) => next(&mut outcomes)?.map(|outcome| (legal, outcome)),
            Err(error) => Err(error),
        };
        match outcome {
            Ok((legal, outcome)) => output.successful.push(success(id, legal, outcome)),
            Err(error) => output.failed.push(Failure::new(id, &error)),
        }
    }
    Ok(output)
}

/// The result of the only entry.
pub fn single<Outcome>(outcomes: Vec<Result<Outcome, Error>>) -> Result<Outcome, Error> {
    next(&mut outcomes.into_iter())?
}

fn next<T>(outcomes: &mut impl Iterator<Item = T>) -> Result<T, Error> {
    outcomes.next().ok_or(Error::Internal("fewer results than entries".into()))
}

impl Failure {
    fn new(id: String, error: &Error) -> Failure {
        let row = error_table::row(error);
        Failure {
            id,
            sender_fault: row.is_sender_fault(),
            code: row.entry_code(),
            message: error_table::public_text(error).into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ids: &[&str]) -> Result<Vec<String>, Error> {
        let entries = ids.iter().map(|id| id.to_string()).collect();
        let named = check_entries("Entry", Some(entries), |id| Some(std::mem::take(id)))?;
        Ok(named.into_iter().map(|(id, _)| id).collect())
    }

    #[test]
    fn a_batch_has_one_to_ten_entries_with_distinct_legal_ids() {
        assert!(check(&["a", "B-1_", &"x".repeat(80)]).is_ok());
        let ten: Vec<_> = (0..10).map(|n| n.to_string()).collect();
        let ten: Vec<_> = ten.iter().map(String::as_str).collect();
        assert!(check(&ten).is_ok());
        assert_eq!(check(&[]), Err(Error::EmptyBatchRequest("Entry")));
        let eleven = [&ten[..], &["x"]].concat();
        assert_eq!(check(&eleven), Err(Error::TooManyEntriesInBatchRequest(11)));
        for id in ["", "a b", "a.b", "ä", &"x".repeat(81)] {
            assert_eq!(check(&[id]), Err(Error::InvalidBatchEntryId), "{id}");
        }
        // The form of every id is looked at before any is compared.
        assert_eq!(check(&["a", "a", "!"]), Err(Error::InvalidBatchEntryId));
        assert_eq!(check(&["a", "b", "a"]), Err(Error::BatchEntryIdsNotDistinct("a".into())));
        let nameless = check_entries("Entry", Some(vec![()]), |()| None).unwrap_err();
        assert_eq!(nameless, Error::missing("Entry.1.Id"));
    }

    #[test]
    fn failures_keep_their_id_and_successes_their_order() {
        let entries = vec![
            ("a".to_string(), Ok(1)),
            ("b".to_string(), Err(Error::missing("X"))),
            ("c".to_string(), Ok(3)),
            ("d".to_string(), Ok(4)),
        ];
        let outcomes = vec![Ok("A"), Err(Error::Internal("disk".into())), Ok("D")];
        let output = merge(entries, outcomes, |id, legal, outcome| (id, legal, outcome)).unwrap();
        assert_eq!(
            serde_json::to_string(&output).unwrap(),
            concat!(
                r#"{"Successful":[["a",1,"A"],["d",4,"D"]],"Failed":["#,
                r#"{"Id":"b","SenderFault":true,"Code":"MissingParameter","#,
                r#""Message":"The request must contain the parameter X."},"#,
                r#"{"Id":"c","SenderFault":false,"Code":"InternalError","#,
                r#""Message":"We encountered an internal error. Please try again."}]}"#,
            )
        );
    }

    #[test]
    fn empty_lists_are_left_out() {
        let entries = vec![("a".to_string(), Ok(()))];
        let output = merge(entries, vec![Ok(())], |id, (), ()| Done::new(id)).unwrap();
        assert_eq!(serde_json::to_string(&output).unwrap(), r#"{"Successful":[{"Id":"a"}]}"#);
    }
}
