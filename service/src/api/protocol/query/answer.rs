//! Answers to Query requests: XML, and the same in JSON.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::members;
use super::tree::Tree;
use crate::api::error_table;
use crate::error::Error;

/// Of answers in XML.
pub const XML: &str = "text/xml";

/// Of answers in JSON.
pub const JSON: &str = "application/json";

/// Whose XML it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Of Amazon SQS.
    Sqs,
    /// Of the Security Token Service, whose errors have no details.
    Sts,
}

impl Dialect {
    fn namespace(self) -> &'static str {
        match self {
            Dialect::Sqs => "http://queue.amazonaws.com/doc/2012-11-05/",
            Dialect::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
        }
    }
}

/// The answer to an action, in XML.
pub fn xml<Output: Serialize>(
    dialect: Dialect,
    output: &Output,
    action: &str,
    request_id: &str,
) -> Result<Vec<u8>, Error> {
    let output = Tree::of(output)?;
    document(dialect, &format!("{action}Response"), |writer| {
        if output != Tree::Nothing {
            write_value(writer, action, &format!("{action}Result"), &output)?;
        }
        element(writer, "ResponseMetadata", |writer| text(writer, "RequestId", request_id))
    })
}

/// An error, in XML.
pub fn xml_error(dialect: Dialect, error: &Error, request_id: &str) -> Vec<u8> {
    let row = error_table::row(error);
    let written = document(dialect, "ErrorResponse", |writer| {
        element(writer, "Error", |writer| {
            text(writer, "Type", row.fault())?;
            text(writer, "Code", row.query_code)?;
            text(writer, "Message", &error_table::query_text(error))?;
            match dialect {
                Dialect::Sqs => writer.create_element("Detail").write_empty().map(drop),
                Dialect::Sts => Ok(()),
            }
        })?;
        text(writer, "RequestId", request_id)
    });
    // Memory takes whatever is written to it.
    written.unwrap_or_default()
}

/// The answer to an action, in the JSON that AWS makes of its XML.
///
/// Differs from AWS: a member without a value is left out, where AWS writes `null`.
pub fn json<Output: Serialize>(
    output: &Output,
    action: &str,
    request_id: &str,
) -> Result<Vec<u8>, Error> {
    let mut response = Map::new();
    if let Value::Object(members) = serde_json::to_value(output).map_err(odd)? {
        response.insert(format!("{action}Result"), flat(members));
    }
    response.insert("ResponseMetadata".into(), json!({ "RequestId": request_id }));
    Ok(json!({ format!("{action}Response"): response }).to_string().into_bytes())
}

/// An error, in JSON.
pub fn json_error(error: &Error, request_id: &str) -> Vec<u8> {
    let row = error_table::row(error);
    let text = error_table::query_text(error);
    let error = json!({ "Code": row.query_code, "Message": text, "Type": row.fault() });
    json!({ "Error": error, "RequestId": request_id }).to_string().into_bytes()
}

/// Outputs and memory take whatever is written to them.
pub(super) fn odd(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("encoding an answer: {error}").into())
}

type Xml = Writer<Vec<u8>>;

/// A document whose root holds what `content` writes.
fn document(
    dialect: Dialect,
    root: &str,
    content: impl FnOnce(&mut Xml) -> io::Result<()>,
) -> Result<Vec<u8>, Error> {
    let mut writer = Writer::new(Vec::new());
    let write = || {
        writer.write_event(Event::Decl(BytesDecl::new("1.0", None, None)))?;
        let root = writer.create_element(root).with_attribute(("xmlns", dialect.namespace()));
        root.write_inner_content(content).map(drop)
    };
    write().map_err(odd)?;
    Ok(writer.into_inner())
}

fn element(
    writer: &mut Xml,
    name: &str,
    content: impl FnOnce(&mut Xml) -> io::Result<()>,
) -> io::Result<()> {
    writer.create_element(name).write_inner_content(content).map(drop)
}

fn text(writer: &mut Xml, name: &str, value: &str) -> io::Result<()> {
    let escaped = BytesText::from_escaped(escape(value));
    writer.create_element(name).write_text_content(escaped).map(drop)
}

/// Quotes and carriage returns are escaped too, as SQS does. What XML cannot carry at all, which
/// no body contains but the text of an error may, is replaced.
fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\r' => escaped.push_str("&#xD;"),
            '\t' | '\n' => escaped.push(c),
            '\0'..'\u{20}' | '\u{fffe}' | '\u{ffff}' => escaped.push(char::REPLACEMENT_CHARACTER),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// The members of a structure, each list and map flattened.
fn write_members(writer: &mut Xml, action: &str, members: &[(String, Tree)]) -> io::Result<()> {
    for (name, value) in members {
        match (value, members::key(name)) {
            (Tree::List(items), _) => {
                let name = members::element(action, name);
                for item in items {
                    write_value(writer, action, &name, item)?;
                }
            }
            (Tree::Members(entries), Some(key)) => {
                let name = members::element(action, name);
                for (entry, value) in entries {
                    element(writer, &name, |writer| {
                        text(writer, key, entry)?;
                        write_value(writer, action, "Value", value)
                    })?;
                }
            }
            _ => write_value(writer, action, name, value)?,
        }
    }
    Ok(())
}

fn write_value(writer: &mut Xml, action: &str, name: &str, value: &Tree) -> io::Result<()> {
    match value {
        Tree::Members(members) if members.is_empty() => {
            writer.create_element(name).write_empty().map(drop)
        }
        Tree::Members(members) => {
            element(writer, name, |writer| write_members(writer, action, members))
        }
        Tree::Text(value) => text(writer, name, value),
        // No list is in a list, and what is not there is left out.
        Tree::List(_) | Tree::Nothing => Ok(()),
    }
}

/// Maps become lists of pairs, and two lists have names of their own.
fn flat(members: Map<String, Value>) -> Value {
    let flatten = |(name, value): (String, Value)| {
        let value = match (value, members::key(&name)) {
            (Value::Object(entries), Some(key)) => entries
                .into_iter()
                .map(|(entry, value)| json!({ key: entry, "Value": value }))
                .collect(),
            (Value::Array(items), _) => items.into_iter().map(flat_item).collect(),
            (value, _) => value,
        };
        let name = match name.as_str() {
            "QueueUrls" => "queueUrls".into(),
            "Messages" => "messages".into(),
            _ => name,
        };
        (name, value)
    };
    Value::Object(members.into_iter().map(flatten).collect())
}

fn flat_item(item: Value) -> Value {
    match item {
        Value::Object(members) => flat(members),
        value => value,
    }
}
