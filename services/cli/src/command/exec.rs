//! `ostler exec`: a command inside an instance, with a terminal where there is one here.

use std::io::{IsTerminal as _, Read as _, Write as _};

use futures::{SinkExt as _, StreamExt as _};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::args::ExecArgs;
use crate::client::encode;
use crate::failure::Failure;
use crate::output::text;
use crate::session::{self, Session};

/// The terminal here, raw until it is dropped.
struct Raw(Termios);

impl Raw {
    fn new() -> Result<Self, Failure> {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).map_err(Failure::failed)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw).map_err(Failure::failed)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // There is nobody left to tell.
        tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0).ok();
    }
}

fn size() -> (u16, u16) {
    // A terminal that does not know its own size says 0.
    let known = tcgetwinsize(std::io::stdout()).ok().map(|size| (size.ws_row, size.ws_col));
    known.filter(|(rows, columns)| *rows > 0 && *columns > 0).unwrap_or((24, 80))
}

/// Runs it; its exit code is ours.
pub async fn run(session: &Session, args: ExecArgs) -> Result<u8, Failure> {
    let here = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let tty = args.tty || (here && !args.no_tty);
    let view = session::instance(session, &args.instance).await?;
    let words: Vec<String> =
        args.command.iter().map(|word| format!("command={}", encode(word))).collect();
    let (rows, columns) = size();
    let terminal =
        if tty { format!("&tty=true&rows={rows}&columns={columns}") } else { String::new() };
    let query = format!("{}{terminal}", words.join("&"));
    let server = session.client.server();
    let Some(host) = server.strip_prefix("http://") else {
        return Err(Failure::usage(format!("`{server}`: exec is spoken over http:// only")));
    };
    let url = format!("ws://{host}/v1/instances/{}/exec?{query}", text(&view, "id"));
    let (socket, _) = connect_async(url).await.map_err(refused)?;
    let raw = (tty && here).then(Raw::new).transpose()?;
    let last = talk(socket, tty, args.no_stdin).await;
    drop(raw);
    outcome(&last?)
}

/// What the gateway said instead of opening a socket.
fn refused(error: Error) -> Failure {
    let Error::Http(answer) = &error else { return Failure::unreachable(error) };
    let body = answer.body().as_deref().unwrap_or_default();
    match serde_json::from_slice::<ostler_schemas::problem::Problem>(body) {
        Ok(problem) => problem.into(),
        Err(_) => Failure::failed(error),
    }
}

/// Exit codes of programs that a signal ended are those of a shell.
fn outcome(last: &Value) -> Result<u8, Failure> {
    let number = |key: &str| last[key].as_i64();
    match (number("exit_code"), number("signal")) {
        (Some(code), _) => Ok(u8::try_from(code).unwrap_or(1)),
        (None, Some(signal)) => Ok(u8::try_from(128 + signal).unwrap_or(1)),
        (None, None) => {
            let why = last["refused"].as_str().or(last["lost"].as_str());
            Err(Failure::failed(why.unwrap_or("the connection was closed")))
        }
    }
}

type Socket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// What comes from here.
enum Here {
    Typed(Vec<u8>),
    End,
    Resized,
}

async fn talk(socket: Socket, tty: bool, no_stdin: bool) -> Result<Value, Failure> {
    let (mut sink, mut stream) = socket.split();
    let mut resized = signal(SignalKind::window_change()).map_err(Failure::failed)?;
    let mut stdin = typed();
    let mut open = !no_stdin;
    if no_stdin {
        sink.send(Message::text(json!({ "end": true }).to_string())).await.map_err(gone)?;
    }
    loop {
        let here = tokio::select! {
            came = stream.next() => match came {
                Some(Ok(message)) => match show(&message)? {
                    Some(last) => return Ok(last),
                    None => continue,
                },
                Some(Err(error)) => return Err(gone(error)),
                None => return Err(Failure::unreachable("the connection was closed")),
            },
            here = next(&mut stdin, &mut resized, open) => here,
        };
        let message = match here {
            Here::Typed(bytes) => Message::binary([vec![0], bytes].concat()),
            Here::End => {
                open = false;
                Message::text(json!({ "end": true }).to_string())
            }
            Here::Resized if tty => {
                let (rows, columns) = size();
                Message::text(json!({ "resize": { "rows": rows, "columns": columns } }).to_string())
            }
            Here::Resized => continue,
        };
        sink.send(message).await.map_err(gone)?;
    }
}

fn gone(error: Error) -> Failure {
    Failure::unreachable(format!("the connection broke: {error}"))
}

/// What is typed here, read by a thread that nobody waits for: a read of a terminal cannot be
/// called off.
fn typed() -> mpsc::Receiver<Vec<u8>> {
    let (sender, typed) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut bytes = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = std::io::stdin().read(&mut bytes) {
            if sender.blocking_send(bytes[..read].to_vec()).is_err() {
                return;
            }
        }
    });
    typed
}

async fn next(stdin: &mut mpsc::Receiver<Vec<u8>>, resized: &mut Signal, open: bool) -> Here {
    tokio::select! {
        bytes = stdin.recv(), if open => bytes.map_or(Here::End, Here::Typed),
        _ = resized.recv() => Here::Resized,
    }
}

/// Writes what came; the last word if it is that.
fn show(message: &Message) -> Result<Option<Value>, Failure> {
    match message {
        Message::Binary(bytes) => {
            let (stream, bytes) = bytes.split_first().unwrap_or((&1, &[]));
            let written = if *stream == 2 {
                std::io::stderr().write_all(bytes)
            } else {
                let mut out = std::io::stdout().lock();
                out.write_all(bytes).and_then(|()| out.flush())
            };
            written.map_err(Failure::failed)?;
            Ok(None)
        }
        Message::Text(text) => serde_json::from_str(text).map(Some).map_err(Failure::failed),
        Message::Close(_) => Err(Failure::unreachable("the connection was closed")),
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(None),
    }
}
