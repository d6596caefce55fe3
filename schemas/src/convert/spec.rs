//! Specifications of workloads.

use ostler_core::workload::Workload;

use crate::pb;
use crate::wire::WireError;

impl TryFrom<pb::WorkloadSpec> for Workload {
    type Error = WireError;
    fn try_from(_raw: pb::WorkloadSpec) -> Result<Self, WireError> {
        unimplemented!("the schemas helper writes this")
    }
}

impl From<Workload> for pb::WorkloadSpec {
    fn from(_workload: Workload) -> Self {
        unimplemented!("the schemas helper writes this")
    }
}
