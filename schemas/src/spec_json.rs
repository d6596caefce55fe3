//! JSON of the messages whose JSON form is not their fields: a specification is written as people
//! write it, a document is itself.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::pb;
use ostler_core::workload::Workload;

impl Serialize for pb::WorkloadSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let workload = Workload::try_from(self.clone()).map_err(ser::Error::custom)?;
        workload.serialize(serializer)
    }
}
impl<'de> Deserialize<'de> for pb::WorkloadSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Workload::deserialize(deserializer).map(Self::from)
    }
}

impl Serialize for pb::Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value: serde_json::Value =
            serde_json::from_str(&self.json).map_err(ser::Error::custom)?;
        value.serialize(serializer)
    }
}
impl<'de> Deserialize<'de> for pb::Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        serde_json::to_string(&value).map(|json| Self { json }).map_err(de::Error::custom)
    }
}

macro_rules! any_object {
    ($type:ident, $what:literal) => {
        impl utoipa::PartialSchema for pb::$type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::schema::ObjectBuilder::new().description(Some($what)).into()
            }
        }
        impl utoipa::ToSchema for pb::$type {}
    };
}
any_object!(WorkloadSpec, "a workload as in model.md");
any_object!(Document, "a JSON document");
