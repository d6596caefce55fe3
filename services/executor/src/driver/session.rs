//! A command run inside an instance, and the two ends of its conversation.
//!
//! Who asked holds a [`Session`], the driver holds [`Inside`]. The driver sends what the command
//! writes and, last, [`Output::Ended`] or [`Output::Refused`]. When the session is dropped, the
//! command is ended. Both queues are bounded: who reads slowly slows the command down.

use ostler_core::instance::Exit;
use tokio::sync::mpsc;

/// So many pieces wait in each direction.
const QUEUE: usize = 16;
/// A piece is at most so many bytes.
pub const PIECE: usize = 16 * 1024;

/// How large a terminal is, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters in each.
    pub columns: u16,
}

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// Program and arguments.
    pub words: Vec<String>,
    /// With a terminal of this size, where output and errors are one; with pipes otherwise.
    pub terminal: Option<Size>,
}

/// What goes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Bytes for its standard input.
    Bytes(Vec<u8>),
    /// The terminal has another size; nothing without a terminal.
    Resize(Size),
    /// Its standard input ends. With a terminal as if end-of-file were typed.
    End,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// What it wrote to standard output, or to its terminal.
    Stdout(Vec<u8>),
    /// What it wrote to standard error.
    Stderr(Vec<u8>),
    /// It ended; nothing follows.
    Ended(Exit),
    /// It was not started, for this reason; nothing follows.
    Refused(String),
}

/// The end of who asked. Dropping it ends the command.
#[derive(Debug)]
pub struct Session {
    /// What goes in.
    pub input: mpsc::Sender<Input>,
    /// What comes out.
    pub output: mpsc::Receiver<Output>,
}

/// The driver's end.
#[derive(Debug)]
pub struct Inside {
    /// What goes in; `None` when nobody will send any more.
    pub input: mpsc::Receiver<Input>,
    /// What comes out; closed when nobody wants it any more, which ends the command.
    pub output: mpsc::Sender<Output>,
}

/// Both ends.
#[must_use]
pub fn session() -> (Session, Inside) {
    let (to_input, input) = mpsc::channel(QUEUE);
    let (output, from_output) = mpsc::channel(QUEUE);
    (Session { input: to_input, output: from_output }, Inside { input, output })
}

impl Session {
    /// A session that was over before it began.
    #[must_use]
    pub fn refused(why: &str) -> Self {
        let (session, inside) = session();
        inside.output.try_send(Output::Refused(why.to_owned())).expect("there is room for one");
        session
    }

    /// Closes its input, passes over what it writes, and tells how it ended.
    pub async fn outcome(self) -> Result<Exit, String> {
        let Self { input, mut output } = self;
        // It may be over already.
        drop(input.try_send(Input::End));
        while let Some(piece) = output.recv().await {
            match piece {
                Output::Ended(exit) => return Ok(exit),
                Output::Refused(why) => return Err(why),
                Output::Stdout(_) | Output::Stderr(_) => {}
            }
        }
        Err("nobody said how it ended".to_owned())
    }
}
