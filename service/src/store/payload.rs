//! The payload of a message row: everything a user sent that the engine does not look at. Encoded
//! and decoded in the request's task; body and binary attributes are shared, not copied.

use bytes::{BufMut, Bytes, BytesMut};

use super::StoreError;
use super::codec::put_text;
use super::reader::Reader;
use crate::model::message::{Attribute, AttributeValue, Attributes, Content, MessageId};

/// The payload's own version: its first byte.
const VERSION: u8 = 1;

/// Where the id is: after the version and the flags.
const ID_AT: usize = 2;

const HAS_ATTRIBUTES_MD5: u8 = 1;
const HAS_GROUP: u8 = 1 << 1;
const HAS_DEDUPLICATION: u8 = 1 << 2;
const HAS_TRACE: u8 = 1 << 3;

const TEXT: u8 = 0;
const BINARY: u8 = 1;

/// A message's id and content as the payload of its row. The body comes last.
pub fn encode_payload(id: &MessageId, content: &Content) -> Bytes {
    let mut out = BytesMut::with_capacity(size(content));
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
    out.freeze()
}

/// The same payload under another id. One that is damaged stays as it is: whoever decodes it will
/// say so.
pub fn with_another_id(payload: &Bytes, another: impl FnOnce(&MessageId) -> MessageId) -> Bytes {
    let mut out = BytesMut::from(payload.as_ref());
    if out.first() == Some(&VERSION)
        && let Some(id) = out.get_mut(ID_AT..).and_then(|rest| rest.first_chunk_mut())
    {
        *id = another(&MessageId(*id)).0;
    }
    out.freeze()
}

/// What [`encode_payload`] encoded.
pub fn decode_payload(payload: Bytes) -> Result<(MessageId, Content), StoreError> {
    let mut reader = Reader::new("payload", payload);
    match reader.u8()? {
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
