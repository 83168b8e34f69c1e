//! Strict JSON objects. By default, serde also reads a struct from an array of its fields, in their
//! order. An array is refused here, because that order may change.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// A struct that is read from an object only.
#[derive(Debug, Clone, PartialEq)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Keys(PhantomData)).map(Self)
    }
}

struct Keys<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Keys<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, keys: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(keys))
    }
}

/// Reads an array of structs, each from an object.
pub(crate) fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Vec::deserialize(deserializer)?.into_iter().map(|Object(value)| value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transition::Facts;
    use serde_json::json;

    #[test]
    fn an_array_of_fields_is_not_an_object() {
        let read = |json| serde_json::from_value::<Object<Facts>>(json);
        assert_eq!(read(json!({"rewind": true})).unwrap().0.rewind, Some(true));
        for other in [
            json!([true, true, {}, true]),
            json!([]),
            json!(null),
            json!("rewind"),
            json!([{"rewind": true}]),
        ] {
            assert!(read(other.clone()).is_err(), "{other}");
        }
    }
}
