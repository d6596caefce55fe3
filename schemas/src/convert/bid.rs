//! Standing bids of nodes.

use ostler_core::node::{Bid, Refusal};
use ostler_core::workload::DriverKind;

use crate::pb;
use crate::wire::WireError;

/// So many refusals, and so many kinds in each.
const MOST: usize = 16;
/// Bytes of a reason.
const LONGEST: usize = 256;

impl From<&Bid> for pb::Bid {
    fn from(bid: &Bid) -> Self {
        let kinds = |one: &Refusal| one.kinds.iter().map(ToString::to_string).collect();
        let refusal = |one: &Refusal| pb::Refusal { kinds: kinds(one), why: one.why.clone() };
        Self { price: bid.price, refusals: bid.refusals.iter().map(refusal).collect() }
    }
}

impl TryFrom<pb::Bid> for Bid {
    type Error = WireError;

    fn try_from(raw: pb::Bid) -> Result<Self, WireError> {
        if raw.refusals.len() > MOST {
            return Err(WireError::field("bid.refusals", format!("more than {MOST}")));
        }
        let mut refusals = Vec::new();
        for (index, one) in raw.refusals.into_iter().enumerate() {
            refusals.extend(refusal(one, &format!("bid.refusals[{index}]"))?);
        }
        Ok(Self { price: raw.price, refusals })
    }
}

/// `None` for what only concerns kinds that a newer executor has and this version does not know.
fn refusal(raw: pb::Refusal, field: &str) -> Result<Option<Refusal>, WireError> {
    if raw.why.len() > LONGEST {
        let detail = format!("longer than {LONGEST} bytes");
        return Err(WireError::field(format!("{field}.why"), detail));
    }
    if raw.kinds.len() > MOST {
        return Err(WireError::field(format!("{field}.kinds"), format!("more than {MOST}")));
    }
    let known = |name: &String| DriverKind::ALL.into_iter().find(|kind| kind.as_str() == name);
    let kinds: Vec<DriverKind> = raw.kinds.iter().filter_map(known).collect();
    let concerns_us = raw.kinds.is_empty() || !kinds.is_empty();
    Ok(concerns_us.then_some(Refusal { kinds, why: raw.why }))
}
