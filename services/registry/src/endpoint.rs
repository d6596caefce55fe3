//! Endpoints: which instances may be asked for what, by `<workload>.<port>`.

use ostler_bus::Caller;
use ostler_schemas::bucket::Bucket;
use ostler_schemas::pb;
use ostler_schemas::problem::Problem;

use crate::app::Shared;
use crate::index::{EndpointFilter, limit};

/// `endpoint.list`: ready ones, unless all are asked for. What was told to stop is ready no more.
pub async fn list(
    app: Shared,
    _: Caller,
    request: pb::EndpointList,
) -> Result<pb::EndpointListReply, Problem> {
    let (filter, limit) = (EndpointFilter::read(&request)?, limit(request.limit)?);
    let revision = app.index.revision(&Bucket::Reports).0;
    let page = app.index.read(|picture| picture.endpoints(&filter, &request.cursor, limit))?;
    Ok(pb::EndpointListReply { items: page.items, next_cursor: page.next, revision })
}
