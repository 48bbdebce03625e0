//! The payload of a message row: everything a user sent that the engine does not look at. Encoded
//! and decoded in the request's task; body and binary attributes are shared, not copied.
//!
//! Where a queue's messages are kept encrypted, everything behind the id is sealed in the same task,
//! and what opens it stands behind. The id is readable, and bound: under another one the rest does
//! not open.

use bytes::{BufMut, Bytes, BytesMut};

use super::StoreError;
use super::codec::put_text;
use super::reader::Reader;
use crate::cipher::{Cipher, TRAILER_BYTES};
use crate::model::message::{Attribute, AttributeValue, Attributes, Content, MessageId};

/// The payload's own version: its first byte.
const VERSION: u8 = 1;

/// As version 1, but what is behind the id is sealed.
const SEALED: u8 = 2;

/// Where the id is: after the version and the flags.
const ID_AT: usize = 2;

/// What stays readable where the rest is sealed: up to and with the id.
const HEADING_BYTES: usize = ID_AT + 16;

const HAS_ATTRIBUTES_MD5: u8 = 1;
const HAS_GROUP: u8 = 1 << 1;
const HAS_DEDUPLICATION: u8 = 1 << 2;
const HAS_TRACE: u8 = 1 << 3;

const TEXT: u8 = 0;
const BINARY: u8 = 1;

/// A message's id and content as the payload of its row, sealed if there is a key. The body comes
/// last.
pub fn encode_payload(id: &MessageId, content: &Content, key: Option<&Cipher>) -> Bytes {
    let trailer = if key.is_some() { TRAILER_BYTES } else { 0 };
    let mut out = BytesMut::with_capacity(size(content) + trailer);
    let flag = |bit, set| if set { bit } else { 0 };
    out.put_u8(VERSION);
    out.put_u8(
        flag(HAS_ATTRIBUTES_MD5, content.attributes_md5.is_some())
            | flag(HAS_GROUP, content.group_id.is_some())
            | flag(HAS_DEDUPLICATION, content.deduplication_id.is_some())
            | flag(HAS_TRACE, content.trace_header.is_some()),
    );
    out.put_slice(&id.0);
    out.put_slice(&content.body_md5);
    if let Some(md5) = &content.attributes_md5 {
        out.put_slice(md5);
    }
    put_text(&mut out, &content.sender_id);
    for text in [&content.group_id, &content.deduplication_id].into_iter().flatten() {
        put_text(&mut out, text);
    }
    if let Some(trace) = &content.trace_header {
        put_bytes(&mut out, trace.as_bytes());
    }
    let count = u8::try_from(content.attributes.len()).expect("a message has ten attributes");
    out.put_u8(count);
    for (name, attribute) in &content.attributes {
        put_text(&mut out, name);
        put_text(&mut out, &attribute.data_type);
        match &attribute.value {
            AttributeValue::Text(text) => {
                out.put_u8(TEXT);
                put_bytes(&mut out, text.as_bytes());
            }
            AttributeValue::Binary(bytes) => {
                out.put_u8(BINARY);
                put_bytes(&mut out, bytes);
            }
        }
    }
    out.put_slice(&content.body);
    if let Some(key) = key {
        seal(&mut out, key);
    }
    out.freeze()
}

/// The payload with nothing sealed. One that does not open stays as it is, as one that is damaged
/// does in the next two: whoever decodes it will say so.
pub fn unsealed(payload: Bytes, key: Option<&Cipher>) -> Bytes {
    match is_sealed(&payload) {
        true => unseal(&payload, key).map_or(payload, BytesMut::freeze),
        false => payload,
    }
}

/// The payload sealed, if there is a key.
pub fn sealed(payload: Bytes, key: Option<&Cipher>) -> Bytes {
    match key {
        Some(key) if payload.first() == Some(&VERSION) && HEADING_BYTES <= payload.len() => {
            let mut out = BytesMut::with_capacity(payload.len() + TRAILER_BYTES);
            out.put_slice(&payload);
            seal(&mut out, key);
            out.freeze()
        }
        _ => payload,
    }
}

/// Whether it takes a key to read it.
pub fn is_sealed(payload: &[u8]) -> bool {
    payload.first() == Some(&SEALED)
}

/// Seals where it is, in memory, what has at least a heading.
fn seal(out: &mut BytesMut, key: &Cipher) {
    out[0] = SEALED;
    let (heading, text) = out.split_at_mut(HEADING_BYTES);
    let trailer = key.seal(heading, text);
    out.put_slice(&trailer);
}

