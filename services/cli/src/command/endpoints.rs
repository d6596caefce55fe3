//! `ostler endpoints`: who may be asked for what.

use serde_json::Value;

use crate::args::{EndpointArgs, EndpointForm};
use crate::client::encode;
use crate::failure::Failure;
use crate::output::{self, column, text, wide};
use crate::session::Session;

/// `ostler endpoints`.
pub async fn run(session: &Session, args: EndpointArgs) -> Result<(), Failure> {
    let name = args.name.unwrap_or_default();
    let (namespace, name) = name.split_once('/').unwrap_or(("", name.as_str()));
    let (path, workload) = match name.contains('.') {
        true => (format!("/v1/endpoints/{}", encode(name)), ""),
        false => ("/v1/endpoints".to_owned(), name),
    };
    let query =
        format!("?namespace={}&workload={}&all={}", encode(namespace), encode(workload), args.all);
    let path = format!("{path}{query}");
    if let Some(form) = args.format {
        let word = match form {
            EndpointForm::Prometheus => "prometheus",
            EndpointForm::Nginx => "nginx",
            EndpointForm::Haproxy => "haproxy",
        };
        let body = session.client.text(&format!("{path}&format={word}")).await?;
        output::print(&body);
        return Ok(());
    }
    if !args.watch {
        return table(session, &session.client.list(&path).await?);
    }
    let mut failed = Ok(());
    let path = format!("{path}&follow=true");
    let follow = session.client.follow(&path, |_, _, data| {
        let list: Value = serde_json::from_str(data).unwrap_or_default();
        if output::terminal() {
            output::print("\x1b[2J\x1b[H");
        }
        failed = table(session, list["items"].as_array().map_or(&[], Vec::as_slice));
        failed.is_ok()
    });
    follow.await?;
    failed
}

fn table(session: &Session, items: &[Value]) -> Result<(), Failure> {
    output::list(
        session.format,
        items,
        &[
            column("NAME", |item| match item["namespace"].as_str() {
                Some("default") | None => text(item, "name"),
                Some(other) => format!("{other}/{}", text(item, "name")),
            }),
            column("ADDRESS", |item| format!("{}:{}", text(item, "address"), text(item, "port"))),
            column("READY", |item| text(item, "ready")),
            column("WEIGHT", |item| text(item, "weight")),
            column("NODE", |item| text(item, "node")),
            column("INSTANCE", |item| text(item, "instance")),
            wide("SLOT", |item| text(item, "slot")),
            wide("ZONE", |item| text(item, "zone")),
            wide("PROTOCOL", |item| text(item, "protocol")),
            wide("VERSION", |item| text(item, "version")),
        ],
    )
}
