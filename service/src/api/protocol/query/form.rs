//! A request's parameters, wherever they stand, as one form.

use percent_encoding::percent_decode;
use serde::de::DeserializeOwned;

use super::input;
use crate::error::Error;
use crate::limits::INPUT_VALUES_MAX;
use crate::model::queue::{AccountId, QueueName};

/// Actions whose input has no `QueueUrl`: they are for the root path.
const WITHOUT_QUEUE: [&str; 6] = [
    "CancelMessageMoveTask",
    "CreateQueue",
    "GetQueueUrl",
    "ListMessageMoveTasks",
    "ListQueues",
    "StartMessageMoveTask",
];

/// Names and values. Where a name stands twice, the first counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Form {
    pairs: Vec<(String, String)>,
}

impl Form {
    /// The parameters of a request: those of its body, then those of its target. What is no UTF-8
    /// is refused rather than replaced: a body arrives as it was sent, or not at all.
    pub fn read(body: &[u8], target: &str) -> Result<Form, Error> {
        let mut pairs = Vec::new();
        let parts = [body, target.as_bytes()].into_iter().flat_map(|text| text.split(is(b'&')));
        for pair in parts.filter(|pair| !pair.is_empty()) {
            if pairs.len() == INPUT_VALUES_MAX {
                return Err(Error::MalformedQueryString("There are too many parameters.".into()));
            }
            let mut halves = pair.splitn(2, is(b'='));
            let mut half = || decode(halves.next().unwrap_or_default());
            pairs.push((half()?, half()?));
        }
        Ok(Form { pairs })
    }

    /// The input of an action.
    pub fn decode<Input: DeserializeOwned>(&self) -> Result<Input, Error> {
        input::decode(self.pairs.iter().map(|(name, value)| (&**name, &**value)))
    }

    /// The action's name; [`Error::MissingAction`] where there is none.
    pub fn action(&self) -> Result<&str, Error> {
        self.get("Action").ok_or(Error::MissingAction)
    }

    /// Which version of which service's API is meant, if it is said.
    pub fn version(&self) -> Option<&str> {
        self.get("Version")
    }

    /// Takes the queue from the path, unless a parameter names it, and checks that the path can
    /// serve the action.
    pub fn apply_path(&mut self, path: &str) -> Result<(), Error> {
        if self.get("QueueUrl").is_some() {
            return Ok(());
        }
        let action = self.action()?;
        let needs_queue = !WITHOUT_QUEUE.contains(&action);
        match path.trim_matches('/').is_empty() {
            true if !needs_queue => Ok(()),
            false if !is_queue_path(path) => Err(Error::InvalidAddress(path.into())),
            false if needs_queue => {
                self.pairs.push(("QueueUrl".into(), path.into()));
                Ok(())
            }
            _ => Err(Error::UnknownAction(action.into())),
        }
    }

    /// A parameter, if it is there and not empty.
    fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.pairs.iter().find(|(key, _)| key == name)?;
        (!value.is_empty()).then_some(value)
    }
}

/// Whether a path ends in `/<account>/<name>`, whatever stands before it.
fn is_queue_path(path: &str) -> bool {
    let mut segments = path.trim_end_matches('/').rsplit('/');
    let mut segment = || segments.next().unwrap_or_default();
    let (name, account) = (segment(), segment());
    QueueName::parse(name).is_ok() && AccountId::parse(account).is_some()
}

/// Undoes the encoding: `+` is a blank, and an escape that is none is refused.
fn decode(text: &[u8]) -> Result<String, Error> {
    let refuse = || Error::MalformedQueryString("The query string is malformed.".into());
    let is_escape = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    let mut rest = text;
    while let Some(at) = rest.iter().position(is(b'%')) {
        if !rest.get(at + 1..at + 3).is_some_and(is_escape) {
            return Err(refuse());
        }
        rest = &rest[at + 3..];
    }
    let text: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    String::from_utf8(percent_decode(&text).collect()).map_err(|_| refuse())
}

fn is(wanted: u8) -> impl Fn(&u8) -> bool {
    move |byte| *byte == wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(body: &str, target: &str) -> Form {
        Form::read(body.as_bytes(), target).unwrap()
    }

    #[test]
    fn parameters_of_body_and_target_are_one_form_and_the_body_comes_first() {
        let form = form("Action=SendMessage&MessageBody=a+b%2B%C3%A9&&Flag", "A=1&Action=Other");
        assert_eq!(form.action(), Ok("SendMessage"));
        assert_eq!(form.get("MessageBody"), Some("a b+é"));
        assert_eq!(form.get("A"), Some("1"));
        assert_eq!(form.get("Flag"), None);
    }

    #[test]
    fn what_is_no_text_is_refused() {
        for odd in ["A=%", "A=%4", "A=%zz", "%GG=1", "A=%ff", "A=%ed%a0%80", "A=%+1"] {
            let error = Form::read(odd.as_bytes(), "").unwrap_err();
            assert!(matches!(error, Error::MalformedQueryString(_)), "{odd}");
        }
        assert!(Form::read(b"A=\xff", "").is_err());
        assert!(Form::read("a&".repeat(INPUT_VALUES_MAX).as_bytes(), "").is_ok());
        assert!(Form::read("a&".repeat(INPUT_VALUES_MAX + 1).as_bytes(), "").is_err());
    }

    #[test]
    fn the_path_names_the_queue_unless_a_parameter_does() {
        let url = |text: &str, path: &str| {
            let mut form = form(text, "");
            form.apply_path(path).map(|()| form.get("QueueUrl").map(String::from))
        };
        let send = "Action=SendMessage";
        let path = Some("/000000000000/q".to_string());
        assert_eq!(url(send, "/000000000000/q"), Ok(path));
        let path = Some("/queue/eu-west-1/000000000000/q.fifo/".to_string());
        assert_eq!(url(send, "/queue/eu-west-1/000000000000/q.fifo/"), Ok(path));
        assert_eq!(url("Action=SendMessage&QueueUrl=q", "/odd"), Ok(Some("q".into())));
        assert_eq!(url(send, "/odd/path"), Err(Error::InvalidAddress("/odd/path".into())));
        assert_eq!(url(send, "/"), Err(Error::UnknownAction("SendMessage".into())));
        assert_eq!(url("Action=ListQueues", "/"), Ok(None));
        let refused = Err(Error::UnknownAction("ListQueues".into()));
        assert_eq!(url("Action=ListQueues", "/000000000000/q"), refused);
        assert_eq!(url("", "/000000000000/q"), Err(Error::MissingAction));
    }
}
