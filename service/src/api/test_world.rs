//! A server that asks for permissions and listens nowhere: actions are done to it as who its tests say.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::api::action::{self, Row};
use crate::api::admission::{Admission, Bounds};
use crate::api::call::{App, Call, Origin};
use crate::api::protocol::query::Form;
use crate::api::protocol::{Input, Protocol};
use crate::audit::Record;
use crate::auth::signature::verify::Verifier;
use crate::config::CommandLine;
use crate::env::SystemClock;
use crate::error::Error;
use crate::model::caller::Caller;
use crate::shard::handle::Shards;
use crate::shard::start::StartOptions;
use crate::store::memory::MemoryStore;

/// The server.
pub(crate) struct World(pub(crate) Arc<App>);

impl World {
    /// As a configuration file has it, which may be empty.
    pub(crate) fn new(config: &str) -> World {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(config.as_bytes()).unwrap();
        let path = file.path().to_str().unwrap();
        let line = CommandLine::load(["stanchiond", "--config", path].map(Into::into), |_| None);
        let options = StartOptions::new(Arc::new(MemoryStore::new()), Arc::new(SystemClock));
        let (shards, _failure) = Shards::start(options).unwrap();
        let mut app = App::new(&line.unwrap().config, shards);
        Arc::get_mut(&mut app).unwrap().verifier = Some(Verifier::new(Vec::new(), None));
        World(app)
    }

    /// Does an action for somebody.
    pub(crate) async fn act(
        &self,
        caller: &Caller,
        name: &str,
        input: Value,
    ) -> Result<Value, Error> {
        let row = action::all().find(|row| row.name == name).unwrap();
        self.run(caller, row, input, None).await
    }

    /// The same, and puts on record what was asked.
    pub(crate) async fn run(
        &self,
        caller: &Caller,
        row: &'static Row,
        input: Value,
        record: Option<&Record>,
    ) -> Result<Value, Error> {
        let input = Input::Json(Bytes::from(input.to_string()));
        self.handle(caller, row, Protocol::Json, input, record).await
    }

    /// Does an action of STS; the answer is the result without its wrapping.
    pub(crate) async fn act_by_form(
        &self,
        caller: &Caller,
        name: &str,
        form: &str,
    ) -> Result<Value, Error> {
        let row = action::all().find(|row| row.name == name).unwrap();
        let input = Input::Query(Form::read(form.as_bytes(), "")?);
        let mut answer = self.handle(caller, row, Protocol::QueryInJson, input, None).await?;
        Ok(answer[format!("{name}Response")][format!("{name}Result")].take())
    }

    async fn handle(
        &self,
        caller: &Caller,
        row: &'static Row,
        protocol: Protocol,
        input: Input,
        record: Option<&Record>,
    ) -> Result<Value, Error> {
        let ticket = Admission::new(Bounds { requests_max: 9, bytes_max: 1 << 20 }).admit(0)?;
        let call = Call {
            app: &self.0,
            account: caller.account().unwrap_or(&self.0.account).clone(),
            caller: Arc::new(caller.clone()),
            permission: row.permission,
            region: self.0.region.clone(),
            trace_header: None,
            origin: Origin { scheme: "http", host: "localhost:9324".into() },
            source: [192, 0, 2, 7].into(),
            user_agent: Some("tests/1".into()),
            ticket: &ticket,
            request_id: "id",
            record,
        };
        let body = (row.handle)(protocol, input, &call).await?;
        Ok(serde_json::from_slice(&body).unwrap_or(Value::Null))
    }
}
