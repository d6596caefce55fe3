//! `exec`: a command inside an instance, in conversation with whoever asked.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use ostler_bus::dialog::Broken;
use ostler_bus::{Bus, Dialog};
use ostler_core::id::{InstanceId, NodeName};
use ostler_core::instance::Exit;
use ostler_schemas::contract::{ExecInputOf, ExecOutputOf, SessionId};
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, info};

use crate::agent::Message;
use crate::driver::process::signal_number;
use crate::driver::session::{Exec, Input, Output, Session, Size};
use crate::driver::{Drivers, Launch};
use crate::shared::Shared;

/// So many conversations at a time.
const MOST: usize = 64;
/// A command has at most so many words, and so many bytes in all.
const MOST_WORDS: usize = 1024;
const MOST_BYTES: usize = 128 * 1024;

/// Begins conversations.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    pub(super) bus: Bus,
    pub(super) node: NodeName,
    pub(super) agent: mpsc::Sender<Message>,
    pub(super) drivers: Arc<Drivers>,
    pub(super) shared: Arc<Shared>,
    pub(super) open: Open,
}

/// The conversations that go on.
#[derive(Debug, Clone, Default)]
pub(super) struct Open(Arc<Mutex<BTreeSet<SessionId>>>);

/// Its conversation is over when it is dropped.
struct Seat(Open, SessionId);

impl Open {
    fn sit(&self, session: &SessionId) -> Result<Seat, Problem> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= MOST {
            let what = format!("{MOST} commands are run inside instances here already");
            return Err(Problem::new(Code::LimitExceeded, what));
        }
        if !open.insert(session.clone()) {
            return Err(invalid("session", "it was used already"));
        }
        Ok(Seat(self.clone(), session.clone()))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

fn invalid(field: &str, why: impl std::fmt::Display) -> Problem {
    Problem::new(Code::Invalid, format!("`{field}`: {why}"))
}

pub(super) fn size(size: pb::TerminalSize) -> Result<Size, Problem> {
    let fits = |name: &str, number: u32| match u16::try_from(number) {
        Ok(number @ 1..=10_000) => Ok(number),
        Ok(_) | Err(_) => Err(invalid(name, "from 1 to 10,000 characters")),
    };
    Ok(Size {
        rows: fits("terminal.rows", size.rows)?,
        columns: fits("terminal.columns", size.columns)?,
    })
}

/// What is asked for, checked.
fn read(ask: pb::Exec) -> Result<(InstanceId, SessionId, Exec), Problem> {
    let id = ask.instance.parse().map_err(|error| invalid("instance", error))?;
    let session = ask.session.parse().map_err(|error| invalid("session", error))?;
    let bytes: usize = ask.command.iter().map(String::len).sum();
    if ask.command.first().is_none_or(String::is_empty) {
        return Err(invalid("command", "it is empty"));
    }
    if ask.command.len() > MOST_WORDS || bytes > MOST_BYTES {
        return Err(invalid("command", format!("at most {MOST_WORDS} words, {MOST_BYTES} bytes")));
    }
    if ask.command.iter().any(|word| word.contains('\0')) {
        return Err(invalid("command", "a word holds a zero byte"));
    }
    let terminal = ask.terminal.map(size).transpose()?;
    Ok((id, session, Exec { words: ask.command, terminal }))
}

impl Desk {
    /// Begins the command; the conversation goes on in a task of its own.
    pub(super) async fn exec(&self, actor: &str, ask: pb::Exec) -> Result<pb::ExecReply, Problem> {
        let (id, session, exec) = read(ask)?;
        let launch = self.running(id).await?;
        let seat = self.open.sit(&session)?;
        let to = ExecOutputOf { node: self.node.clone(), session: session.clone() };
        let from = ExecInputOf { node: self.node.clone(), session };
        let dialog = Dialog::open(&self.bus, to, &from).await;
        let dialog = dialog.map_err(|error| Problem::new(Code::Unavailable, error.to_string()))?;
        let driver = self.drivers.of(launch.spec.driver);
        let driver = driver.ok_or_else(|| Problem::new(Code::Conflict, "its driver is gone"))?;
        info!(instance.id = %id, actor, "`{actor}` runs `{}` inside instance {id}", exec.words[0]);
        let inside = driver.exec(launch, exec);
        let stop = self.shared.tasks.stop_token();
        self.shared.tasks.spawn_brief(async move {
            let _seat = seat;
            tokio::select! {
                over = converse(dialog, inside) => if let Err(error) = over {
                    debug!(%error, "a conversation ended: {error}");
                },
                () = stop.cancelled() => {}
            }
        });
        Ok(pb::ExecReply {})
    }

