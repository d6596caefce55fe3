//! `/v1/instances/{id}/exec`: a command inside an instance, over a WebSocket.
//!
//! Binary messages carry a stream: their first byte is 0 for what is typed, 1 for standard output, 2
//! for standard error. Text messages are JSON: `{"resize":{"rows":24,"columns":80}}` and
//! `{"end":true}` go in, and one of `{"exit_code":0}`, `{"signal":9}`, `{"refused":"…"}`,
//! `{"lost":"…"}` is the last that comes out.

use std::collections::VecDeque;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use ostler_bus::Dialog;
use ostler_bus::dialog::Broken;
use ostler_schemas::contract::{ExecInputOf, ExecOutputOf, SessionId};
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::instances::located;
use super::parameters::InstancePath;
use crate::answer::{Answer, Refusal};
use crate::app::App;
use crate::extract::policy::InstancesExec;
use crate::extract::{Allowed, InstanceRef, Params};

/// A message of a client has at most so many bytes; it is passed on in pieces.
const MOST_BYTES: usize = 64 * 1024;
/// A piece on the bus.
const PIECE: usize = 16 * 1024;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(exec))
}

/// What is run.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ExecParams {
    /// Program and arguments; repeated for each word.
    pub command: Vec<String>,
    /// With a terminal.
    pub tty: bool,
    /// Lines of the terminal; absent: 24.
    pub rows: Option<u32>,
    /// Characters in each; absent: 80.
    pub columns: Option<u32>,
}

type Talk = Dialog<ExecInputOf, ExecOutputOf>;

/// Run a command inside an instance, over a WebSocket: binary messages are streams (first byte 0
/// input, 1 output, 2 errors), text messages are JSON (`resize`, `end`; `exit_code`, `signal`,
/// `refused`, `lost`).
#[utoipa::path(get, path = "/v1/instances/{id}/exec", tag = "instances",
    params(InstancePath, ExecParams),
    responses((status = 101, description = "the command runs")))]
async fn exec(
    asker: Allowed<InstancesExec>,
    InstanceRef(id): InstanceRef,
    Params(params): Params<ExecParams>,
    upgrade: WebSocketUpgrade,
) -> Answer<Response> {
    if params.command.is_empty() {
        return Err(Refusal::malformed("command", "a program, and its arguments"));
    }
    let app = asker.app().clone();
    let permit = app.admit_stream().ok_or_else(|| {
        let limit = app.config().max_streams;
        let detail = format!("{limit} streams are followed already (`gateway.max_streams`)");
        Refusal::new(Code::Unavailable, detail)
    })?;
    let (view, node) = located(&asker, id).await?;
    let session = ostler_bus::op_id().to_ascii_lowercase();
    let address: SessionId = session.parse().expect("a ULID is one");
    let to = ExecInputOf { node: node.clone(), session: address.clone() };
    let from = ExecOutputOf { node: node.clone(), session: address };
    let dialog = Dialog::open(app.bus(), to, &from).await;
    let dialog = dialog.map_err(|error| {
        Problem::new(Code::Unavailable, format!("cannot run anything there now: {error}"))
    })?;
    let (rows, columns) = (params.rows.unwrap_or(24), params.columns.unwrap_or(80));
    let terminal = params.tty.then_some(pb::TerminalSize { rows, columns });
    let request = pb::Exec { instance: view.id, command: params.command, terminal, session };
    asker.ask_node(&node, request).await?;
    let stop = app.program().tasks.stop_token();
    let upgrade = upgrade.max_message_size(MOST_BYTES).max_frame_size(MOST_BYTES);
    Ok(upgrade.on_upgrade(async move |socket| {
        app.counts().streams.inc();
        tokio::select! {
            () = serve(socket, dialog, permit) => {}
            () = stop.cancelled() => {}
        }
        app.counts().streams.dec();
    }))
}

/// Carries what comes and goes until the command has ended or the client is gone.
async fn serve(mut socket: WebSocket, mut dialog: Talk, _permit: OwnedSemaphorePermit) {
    let last = match carry(&mut socket, &mut dialog).await {
        Ok(Some(last)) => last,
        Ok(None) => return,
        Err(error) => json!({ "lost": error.to_string() }),
    };
    // The client may have gone.
    socket.send(Message::text(last.to_string())).await.ok();
    socket.send(Message::Close(None)).await.ok();
}

