//! The audit log: who did what by what right, and who was not let do it. One line of JSON each,
//! written by a thread of its own; never a body, a secret or a signature.
//!
//! Lines about management actions and refused requests are waited for where the writer does not keep
//! up, before the request is answered; lines about actions on messages are then left out, and
//! counted. So is that of a client who went away, for whom nobody can wait. A line that cannot be
//! written is counted and said in the server's log.

mod file;

use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

use self::file::RotatingFile;
use crate::config::audit::{AuditOptions, AuditTarget};
use crate::env::{Clock, SystemClock};
use crate::model::caller::{Caller, Identity};
use crate::model::policy::actions::Permission;

/// Lines that may wait for the writer.
const LINES_WAITING_MAX: usize = 1024;

/// The outcome of a request whose client went away before there was one.
const ABANDONED: &str = "Abandoned";

/// The way to the writer.
pub struct Audit {
    to_writer: Sender<Message>,
    data_actions: bool,
    lost: Counter,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// Where lines go, opened.
pub enum Sink {
    /// Standard output.
    Stdout,
    /// Files, one after the other.
    File(RotatingFile),
}

enum Message {
    Line(Vec<u8>),
    /// Nothing comes any more.
    End,
}

/// A request in progress. Whatever becomes of it, it is put on record, if it is one of those that
/// are: whoever goes away does not take along what has been done.
pub struct Pending<'a> {
    audit: &'a Audit,
    request_id: &'a str,
    record: Record,
    is_on_record: bool,
}

/// What is known of one request.
#[derive(Default)]
pub struct Record {
    permission: OnceLock<Permission>,
    source: OnceLock<IpAddr>,
    caller: OnceLock<Arc<Caller>>,
    /// Guards what was asked for; held to look or to set, never while anything is waited for.
    asked: Mutex<Option<Note>>,
    refused: OnceLock<&'static str>,
}

/// A permission that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// As policies name it.
    pub action: String,
    /// An ARN, or `*`.
    pub resource: String,
    /// It was not given.
    pub refused: bool,
    /// The statement that decided, if one did.
    pub by: Option<String>,
}

/// One line.
#[derive(Debug, Serialize)]
struct Line<'a> {
    time: String,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_address: Option<IpAddr>,
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// What the request was answered with: `OK`, or the code of an error; or that nobody was there any
    /// more to answer.
    outcome: &'a str,
}

/// One request, over.
struct Event<'a> {
    record: &'a Record,
    request_id: &'a str,
    /// It was refused for who made it or for what they may do.
    refused: bool,
    /// `OK`, or the code of the error.
    outcome: &'a str,
    /// When, since 1970.
    now: Duration,
}

impl Pending<'_> {
    /// What is known of the request.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The request is about to be answered: with `outcome`, which is `OK` or the code of an error, and
    /// refused for who made it or for what they may do or not.
    /// It waits for the writer for no longer than `time_max`.
    pub async fn end(mut self, refused: bool, outcome: &str, time_max: Duration) {
        let Pending { audit, request_id, ref record, .. } = self;
        let now = SystemClock.wall();
        audit.put(Event { record, request_id, refused, outcome, now }, time_max).await;
        self.is_on_record = true;
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if self.is_on_record {
            return;
        }
        let Pending { audit, request_id, record, .. } = self;
        let now = SystemClock.wall();
        audit.put_now(&Event { record, request_id, refused: false, outcome: ABANDONED, now });
    }
}

impl Record {
    /// What the action needs; nothing is set where there is no such action.
    pub fn set_permission(&self, permission: Permission) {
        // One request is one action.
        let _ = self.permission.set(permission);
    }

    /// Where the request is from.
    pub fn set_source(&self, source: IpAddr) {
        // It is from one place.
        let _ = self.source.set(source);
    }

    /// Who makes it.
    pub fn set_caller(&self, caller: Arc<Caller>) {
        // It is made once.
        let _ = self.caller.set(caller);
    }

    /// Notes a permission that was asked for: the first, unless a later one is refused.
    pub fn note(&self, note: Note) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.is_none() || note.refused {
            *asked = Some(note);
        }
    }

    /// Notes why an action refuses what policies allow, whatever it answers.
    pub fn refuse(&self, reason: &'static str) {
        // The first reason is what it ends with.
        let _ = self.refused.set(reason);
    }

    /// Why the action refused, if it did.
    pub fn refusal(&self) -> Option<&'static str> {
        self.refused.get().copied()
    }

    fn asked(&self) -> Option<Note> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Sink {
    /// Opens what is configured; `None` where nothing is.
    pub fn open(options: &AuditOptions) -> Result<Option<Sink>, String> {
        let Some(target) = &options.audit_log else { return Ok(None) };
        Ok(Some(match target {
            AuditTarget::Stdout => Sink::Stdout,
            AuditTarget::File(path) => {
                let (bytes, files) = (options.audit_file_size as u64, options.audit_files);
                let file = RotatingFile::open(path.clone(), bytes, files);
                let why = |error| format!("audit_log: {}: {error}", path.display());
                Sink::File(file.map_err(why)?)
            }
        }))
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Sink::Stdout => io::stdout().lock().write_all(line),
            Sink::File(file) => file.write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::Stdout => io::stdout().lock().flush(),
            Sink::File(file) => file.flush(),
        }
    }
}

