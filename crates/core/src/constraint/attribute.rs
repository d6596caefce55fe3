//! The attributes of a node that expressions, preferences and spreads may name.

use std::borrow::Cow;

use crate::node::Node;

/// What a name such as `node.labels.rack` stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attribute {
    Name,
    Arch,
    Os,
    Kernel,
    Zone,
    Hardware,
    Pool,
    Driver(String),
    Label(String),
    Cpu,
    Memory,
    /// No node can have it.
    Unknown(String),
}

impl Attribute {
    /// What `name` stands for.
    pub(crate) fn named(name: &str) -> Self {
        let unknown = || Self::Unknown(name.to_owned());
        let Some(rest) = name.strip_prefix("node.") else { return unknown() };
        match rest.split_once('.') {
            Some(("driver", driver)) if !driver.is_empty() => Self::Driver(driver.to_owned()),
            Some(("labels", key)) if !key.is_empty() => Self::Label(key.to_owned()),
            Some(_) => unknown(),
            None => match rest {
                "name" => Self::Name,
                "arch" => Self::Arch,
                "os" => Self::Os,
                "kernel" => Self::Kernel,
                "zone" => Self::Zone,
                "hardware" => Self::Hardware,
                "pool" => Self::Pool,
                "cpu" => Self::Cpu,
                "memory" => Self::Memory,
                _ => unknown(),
            },
        }
    }

    /// Whether values are versions, not numbers or texts.
    pub(crate) fn is_version(&self) -> bool {
        matches!(self, Self::Driver(_) | Self::Kernel)
    }

    /// What the node has; `None` where it has nothing.
    pub(crate) fn of<'a>(&self, node: &'a Node) -> Option<Cow<'a, str>> {
        let facts = &node.facts;
        match self {
            Self::Name => Some(Cow::Borrowed(node.name.as_str())),
            Self::Pool => Some(Cow::Borrowed(node.pool.as_str())),
            Self::Arch => some(&facts.arch),
            Self::Os => some(&facts.os),
            Self::Kernel => some(&facts.kernel),
            Self::Zone => some(&facts.zone),
            Self::Hardware => some(&facts.hardware).or(Some(Cow::Borrowed(node.name.as_str()))),
            Self::Driver(driver) => facts.drivers.get(driver).map(|v| Cow::Borrowed(v.as_str())),
            Self::Label(key) => facts.labels.get(key).map(|v| Cow::Borrowed(v.as_str())),
            Self::Cpu => Some(Cow::Owned(facts.capacity.cpu.to_string())),
            Self::Memory => Some(Cow::Owned(facts.capacity.memory.0.to_string())),
            Self::Unknown(_) => None,
        }
    }
}

fn some(text: &str) -> Option<Cow<'_, str>> {
    (!text.is_empty()).then_some(Cow::Borrowed(text))
}

/// What `node` has for `name`, such as `node.zone` or `node.labels.rack`; `None` where it has
/// nothing and for a name that no node can have. cpu is in millicores and memory in bytes, both of
/// the capacity; a node without a hardware id is a machine of its own, under its own name.
#[must_use]
pub fn attribute<'a>(node: &'a Node, name: &str) -> Option<Cow<'a, str>> {
    Attribute::named(name).of(node)
}

/// Whether nodes can have an attribute of this name.
#[must_use]
pub fn is_attribute(name: &str) -> bool {
    !matches!(Attribute::named(name), Attribute::Unknown(_))
}