/// The last word; `None` if the client is gone, which ends the command.
async fn carry(
    socket: &mut WebSocket,
    dialog: &mut Talk,
) -> Result<Option<serde_json::Value>, Broken> {
    let mut typed: VecDeque<pb::ExecInput> = VecDeque::new();
    loop {
        while dialog.has_room()
            && let Some(piece) = typed.pop_front()
        {
            dialog.send(piece).await?;
        }
        tokio::select! {
            piece = dialog.next() => {
                let Some(piece) = piece? else { continue };
                if let Some(ended) = piece.ended {
                    return Ok(Some(last_word(ended)));
                }
                for (stream, bytes) in [(1, piece.stdout), (2, piece.stderr)] {
                    if !bytes.is_empty() && !pass_on(socket, stream, &bytes).await {
                        return Ok(None);
                    }
                }
                dialog.took_one();
            }
            // What is typed waits with the client until there is room.
            said = socket.recv(), if typed.is_empty() => match said {
                Some(Ok(message)) => match read(message) {
                    Ok(pieces) => typed.extend(pieces),
                    Err(why) => return Err(Broken::Message(why)),
                },
                None | Some(Err(_)) => return Ok(None),
            },
        }
    }
}

async fn pass_on(socket: &mut WebSocket, stream: u8, bytes: &[u8]) -> bool {
    let mut message = Vec::with_capacity(bytes.len() + 1);
    message.push(stream);
    message.extend_from_slice(bytes);
    socket.send(Message::binary(message)).await.is_ok()
}

fn last_word(ended: pb::ExecEnded) -> serde_json::Value {
    match (ended.exit_code, ended.signal, ended.refused.as_str()) {
        (_, _, why) if !why.is_empty() => json!({ "refused": why }),
        (Some(code), _, _) => json!({ "exit_code": code }),
        (None, Some(signal), _) => json!({ "signal": signal }),
        (None, None, _) => json!({ "lost": "nobody can say how it ended" }),
    }
}

/// What a client says beside bytes.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Control {
    resize: Option<pb::TerminalSize>,
    end: bool,
}

fn read(message: Message) -> Result<Vec<pb::ExecInput>, String> {
    let piece = pb::ExecInput::default;
    match message {
        Message::Binary(bytes) => match bytes.split_first() {
            Some((0, typed)) => Ok(typed
                .chunks(PIECE)
                .map(|part| pb::ExecInput { bytes: part.to_vec(), ..piece() })
                .collect()),
            _ => Err("a binary message begins with 0".to_owned()),
        },
        Message::Text(text) => {
            let control: Control = serde_json::from_str(&text)
                .map_err(|error| format!("a text message is `resize` or `end`: {error}"))?;
            let resize = control.resize.map(|size| pb::ExecInput { resize: Some(size), ..piece() });
            let end = control.end.then(|| pb::ExecInput { end: true, ..piece() });
            Ok(resize.into_iter().chain(end).collect())
        }
        Message::Ping(_) | Message::Pong(_) => Ok(Vec::new()),
        Message::Close(_) => Err("closed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_becomes_pieces_or_an_error() {
        let many = [vec![0], vec![7; PIECE + 1]].concat();
        let pieces = read(Message::binary(many)).expect("typed");
        let sizes: Vec<usize> = pieces.iter().map(|piece| piece.bytes.len()).collect();
        assert_eq!(sizes, [PIECE, 1]);
        let resize = read(Message::text(r#"{"resize":{"rows":5,"columns":9}}"#)).expect("a size");
        assert_eq!(resize[0].resize, Some(pb::TerminalSize { rows: 5, columns: 9 }));
        assert!(read(Message::text(r#"{"end":true}"#)).expect("an end")[0].end);
        for wrong in
            [Message::binary(vec![1, 2]), Message::text("{\"kill\":1}"), Message::text("x")]
        {
            assert!(read(wrong).is_err());
        }
    }
}
