//! Writes answers that are mostly text: those of receives, which are most of what the server writes
//! at all. Their texts hardly ever need escaping, so they are looked at a vector at a time, where
//! serde_json looks at each byte. Numbers are its work here too.

use serde::Serialize;
use serde::ser::{Error as _, Impossible, SerializeMap, SerializeSeq, SerializeStruct, Serializer};
use serde_json::Error;

use crate::model::digest::digits;

/// Bytes that are looked at together.
const PART_BYTES: usize = 32;

/// JSON on its way out. It knows the shapes that such answers have: structures, maps with texts for
/// keys, lists, and plain values.
pub(super) struct Writer {
    out: Vec<u8>,
}

/// A structure, a map or a list that is being written.
pub(super) struct Compound<'a> {
    writer: &'a mut Writer,
    is_empty: bool,
    end: u8,
}

impl Writer {
    /// A value of about so many bytes.
    pub(super) fn write<T: Serialize>(value: &T, about: usize) -> Result<Vec<u8>, Error> {
        let mut writer = Writer { out: Vec::with_capacity(about) };
        value.serialize(&mut writer)?;
        Ok(writer.out)
    }

    fn number(&mut self, number: impl Serialize) -> Result<(), Error> {
        serde_json::to_writer(&mut self.out, &number)
    }

    fn compound(&mut self, start: u8, end: u8) -> Compound<'_> {
        self.out.push(start);
        Compound { writer: self, is_empty: true, end }
    }

    fn text(&mut self, text: &[u8]) {
        self.out.reserve(text.len() + 2);
        self.out.push(b'"');
        let mut plain = 0;
        for (number, part) in text.chunks(PART_BYTES).enumerate() {
            // Without an early end, so that the compiler makes vectors of it.
            if !part.iter().fold(false, |found, byte| found | needs_escape(*byte)) {
                continue;
            }
            for (at, byte) in part.iter().enumerate().filter(|(_, byte)| needs_escape(**byte)) {
                let at = number * PART_BYTES + at;
                self.out.extend_from_slice(&text[plain..at]);
                self.escaped(*byte);
                plain = at + 1;
            }
        }
        self.out.extend_from_slice(&text[plain..]);
        self.out.push(b'"');
    }

    fn escaped(&mut self, byte: u8) {
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            _ => {
                let [high, low] = digits(byte);
                return self.out.extend([b'\\', b'u', b'0', b'0', high, low]);
            }
        };
        self.out.extend([b'\\', short]);
    }
}

fn needs_escape(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

impl Compound<'_> {
    fn separate(&mut self) {
        if !std::mem::take(&mut self.is_empty) {
            self.writer.out.push(b',');
        }
    }
}

impl<'a> Serializer for &'a mut Writer {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeTuple = Impossible<(), Error>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeStructVariant = Impossible<(), Error>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.number(value)
    }

    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.number(value)
    }

    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.number(value)
    }

    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.number(value)
    }

    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        self.number(value)
    }

    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.number(value)
    }

    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.number(value)
    }

    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.number(value)
    }

    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        self.number(value)
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.number(value)
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        self.number(value)
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.text(value.as_bytes());
        Ok(())
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Error> {
        Err(no_answer())
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        Err(no_answer())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'a>, Error> {
        Ok(self.compound(b'[', b']'))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'a>, Error> {
        Ok(self.compound(b'{', b'}'))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Compound<'a>, Error> {
        Ok(self.compound(b'{', b'}'))
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Error> {
        Err(no_answer())
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, Error> {
        Err(no_answer())
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(no_answer())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Err(no_answer())
    }
}

impl SerializeSeq for Compound<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.separate();
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<(), Error> {
        self.writer.out.push(self.end);
        Ok(())
    }
}

impl SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.separate();
        key.serialize(&mut *self.writer)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.writer.out.push(b':');
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<(), Error> {
        SerializeSeq::end(self)
    }
}

impl SerializeStruct for Compound<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.serialize_key(name)?;
        self.serialize_value(value)
    }

    fn end(self) -> Result<(), Error> {
        SerializeSeq::end(self)
    }
}

fn no_answer() -> Error {
    Error::custom("an answer has no such shape")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug, Serialize)]
    enum State {
        InFlight,
    }

    #[derive(Debug, Serialize)]
    struct Answer {
        text: String,
        numbers: Vec<i64>,
        members: BTreeMap<String, Option<String>>,
        state: State,
        flag: bool,
        rate: f64,
        nothing: (),
    }

    proptest! {
        #[test]
        fn answers_are_what_serde_json_makes_of_them(
            text in "\\PC{0,100}|[\\x00-\\x7f]{0,100}",
            numbers: Vec<i64>,
            members: BTreeMap<String, Option<String>>,
            flag: bool,
            rate in -1e9..1e9f64,
        ) {
            let answer =
                Answer { text, numbers, members, state: State::InFlight, flag, rate, nothing: () };
            let written = String::from_utf8(Writer::write(&answer, 0).unwrap()).unwrap();
            prop_assert_eq!(written, serde_json::to_string(&answer).unwrap());
        }
    }

    #[test]
    fn every_character_is_escaped_as_serde_json_does_it_wherever_it_stands() {
        for byte in 0..=0x7f {
            for before in [0, 1, PART_BYTES - 1, PART_BYTES, 3 * PART_BYTES] {
                let text = format!("{}{}{}", "x".repeat(before), char::from(byte), "é\\");
                let written = String::from_utf8(Writer::write(&text, 0).unwrap()).unwrap();
                assert_eq!(written, serde_json::to_string(&text).unwrap());
            }
        }
    }
}