    /// Tells an instance something by a signal.
    pub(super) async fn signal(&self, ask: pb::Signal) -> Result<pb::SignalReply, Problem> {
        let id = ask.instance.parse().map_err(|error| invalid("instance", error))?;
        let launch = self.running(id).await?;
        let section = launch.spec.sections.process.as_ref();
        let own = section.and_then(|section| section.reload_signal.clone());
        let signal = if ask.signal.is_empty() {
            own.unwrap_or_else(|| "SIGHUP".to_owned())
        } else {
            ask.signal
        };
        if signal_number(&signal).is_none() {
            return Err(invalid("signal", format!("there is no signal `{signal}`")));
        }
        let driver = self.drivers.of(launch.spec.driver);
        let driver = driver.ok_or_else(|| Problem::new(Code::Conflict, "its driver is gone"))?;
        driver.signal(id, &signal);
        Ok(pb::SignalReply {})
    }

    async fn running(&self, id: InstanceId) -> Result<Arc<Launch>, Problem> {
        let (reply, found) = oneshot::channel();
        let gone = || Problem::new(Code::Unavailable, "the executor stops");
        self.agent.send(Message::Find(id, reply)).await.map_err(|_| gone())?;
        let found = found.await.map_err(|_| gone())?;
        found
            .ok_or_else(|| Problem::new(Code::NotFound, format!("instance {id} does not run here")))
    }
}

/// Carries what comes and goes until the command has ended, or the other side is gone.
async fn converse(
    mut dialog: Dialog<ExecOutputOf, ExecInputOf>,
    session: Session,
) -> Result<(), Broken> {
    let Session { input, mut output } = session;
    let mut typed: VecDeque<Input> = VecDeque::new();
    let mut reads = true;
    loop {
        tokio::select! {
            piece = dialog.next() => if let Some(piece) = piece? {
                typed.push_back(input_of(piece)?);
            },
            room = input.reserve(), if reads && !typed.is_empty() => {
                dialog.took_one();
                let next = typed.pop_front();
                match (room, next) {
                    (Ok(room), Some(next)) => room.send(next),
                    // It reads no more; what is typed is passed over.
                    _ => reads = false,
                }
            }
            said = output.recv(), if dialog.has_room() => {
                let Some(said) = said else { return Ok(()) };
                let last = matches!(said, Output::Ended(_) | Output::Refused(_));
                dialog.send(output_of(said)).await?;
                if last {
                    return Ok(());
                }
            }
        }
        while !reads && typed.pop_front().is_some() {
            dialog.took_one();
        }
    }
}

fn input_of(piece: pb::ExecInput) -> Result<Input, Broken> {
    if let Some(resize) = piece.resize {
        let size = size(resize).map_err(|problem| Broken::Message(problem.detail))?;
        return Ok(Input::Resize(size));
    }
    Ok(if piece.end { Input::End } else { Input::Bytes(piece.bytes) })
}

fn output_of(said: Output) -> pb::ExecOutput {
    let mut piece = pb::ExecOutput::default();
    let mut ended = pb::ExecEnded::default();
    match said {
        Output::Stdout(bytes) => piece.stdout = bytes,
        Output::Stderr(bytes) => piece.stderr = bytes,
        Output::Refused(why) => {
            ended.refused = why;
            piece.ended = Some(ended);
        }
        Output::Ended(exit) => {
            match exit {
                Exit::Code(code) => ended.exit_code = Some(code),
                Exit::Signal(signal) => ended.signal = Some(signal),
                Exit::OutOfMemory => ended.signal = Some(libc::SIGKILL),
                Exit::Unknown => {}
            }
            piece.ended = Some(ended);
        }
    }
    piece
}