impl Audit {
    /// Starts the writer. `lost` counts the lines that are nowhere to be found.
    pub fn start(sink: Sink, data_actions: bool, lost: Counter) -> io::Result<Audit> {
        let (to_writer, lines) = channel(LINES_WAITING_MAX);
        let counter = lost.clone();
        let writer = thread::Builder::new()
            .name("audit".into())
            .spawn(move || write(sink, lines, &counter))?;
        Ok(Audit { to_writer, data_actions, lost, writer: Mutex::new(Some(writer)) })
    }

    /// A request begins.
    pub fn begin<'a>(&'a self, request_id: &'a str) -> Pending<'a> {
        Pending { audit: self, request_id, record: Record::default(), is_on_record: false }
    }

    /// Puts a request on record, if it is one of those that are. Waits for no longer than `time_max`,
    /// after which the line counts as lost.
    async fn put(&self, event: Event<'_>, time_max: Duration) {
        if !must_be(&event) {
            return self.put_now(&event);
        }
        let Some(line) = line(&event) else { return };
        let sent = timeout(time_max, self.to_writer.send(Message::Line(line))).await;
        if !sent.is_ok_and(|sent| sent.is_ok()) {
            self.lost.inc();
        }
    }

    /// The same, without waiting for the writer.
    fn put_now(&self, event: &Event<'_>) {
        let may_be = self.data_actions && event.record.permission.get().is_some();
        if !may_be && !must_be(event) {
            return;
        }
        let Some(line) = line(event) else { return };
        if self.to_writer.try_send(Message::Line(line)).is_err() {
            self.lost.inc();
        }
    }

    /// Writes what still waits, and ends.
    pub async fn close(&self) {
        // An error says that the writer has ended.
        let _ = self.to_writer.send(Message::End).await;
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ = tokio::task::spawn_blocking(move || writer.join()).await;
        }
    }
}

/// Whether it is a management action, or refused.
fn must_be(event: &Event<'_>) -> bool {
    event.refused
        || event.record.refusal().is_some()
        || event.record.permission.get().is_some_and(|permission| !permission.is_of_data())
}

fn line(event: &Event<'_>) -> Option<Vec<u8>> {
    let caller = event.record.caller.get();
    let asked = event.record.asked();
    let asked = asked.as_ref();
    let reason = event.record.refusal();
    let line = Line {
        time: i128::try_from(event.now.as_millis() * 1_000_000)
            .ok()
            .and_then(|nanos| OffsetDateTime::from_unix_timestamp_nanos(nanos).ok())
            .and_then(|time| time.format(&Rfc3339).ok())
            .unwrap_or_default(),
        request_id: event.request_id,
        principal: caller.map(|caller| match caller.identity {
            Identity::Anonymous => "anonymous".into(),
            _ => caller.arn().unwrap_or_default(),
        }),
        access_key_id: caller.and_then(|caller| caller.access_key_id.as_deref()),
        source_address: event.record.source.get().copied(),
        action: match (asked, event.record.permission.get()) {
            (Some(asked), _) => asked.action.clone(),
            (None, Some(permission)) => permission.to_string(),
            (None, None) => "unknown".into(),
        },
        resource: asked.map(|asked| &*asked.resource),
        decision: match (event.refused || reason.is_some(), asked) {
            (true, _) => Some("denied"),
            (false, Some(_)) => Some("allowed"),
            (false, None) => None,
        },
        // A statement that allowed did not decide then.
        statement: asked.filter(|_| reason.is_none()).and_then(|asked| asked.by.as_deref()),
        reason,
        outcome: event.outcome,
    };
    // Nothing in it can fail to be written.
    let mut text = serde_json::to_vec(&line).ok()?;
    text.push(b'\n');
    Some(text)
}

/// The thread: writes lines as they come, and hands them on when no more wait.
fn write(mut sink: Sink, mut lines: Receiver<Message>, lost: &Counter) {
    let mut failing = false;
    while let Some(Message::Line(line)) = lines.blocking_recv() {
        let written = sink.write(&line).and_then(|()| match lines.is_empty() {
            true => sink.flush(),
            false => Ok(()),
        });
        if let Err(error) = &written {
            lost.inc();
            if !failing {
                tracing::error!(%error, "the audit log cannot be written");
            }
        }
        failing = written.is_err();
    }
    if let Err(error) = sink.flush() {
        tracing::error!(%error, "the audit log cannot be written");
    }
}

#[cfg(test)]
mod tests;
