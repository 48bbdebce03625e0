//! Parameters such as `Attribute.1.Name=VisibilityTimeout`, read into the input of an action.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::members;
use crate::error::Error;

/// The deepest name: `SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringListValue.1`.
const DEPTH_MAX: usize = 7;

/// The input that parameters spell.
pub(super) fn decode<'p, Input: DeserializeOwned>(
    parameters: impl Iterator<Item = (&'p str, &'p str)>,
) -> Result<Input, Error> {
    let mut root = Node::default();
    for (name, value) in parameters {
        // A deeper name is none of ours, and like every other of those it is passed over.
        if name.split('.').count() <= DEPTH_MAX {
            let leaf = name
                .split('.')
                .fold(&mut root, |node, part| node.children.entry(part).or_default());
            leaf.value.get_or_insert(value);
        }
    }
    Input::deserialize(Named { name: "", node: &root }).map_err(|Refusal(error)| error)
}

/// What parameters with a common beginning say: a value, or more beneath it.
#[derive(Default)]
struct Node<'p> {
    value: Option<&'p str>,
    children: BTreeMap<&'p str, Node<'p>>,
}

impl<'p> Node<'p> {
    /// The elements of a list or a map, in the order of their indices. One alone may stand without
    /// an index, as in the oldest clients; an empty value alone is an empty list.
    fn elements(&self) -> Vec<&Node<'p>> {
        let index = |part: &&'p str| part.parse::<u32>().ok();
        let mut indexed: Vec<_> =
            self.children.iter().filter_map(|(part, node)| Some((index(part)?, node))).collect();
        indexed.sort_by_key(|(index, _)| *index);
        let lone = match self.value {
            Some(value) => !value.is_empty(),
            None => indexed.is_empty(),
        };
        lone.then_some(self).into_iter().chain(indexed.into_iter().map(|(_, node)| node)).collect()
    }
}

/// A node with the part of the parameter's name that led to it.
#[derive(Clone, Copy)]
struct Named<'n> {
    name: &'n str,
    node: &'n Node<'n>,
}

impl<'n> Named<'n> {
    fn text(self) -> Result<&'n str, Refusal> {
        match self.node.value {
            Some(text) => Ok(text),
            None if self.node.children.is_empty() => Ok(""),
            None => Err(Refusal(Error::MalformedInput(
                "Start of structure or map found where not expected.".into(),
            ))),
        }
    }

    fn number<T: FromStr>(self) -> Result<T, Refusal> {
        let text = self.text()?;
        text.parse().map_err(|_| {
            Refusal(Error::invalid(self.name.to_string(), text, "Must be an integer."))
        })
    }

    /// An element of a map: its key, empty where it has none, and its value.
    fn entry(self) -> (&'n str, Named<'n>) {
        let child = |name| self.node.children.get(name);
        let key = child("Name").or_else(|| child("Key")).and_then(|node| node.value);
        let name = key.unwrap_or_default();
        (name, Named { name, node: child("Value").unwrap_or(&NOTHING) })
    }
}

static NOTHING: Node<'static> = Node { value: None, children: BTreeMap::new() };

/// Why parameters do not spell an input.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Refusal(Error);

