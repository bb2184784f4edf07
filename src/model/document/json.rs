//! JSON as Go's decoder reads it: names of keys in any case, values looked at only where they matter.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// What kind of value a JSON text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    List,
    Text,
    Null,
    /// A number or a truth value.
    Other,
}

/// The kind of a value, by its first character.
pub(super) fn kind(value: &RawValue) -> Kind {
    match value.get().trim_start().as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::List,
        Some(b'"') => Kind::Text,
        Some(b'n') => Kind::Null,
        _ => Kind::Other,
    }
}

/// The text of a string, `None` for other values. Not every string is valid UTF-16, nor need it be.
pub(super) fn text(value: &RawValue) -> Option<String> {
    if kind(value) != Kind::Text {
        return None;
    }
    let mut json = serde_json::Deserializer::from_str(value.get());
    json.deserialize_bytes(Bytes).ok()
}

/// The value as an unsigned integer; the decoder of the registry takes no others for a size.
pub(super) fn number(value: &RawValue) -> Option<u64> {
    value.get().trim().parse().ok()
}

/// Goes through the fields of an object. Keys come in lower case, as Go's decoder compares them: by simple case
/// folding, under which two letters beyond ASCII are an `s` and a `k`.
pub(super) fn each_field<'a>(
    json: &'a str,
    see: impl FnMut(&str, &'a RawValue),
) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(json);
    json.deserialize_map(Fields(see, PhantomData))?;
    json.end()
}

/// Goes through the elements of a list.
pub(super) fn each_element<'a>(
    json: &'a str,
    see: impl FnMut(&'a RawValue),
) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(json);
    json.deserialize_seq(Elements(see, PhantomData))?;
    json.end()
}

struct Fields<'a, F>(F, PhantomData<&'a str>);

impl<'de: 'a, 'a, F: FnMut(&str, &'a RawValue)> Visitor<'de> for Fields<'a, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Key)? {
            (self.0)(&key, map.next_value::<&'de RawValue>()?);
        }
        Ok(())
    }
}

struct Elements<'a, F>(F, PhantomData<&'a str>);

impl<'de: 'a, 'a, F: FnMut(&'a RawValue)> Visitor<'de> for Elements<'a, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(value) = list.next_element::<&'de RawValue>()? {
            (self.0)(value);
        }
        Ok(())
    }
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        let folded = |letter: char| match letter {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            _ => letter.to_ascii_lowercase(),
        };
        Ok(deserializer.deserialize_bytes(Bytes)?.chars().map(folded).collect())
    }
}

/// A string, whose escapes may stand for half a character.
struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}
