//! A client that knows nothing of us, and says whatever it wants: NATS by hand over TCP.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

const INBOX: &str = "_INBOX.raw.1";
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Raw {
    stream: BufReader<TcpStream>,
}

impl Raw {
    /// `url` as `nats://host:port`.
    pub async fn connect(url: &str) -> Self {
        let stream = TcpStream::connect(url.trim_start_matches("nats://")).await;
        let mut raw = Self { stream: BufReader::new(stream.expect("it runs")) };
        raw.send(b"CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n").await;
        raw.send(format!("SUB {INBOX} 1\r\n").as_bytes()).await;
        raw
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).await.expect("it is connected");
    }

    async fn publish_to(&mut self, subject: &str, reply: &str, payload: &[u8]) {
        self.send(format!("PUB {subject} {reply} {}\r\n", payload.len()).as_bytes()).await;
        self.send(payload).await;
        self.send(b"\r\n").await;
    }

    /// Publishes; the server has it when this returns.
    pub async fn publish(&mut self, subject: &str, payload: &[u8]) {
        self.publish_to(subject, "", payload).await;
        self.send(b"PING\r\n").await;
        while self.line().await.trim_end() != "PONG" {}
    }

    /// What the first answer says.
    pub async fn request(&mut self, subject: &str, payload: &[u8]) -> String {
        self.publish_to(subject, INBOX, payload).await;
        loop {
            let line = self.line().await;
            if !line.starts_with("MSG ") && !line.starts_with("HMSG ") {
                continue;
            }
            let size = line.split_whitespace().last().and_then(|size| size.parse().ok());
            let mut body = vec![0; size.expect("a size")];
            self.stream.read_exact(&mut body).await.expect("it is sent whole");
            return String::from_utf8_lossy(&body).into_owned();
        }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, self.stream.read_line(&mut line)).await;
        read.expect("it answers").expect("it is connected");
        if line.starts_with("PING") {
            self.send(b"PONG\r\n").await;
        }
        line
    }
}
