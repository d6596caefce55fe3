//! A document as a source for serde, which names the place of every fault.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::fault::{Fault, list};
use super::path::Step;
use super::{Tree, Value};

/// A value that serde may read.
pub(super) struct Source<'t>(pub(super) &'t Tree);

impl<'de> Deserializer<'de> for Source<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Null | Value::Gone => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => match number.as_f64() {
                    Some(number) => visitor.visit_f64(number),
                    None => Err(Fault::custom("this number is too large")),
                },
            },
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::Strange(what) => Err(Fault::invalid_type(Unexpected::Other(what), &visitor)),
            Value::List(items) => visitor.visit_seq(Items { items, next: 0 }),
            Value::Table(entries) => visitor.visit_map(Entries { entries, value: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.0.value == Value::Null { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        // Derived types would take a list for a table, field by field.
        match &self.0.value {
            Value::List(_) => Err(Fault::invalid_type(Unexpected::Seq, &visitor)),
            Value::Null
            | Value::Gone
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Text(_)
            | Value::Strange(_)
            | Value::Table(_) => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Text(text) => visitor.visit_enum(Choice { name: text, content: None }),
            Value::Table(entries) if entries.len() == 1 => {
                let (name, content) = &entries[0];
                visitor.visit_enum(Choice { name, content: Some(content) })
            }
            Value::Table(entries) => Err(Fault::custom(format!(
                "expected a table with one key of {}, found {} keys",
                list(variants),
                entries.len()
            ))),
            Value::Null
            | Value::Gone
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Strange(_)
            | Value::List(_) => Err(Fault::custom(format!("expected one of {}", list(variants)))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
        f32 // tidy: allow(f32) serde asks for it by this name
        f64 // tidy: allow(f64) serde asks for it by this name
    }
}

struct Items<'t> {
    items: &'t [Tree],
    next: usize,
}

impl<'t> SeqAccess<'t> for Items<'t> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'t>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        let left = self.items.iter().enumerate().skip(self.next);
        let Some((index, item)) = left.into_iter().find(|(_, tree)| tree.value != Value::Gone)
        else {
            return Ok(None);
        };
        self.next = index + 1;
        seed.deserialize(Source(item)).map(Some).map_err(|fault| fault.inside(Step::Index(index)))
    }
}

struct Entries<'t> {
    entries: &'t [(String, Tree)],
    value: Option<&'t (String, Tree)>,
}

impl<'t> MapAccess<'t> for Entries<'t> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'t>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        let Some((first, rest)) = self.entries.split_first() else { return Ok(None) };
        self.entries = rest;
        self.value = Some(first);
        let key: StrDeserializer<'_, Fault> = first.0.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|fault| fault.inside(Step::Key(first.0.clone())))
    }

    fn next_value_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let (key, tree) = self.value.take().expect("serde asks for a key before its value");
        seed.deserialize(Source(tree)).map_err(|fault| fault.inside(Step::Key(key.clone())))
    }
}

/// One of several, by name, with what is written under that name.
struct Choice<'t> {
    name: &'t str,
    content: Option<&'t Tree>,
}

impl<'t> EnumAccess<'t> for Choice<'t> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'t>>(self, seed: S) -> Result<(S::Value, Self), Fault> {
        let name: StrDeserializer<'_, Fault> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'t> Choice<'t> {
    fn content(&self) -> Result<Source<'t>, Fault> {
        let missing = || Fault::custom(format!("expected a table with the key `{}`", self.name));
        self.content.map(Source).ok_or_else(missing)
    }

    fn inside(&self) -> impl FnOnce(Fault) -> Fault + use<> {
        let step = Step::Key(self.name.to_owned());
        |fault| fault.inside(step)
    }
}

impl<'t> VariantAccess<'t> for Choice<'t> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.content {
            None => Ok(()),
            Some(_) => Err(Fault::custom("expected a text, found a table")),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'t>>(self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(self.content()?).map_err(self.inside())
    }

    fn tuple_variant<V: Visitor<'t>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.content()?.deserialize_any(visitor).map_err(self.inside())
    }

    fn struct_variant<V: Visitor<'t>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.content()?.deserialize_any(visitor).map_err(self.inside())
    }
}
