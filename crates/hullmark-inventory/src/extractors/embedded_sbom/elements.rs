//! The elements of a list, of which each is read on its own: one that is malformed does not lose the others.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The most elements of one list that are read.
pub(super) const MAX_ELEMENTS: usize = 200_000;

/// The text of each element of a list.
#[derive(Default)]
pub(super) struct Elements<'a> {
    elements: Vec<&'a RawValue>,
    /// How many more there are.
    left: usize,
}

impl<'a> Elements<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Whether there are more elements than are read.
    pub(super) fn is_cut(&self) -> bool {
        self.left > 0
    }

    /// Reads each element.
    pub(super) fn read<T: Deserialize<'a>>(&self) -> impl Iterator<Item = Result<T, serde_json::Error>> {
        self.elements.iter().map(|element| serde_json::from_str(element.get()))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Elements<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<'a>(PhantomData<&'a RawValue>);

        impl<'de: 'a, 'a> Visitor<'de> for List<'a> {
            type Value = Elements<'a>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Elements::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut elements = Elements::default();
                while elements.elements.len() < MAX_ELEMENTS {
                    match list.next_element()? {
                        Some(element) => elements.elements.push(element),
                        None => return Ok(elements),
                    }
                }
                while list.next_element::<IgnoredAny>()?.is_some() {
                    elements.left += 1;
                }
                Ok(elements)
            }
        }

        deserializer.deserialize_any(List(PhantomData))
    }
}