impl serde::de::Error for Refusal {
    fn custom<T: std::fmt::Display>(text: T) -> Refusal {
        Refusal(Error::MalformedInput(text.to_string().into()))
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            visitor.$visit(self.number()?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Named<'_> {
    type Error = Refusal;

    numbers! {
        deserialize_i32 visit_i32
        deserialize_i64 visit_i64
        deserialize_u32 visit_u32
        deserialize_u64 visit_u64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.text()? {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            text => {
                let reason = "Must be true or false.";
                Err(Refusal(Error::invalid(self.name.to_string(), text, reason)))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let elements = self.node.elements().into_iter();
        visitor.visit_seq(SeqDeserializer::new(elements.map(|node| Named { node, ..self })))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let elements = self.node.elements().into_iter();
        let entries = elements.map(|node| Named { node, ..self }.entry());
        visitor.visit_map(MapDeserializer::new(entries))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let children = self.node.children.iter();
        let members =
            children.map(|(name, node)| (members::of_parameter(name), Named { name, node }));
        visitor.visit_map(MapDeserializer::new(members))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct enum identifier
    }
}

impl<'de> IntoDeserializer<'de, Refusal> for Named<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::api::sqs::receive_message::ReceiveMessage;
    use crate::api::sqs::send_message_batch::SendMessageBatch;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    struct Sample {
        text: Option<String>,
        number: Option<i64>,
        attribute_names: Option<Vec<String>>,
        attributes: Option<BTreeMap<String, String>>,
        message_attributes: Option<BTreeMap<String, Value>>,
        entries: Option<Vec<Sample>>,
        #[serde(rename = "tags", alias = "Tags")]
        tags: Option<BTreeMap<String, String>>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    struct Value {
        data_type: Option<String>,
        string_value: Option<String>,
    }

    fn read(text: &str) -> Result<Sample, Error> {
        decode(text.split_whitespace().filter_map(|pair| pair.split_once('=')))
    }

    fn list(items: &[&str]) -> Option<Vec<String>> {
        Some(items.iter().map(|item| item.to_string()).collect())
    }

    fn map(pairs: &[(&str, &str)]) -> Option<BTreeMap<String, String>> {
        Some(pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    #[test]
    fn texts_and_numbers_are_members_of_their_own_name() {
        let sample = read("Action=X Version=2012-11-05 Text=5 Number=-5 Novelty.1.x=y").unwrap();
        assert_eq!((sample.text, sample.number), (Some("5".into()), Some(-5)));
    }

    #[test]
    fn lists_are_in_the_order_of_their_indices() {
        let names = |text| read(text).unwrap().attribute_names;
        assert_eq!(
            names("AttributeName.10=c AttributeName.2=b AttributeName.1=a"),
            list(&["a", "b", "c"])
        );
        assert_eq!(names("AttributeName=All"), list(&["All"]));
        assert_eq!(names("AttributeName="), list(&[]));
        assert_eq!(names("Text=x"), None);
    }

    #[test]
    fn maps_are_pairs_with_and_without_an_index() {
        let attributes = |text| read(text).unwrap().attributes;
        let both = "Attribute.1.Name=a Attribute.1.Value=1 Attribute.2.Name=b Attribute.2.Value=2";
        assert_eq!(attributes(both), map(&[("a", "1"), ("b", "2")]));
        assert_eq!(attributes("Attribute.Name=a Attribute.Value=1"), map(&[("a", "1")]));
        assert_eq!(attributes("Attribute.1.Name=Policy"), map(&[("Policy", "")]));
        // The action refuses a name that is empty, in its own words.
        assert_eq!(attributes("Attribute.entry.1.Name=a"), map(&[("", "")]));
        assert_eq!(read("Tag.1.Key=k Tag.1.Value=v").unwrap().tags, map(&[("k", "v")]));
    }

    #[test]
    fn structures_nest_in_lists_and_maps() {
        let sample = read(
            "SendMessageBatchRequestEntry.2.Text=two \
             SendMessageBatchRequestEntry.1.Text=one \
             SendMessageBatchRequestEntry.1.MessageAttribute.1.Name=n \
             SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType=String \
             SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue=v",
        );
        let entries = sample.unwrap().entries.unwrap();
        assert_eq!(entries[1].text.as_deref(), Some("two"));
        let value = &entries[0].message_attributes.as_ref().unwrap()["n"];
        assert_eq!(value.data_type.as_deref(), Some("String"));
        assert_eq!(value.string_value.as_deref(), Some("v"));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused() {
        for text in ["Number=x", "Number=", "Number=1.5", "Number=99999999999999999999"] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("for parameter Number is invalid"), "{text}: {error}");
        }
        assert!(matches!(read("Text.1=x"), Err(Error::MalformedInput(_))));
    }

    proptest! {
        #[test]
        fn no_parameters_make_the_decoder_panic(
            pairs in proptest::collection::vec((name(), "[a-z0-9%=]{0,4}"), 0..40),
        ) {
            let pairs = || pairs.iter().map(|(name, value)| (&**name, &**value));
            let _ = decode::<SendMessageBatch>(pairs());
            let _ = decode::<ReceiveMessage>(pairs());
        }
    }

    /// Names that look a little like those of a batch of sends.
    fn name() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just("SendMessageBatchRequestEntry".to_string()),
            Just("MessageAttribute".to_string()),
            Just("AttributeName".to_string()),
            Just("DelaySeconds".to_string()),
            Just("BinaryValue".to_string()),
            Just("Name".to_string()),
            Just("Value".to_string()),
            "[0-9]{0,12}",
            ".{0,3}",
        ];
        proptest::collection::vec(part, 0..12).prop_map(|parts| parts.join("."))
    }
}
