//! What an action is, and the tables that list them.

use std::future::Future;
use std::pin::Pin;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::call::Call;
use crate::api::protocol::{Input, Protocol};
use crate::api::{on_use, sqs, stanchion, sts};
use crate::error::Error;
use crate::model::policy::actions::{Permission, Scope};

/// One action: the members of its input as they are named on the wire, all optional, and what it
/// does. What is required, in range and consistent is for [`Action::run`] to check, in the words of
/// AWS.
pub trait Action: DeserializeOwned + Send + 'static {
    /// As on the wire: after the dot in `X-Amz-Target`, or the value of `Action=`.
    const NAME: &'static str;

    /// Whose action it is.
    const SERVICE: Service = Service::Sqs;

    /// By what right it is done. [`Call`] asks for it where the action turns to a queue. That of an
    /// action which is about all an account has or about the server is asked for before it runs:
    /// that is what an action needs which says nothing here.
    const PERMISSION: Permission = Permission::server(Self::NAME);

    /// What it answers, its members as on the wire; `()` for nothing at all.
    type Output: Serialize + Send;

    /// About how many bytes an answer takes that is mostly text; `None` for all others.
    fn text_bytes(_: &Self::Output) -> Option<usize> {
        None
    }

    /// Does it.
    fn run(self, call: &Call<'_>) -> impl Future<Output = Result<Self::Output, Error>> + Send;
}

/// A service of AWS. Requests are signed for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Amazon SQS. Our own actions count as its.
    Sqs,
    /// The Security Token Service.
    Sts,
}

impl Service {
    /// As in the scope of a signature.
    pub fn name(self) -> &'static str {
        match self {
            Service::Sqs => "sqs",
            Service::Sts => "sts",
        }
    }
}

/// The body of an answer, some time.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, Error>> + Send + 'a>>;

/// An action as its table knows it.
#[derive(Clone, Copy)]
pub struct Row {
    /// As on the wire.
    pub name: &'static str,
    /// Whose action it is.
    pub service: Service,
    /// By what right it is done.
    pub permission: Permission,
    /// Decodes, runs, encodes.
    pub handle: for<'a> fn(Protocol, Input, &'a Call<'a>) -> Answer<'a>,
}

/// The row of an action.
pub const fn row<A: Action>() -> Row {
    Row { name: A::NAME, service: A::SERVICE, permission: A::PERMISSION, handle: handle::<A> }
}

/// Every action there is.
pub fn all() -> impl Iterator<Item = &'static Row> {
    sqs::ACTIONS.iter().chain(stanchion::ACTIONS).chain(sts::ACTIONS)
}

/// An action of Amazon SQS; names are case-sensitive.
pub fn find(name: &str) -> Result<&'static Row, Error> {
    find_in(sqs::ACTIONS, name).ok_or_else(|| unknown(name))
}

/// The action that Query parameters name. The version says of which service; without a known one, the
/// name does.
pub fn find_query(name: &str, version: Option<&str>) -> Result<&'static Row, Error> {
    let of_sts = || find_in(sts::ACTIONS, name).ok_or_else(|| unknown(name));
    match version {
        Some(sts::VERSION) => of_sts(),
        _ => find(name).or_else(|_| of_sts()),
    }
}

/// The action that `X-Amz-Target` names: `<service>.<action>`.
pub fn find_target(target: &str) -> Result<&'static Row, Error> {
    let (service, name) = target.split_once('.').unwrap_or((target, ""));
    match service {
        "AmazonSQS" => find(name),
        "Stanchion" => find_in(stanchion::ACTIONS, name).ok_or_else(|| unknown(name)),
        _ => Err(unknown(target)),
    }
}

fn find_in(table: &'static [Row], name: &str) -> Option<&'static Row> {
    table.binary_search_by(|row| row.name.cmp(name)).ok().map(|at| &table[at])
}

fn unknown(name: &str) -> Error {
    Error::UnknownAction(name.chars().take(128).collect())
}

fn handle<'a, A: Action>(protocol: Protocol, input: Input, call: &'a Call<'a>) -> Answer<'a> {
    Box::pin(async move {
        if matches!(A::PERMISSION.scope, Scope::Account | Scope::Server) {
            call.ask_for_all()?;
        }
        if call.app.create_on_use && A::SERVICE == Service::Sqs {
            Box::pin(on_use::create_named(A::NAME, &input, call)).await?;
        }
        let action = input.decode::<A>()?;
        // A long poll may wait for long: it keeps what it asked for, not the bytes it came in.
        drop(input);
        let output = action.run(call).await?;
        protocol.encode(&output, A::text_bytes(&output), A::NAME, call.request_id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_and_no_name_is_in_two() {
        for table in [sqs::ACTIONS, stanchion::ACTIONS, sts::ACTIONS] {
            assert!(table.windows(2).all(|pair| pair[0].name < pair[1].name));
        }
        assert!(
            stanchion::ACTIONS
                .iter()
                .all(|row| row.permission.is_ours() && find(row.name).is_err())
        );
        assert!(sqs::ACTIONS.iter().all(|row| !row.permission.is_ours()));
        let mut names: Vec<_> = all().map(|row| row.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn parameters_name_an_action_of_either_service() {
        let found = |name: &str, version| find_query(name, version).map(|row| row.name);
        for version in [None, Some("2012-11-05"), Some("odd")] {
            assert_eq!(found("SendMessage", version), Ok("SendMessage"));
            assert_eq!(found("GetCallerIdentity", version), Ok("GetCallerIdentity"));
            assert!(matches!(found("GetServerInfo", version), Err(Error::UnknownAction(_))));
        }
        assert_eq!(found("AssumeRole", Some("2011-06-15")), Ok("AssumeRole"));
        let odd = found("SendMessage", Some("2011-06-15"));
        assert_eq!(odd, Err(Error::UnknownAction("SendMessage".into())));
    }

    #[test]
    fn an_action_is_named_after_its_service() {
        let found = |target: &str| find_target(target).map(|row| row.name);
        assert_eq!(found("AmazonSQS.SendMessage"), Ok("SendMessage"));
        assert_eq!(found("Stanchion.GetServerInfo"), Ok("GetServerInfo"));
        for target in ["", "SendMessage", "AmazonSNS.SendMessage", "AmazonSQS.sendMessage"] {
            assert!(matches!(found(target), Err(Error::UnknownAction(_))), "{target}");
        }
        for target in ["Stanchion.SendMessage", "AmazonSQS.GetCallerIdentity", "AmazonSQS."] {
            assert!(matches!(found(target), Err(Error::UnknownAction(_))), "{target}");
        }
    }
}
