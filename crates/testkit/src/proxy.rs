//! A wire that can be cut: between a client and a server, in both directions or in one, or just when
//! a certain message passes, so that its answer is lost.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How long a wire stays dead after a message was lost on it, before its ends are told.
const DEAD_FOR: Duration = Duration::from_millis(200);

/// Texts that are waited for are no longer.
const LONGEST: usize = 256;

/// Which messages get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wire {
    /// All.
    #[default]
    Whole,
    /// None; nobody is told, as when a cable is pulled.
    Cut,
    /// The client is heard, and hears nothing.
    Deaf,
    /// The client hears, and is not heard.
    Mute,
}

/// What becomes of a message, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The server never has it.
    Lost,
    /// The server has it, and its answer is lost.
    Unanswered,
    /// It comes late: when it is released.
    Held,
}

/// A message that is waited for, by a text in it.
#[derive(Debug)]
struct Mark {
    text: Vec<u8>,
    fate: Fate,
    /// So many of its kind pass before.
    pass: usize,
}

#[derive(Debug, Default)]
struct State {
    marks: Vec<Mark>,
    met: usize,
}

/// A TCP proxy in front of one server. Ends with the test's runtime.
#[derive(Debug, Clone)]
pub struct Proxy {
    address: SocketAddr,
    wire: watch::Sender<Wire>,
    released: watch::Sender<u64>,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    /// In front of the server at this URL, `nats://host:port`.
    pub async fn to(url: &str) -> Self {
        let server = url.trim_start_matches("nats://").to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (wire, released) = (watch::Sender::default(), watch::Sender::default());
        let proxy = Self { address, wire, released, state: Arc::default() };
        let accepting = proxy.clone();
        spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (proxy, server) = (accepting.clone(), server.clone());
                spawn(async move { proxy.carry(client, &server).await });
            }
        });
        proxy
    }

    /// Where clients reach it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// From now on, for the connections there are and for new ones. Those that were harmed are
    /// closed when the wire is whole again: what is missing in between would not make sense.
    pub fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }

    /// Loses the next message to the server that contains this text, and its connection.
    pub fn lose(&self, text: &str) {
        self.mark(text, Fate::Lost, 0);
    }

    /// Loses whatever the server answers to the next message that contains this text, and the
    /// connection.
    pub fn lose_answer(&self, text: &str) {
        self.mark(text, Fate::Unanswered, 0);
    }

    /// Holds back a message that contains this text, and all that follows it on its connection,
    /// until [`Self::release`]; so many of its kind pass before.
    pub fn hold(&self, text: &str, pass: usize) {
        self.mark(text, Fate::Held, pass);
    }

    /// Lets through what was held.
    pub fn release(&self) {
        self.released.send_modify(|times| *times += 1);
    }

    /// Nothing more becomes of messages that have not come yet.
    pub fn forget(&self) {
        self.lock().marks.clear();
    }

    /// How many messages have met their fate so far.
    #[must_use]
    pub fn met(&self) -> usize {
        self.lock().met
    }

    fn mark(&self, text: &str, fate: Fate, pass: usize) {
        self.lock().marks.push(Mark { text: text.into(), fate, pass });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn carry(self, client: TcpStream, server: &str) {
        // A server that is not there closes the connection, as it would itself.
        let Ok(server) = TcpStream::connect(server).await else { return };
        let ((from_client, to_client), (from_server, to_server)) =
            (client.into_split(), server.into_split());
        let link = watch::Sender::new(Wire::Whole);
        tokio::select! {
            () = self.clone().up(from_client, to_server, &link) => {}
            () = self.clone().down(from_server, to_client, link.subscribe()) => {}
            () = self.healed() => {}
        }
    }

    /// Resolves when a wire that was harmed is whole again.
    async fn healed(&self) {
        let mut wire = self.wire.subscribe();
        // The sender lives as long as `self`.
        drop(wire.wait_for(|wire| *wire != Wire::Whole).await.map(drop));
        drop(wire.wait_for(|wire| *wire == Wire::Whole).await.map(drop));
    }

    /// From client to server.
    async fn up(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, link: &watch::Sender<Wire>) {
        let (mut buffer, mut tail) = (vec![0; 64 * 1024], Vec::new());
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            match *self.wire.borrow() {
                Wire::Whole | Wire::Deaf => {}
                Wire::Cut | Wire::Mute => continue,
            }
            let chunk = &buffer[..read];
            let old = tail.len();
            tail.extend_from_slice(chunk);
            let mut released = self.released.subscribe();
            let fate = self.fate(&tail, old);
            tail.drain(..tail.len().saturating_sub(LONGEST));
            match fate {
                None => {}
                Some(Fate::Unanswered) => drop(link.send_replace(Wire::Deaf)),
                Some(Fate::Lost) => return tokio::time::sleep(DEAD_FOR).await,
                // The sender lives as long as `self`.
                Some(Fate::Held) => drop(released.changed().await),
            }
            if to.write_all(chunk).await.is_err() {
                return;
            }
            if *link.borrow() == Wire::Deaf {
                return tokio::time::sleep(DEAD_FOR).await;
            }
        }
    }

    /// What becomes of what has just passed; what was there before it is `old`.
    fn fate(&self, passed: &[u8], old: usize) -> Option<Fate> {
        let mut state = self.lock();
        for index in 0..state.marks.len() {
            let mark = &mut state.marks[index];
            let ends = passed.windows(mark.text.len()).enumerate();
            let ends = ends.filter(|(_, at)| *at == mark.text).map(|(at, _)| at + mark.text.len());
            let fresh = ends.filter(|end| *end > old).count();
            if fresh > mark.pass {
                state.met += 1;
                return Some(state.marks.remove(index).fate);
            }
            mark.pass -= fresh;
        }
        None
    }

    /// From server to client.
    async fn down(
        self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        link: watch::Receiver<Wire>,
    ) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let dead = matches!(*self.wire.borrow(), Wire::Cut | Wire::Deaf);
            if dead || *link.borrow() == Wire::Deaf {
                continue;
            }
            if to.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a part of the world outside, not of a program")]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventually;

    async fn pair() -> (TcpListener, Proxy) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("nats://{}", listener.local_addr().expect("it is bound"));
        (listener, Proxy::to(&url).await)
    }

    async fn connect(proxy: &Proxy, server: &TcpListener) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(proxy.address).await.expect("it listens");
        let (server, _) = server.accept().await.expect("it connects");
        (client, server)
    }

    #[tokio::test]
    async fn an_answer_is_lost_though_its_question_arrived() {
        let (listener, proxy) = pair().await;
        let (mut client, mut server) = connect(&proxy, &listener).await;
        proxy.lose_answer("WRITE 2");
        let mut heard = [0; 7];
        client.write_all(b"WRITE 1").await.expect("it is connected");
        server.read_exact(&mut heard).await.expect("it comes");
        server.write_all(b"OK").await.expect("it is connected");
        client.read_exact(&mut heard[..2]).await.expect("it is answered");
        client.write_all(b"WRITE 2").await.expect("it is connected");
        server.read_exact(&mut heard).await.expect("it comes");
        assert_eq!(&heard, b"WRITE 2");
        server.write_all(b"OK").await.ok();
        assert_eq!(client.read(&mut heard).await.expect("it is closed"), 0);
        assert_eq!(proxy.met(), 1);
    }

    #[tokio::test]
    async fn a_message_is_held_until_it_is_released_and_comes_once() {
        let (listener, proxy) = pair().await;
        let (mut client, mut server) = connect(&proxy, &listener).await;
        proxy.hold("WRITE", 1);
        let mut heard = [0; 7];
        client.write_all(b"WRITE 1").await.expect("it is connected");
        server.read_exact(&mut heard).await.expect("the first passes");
        client.write_all(b"WRITE 2").await.expect("it is connected");
        eventually("it is held", || async { proxy.met() == 1 }).await;
        proxy.release();
        server.read_exact(&mut heard).await.expect("it comes late");
        assert_eq!(&heard, b"WRITE 2");
    }

    #[tokio::test]
    async fn a_cut_wire_says_nothing_and_is_closed_when_it_is_whole_again() {
        let (listener, proxy) = pair().await;
        let (mut client, mut server) = connect(&proxy, &listener).await;
        proxy.set(Wire::Cut);
        client.write_all(b"into the void").await.expect("nobody tells");
        let (silence, mut nothing) = (Duration::from_millis(100), [0; 1]);
        let heard = tokio::time::timeout(silence, server.read(&mut nothing)).await;
        assert!(heard.is_err(), "something came through a wire that is cut: {heard:?}");
        proxy.set(Wire::Whole);
        assert_eq!(client.read(&mut nothing).await.expect("it is closed"), 0);
    }
}