fn unseal(payload: &[u8], key: Option<&Cipher>) -> Result<BytesMut, StoreError> {
    let corrupt = |what: &str| StoreError::Corrupt(format!("payload: {what}"));
    let key = key.ok_or_else(|| corrupt("it is sealed, and its queue has no key"))?;
    let parts = payload.split_last_chunk().filter(|(text, _)| HEADING_BYTES <= text.len());
    let (text, trailer) = parts.ok_or_else(|| corrupt("it is cut short"))?;
    let mut out = BytesMut::from(text);
    let (heading, text) = out.split_at_mut(HEADING_BYTES);
    key.open(heading, text, trailer).map_err(|error| corrupt(&error.to_string()))?;
    out[0] = VERSION;
    Ok(out)
}

/// The same payload, which is not sealed, under another id.
pub fn with_another_id(payload: &Bytes, another: impl FnOnce(&MessageId) -> MessageId) -> Bytes {
    let mut out = BytesMut::from(payload.as_ref());
    if out.first() == Some(&VERSION)
        && let Some(id) = out.get_mut(ID_AT..).and_then(|rest| rest.first_chunk_mut())
    {
        *id = another(&MessageId(*id)).0;
    }
    out.freeze()
}

/// What [`encode_payload`] encoded, with the same key.
pub fn decode_payload(
    payload: Bytes,
    key: Option<&Cipher>,
) -> Result<(MessageId, Content), StoreError> {
    let payload = match is_sealed(&payload) {
        true => unseal(&payload, key)?.freeze(),
        false => payload,
    };
    let mut reader = Reader::new("payload", payload)?;
    match reader.version() {
        VERSION => {}
        version => return Err(reader.corrupt(format_args!("version {version} is unknown"))),
    }
    let flags = reader.flags(HAS_ATTRIBUTES_MD5 | HAS_GROUP | HAS_DEDUPLICATION | HAS_TRACE)?;
    let has = |bit| flags & bit != 0;
    let id = MessageId(reader.array()?);
    let body_md5 = reader.array()?;
    let attributes_md5 = if has(HAS_ATTRIBUTES_MD5) { Some(reader.array()?) } else { None };
    let sender_id = reader.text()?;
    let group_id = if has(HAS_GROUP) { Some(reader.text()?) } else { None };
    let deduplication_id = if has(HAS_DEDUPLICATION) { Some(reader.text()?) } else { None };
    let trace_header = if has(HAS_TRACE) { Some(long_text(&mut reader)?) } else { None };
    let mut attributes = Attributes::new();
    for _ in 0..reader.u8()? {
        let (name, data_type) = (reader.text()?, reader.text()?);
        let value = match reader.u8()? {
            TEXT => AttributeValue::Text(long_text(&mut reader)?),
            BINARY => AttributeValue::Binary(long_bytes(&mut reader)?),
            kind => return Err(reader.corrupt(format_args!("attribute kind {kind} is unknown"))),
        };
        attributes.insert(name, Attribute { data_type, value });
    }
    let content = Content {
        body: reader.rest(),
        body_md5,
        attributes,
        attributes_md5,
        trace_header,
        sender_id,
        group_id,
        deduplication_id,
    };
    Ok((id, content))
}

/// Bytes of the encoded form, or a few more.
fn size(content: &Content) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, |text| 4 + text.len());
    let attributes: usize = content
        .attributes
        .iter()
        .map(|(name, attribute)| {
            let value = match &attribute.value {
                AttributeValue::Text(text) => text.len(),
                AttributeValue::Binary(bytes) => bytes.len(),
            };
            9 + name.len() + attribute.data_type.len() + value
        })
        .sum();
    53 + content.sender_id.len()
        + text(&content.group_id)
        + text(&content.deduplication_id)
        + text(&content.trace_header)
        + attributes
        + content.body.len()
}

/// Four bytes of length, then the bytes: at most a message's 1 MiB.
fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("a message is far smaller than 4 GiB");
    out.put_u32(length);
    out.put_slice(bytes);
}

fn long_bytes(reader: &mut Reader) -> Result<Bytes, StoreError> {
    let length = reader.u32()?;
    reader.take(length as usize)
}

fn long_text(reader: &mut Reader) -> Result<String, StoreError> {
    let bytes = long_bytes(reader)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => Err(reader.corrupt(format_args!("{error}"))),
    }
}
