//! The gateway over HTTP.

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use ostler_schemas::problem::Problem;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::Failure;

/// A client of one gateway.
#[derive(Debug, Clone)]
pub struct Client {
    server: String,
    http: reqwest::Client,
}

/// What a request without a body sends.
pub const NOTHING: Option<&Value> = None;

impl Client {
    /// A client of the gateway at `server`, such as `http://127.0.0.1:8000`.
    pub fn new(server: &str) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            .connect_timeout(std::time::Duration::from_secs(5))
            .build()
            .map_err(Failure::failed)?;
        Ok(Self { server: server.trim_end_matches('/').to_owned(), http })
    }

    /// Where the gateway is.
    pub fn server(&self) -> &str {
        &self.server
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.server))
    }

    async fn send(&self, request: RequestBuilder) -> Result<reqwest::Response, Failure> {
        let response = request.send().await.map_err(|error| {
            Failure::unreachable(format!(
                "no gateway answers at {}: {error}\n  start a fleet with `ostler dev`, or name \
                 another with --server or OSTLER_SERVER",
                self.server
            ))
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.text().await.unwrap_or_default();
        Err(match serde_json::from_str::<Problem>(&body) {
            Ok(problem) => problem.into(),
            Err(_) if status == StatusCode::NOT_FOUND => {
                Failure::failed(format!("{} has no such path; is it a gateway?", self.server))
            }
            Err(_) => Failure::failed(format!("{}: {status} {body}", self.server)),
        })
    }

    /// Sends a request with an optional JSON body and reads the JSON answer.
    pub async fn json<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, Failure> {
        let mut request = self.request(method, path).header("accept", "application/json");
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = self.send(request).await?;
        let text = response.text().await.map_err(Failure::failed)?;
        let text = if text.is_empty() { "null" } else { &text };
        serde_json::from_str(text)
            .map_err(|error| Failure::failed(format!("cannot read the answer: {error}")))
    }

    /// Writes a resource if it is still at this revision; 0: if it is not there.
    pub async fn put_at<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        revision: u64,
    ) -> Result<T, Failure> {
        let request = self.request(Method::PUT, path).json(body);
        let request = match revision {
            0 => request.header("If-None-Match", "*"),
            revision => request.header("If-Match", format!("\"{revision}\"")),
        };
        self.send(request).await?.json().await.map_err(Failure::failed)
    }

    /// Reads one resource.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.json(Method::GET, path, NOTHING).await
    }

    /// Asks for an action without a body.
    pub async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.json(Method::POST, path, NOTHING).await
    }

    /// Every item of a paged list. `path` may have a query.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let join = if path.contains('?') { '&' } else { '?' };
            let page: Value = self.get(&format!("{path}{join}limit=1000{cursor}")).await?;
            items.extend(page["items"].as_array().cloned().unwrap_or_default());
            match page["next_cursor"].as_str() {
                Some(next) if !next.is_empty() => cursor = format!("&cursor={}", encode(next)),
                _ => return Ok(items),
            }
        }
    }

    /// Sends a body of this length.
    pub async fn upload<T: DeserializeOwned>(
        &self,
        path: &str,
        (length, body): (u64, reqwest::Body),
    ) -> Result<T, Failure> {
        let request = self.request(Method::PUT, path).header("content-length", length).body(body);
        let response =
            self.send(request.header("content-type", "application/octet-stream")).await?;
        response.json().await.map_err(Failure::failed)
    }

    /// Reads a body part by part; first its `ETag` without quotes.
    pub async fn download(
        &self,
        path: &str,
    ) -> Result<(String, impl Stream<Item = reqwest::Result<Bytes>> + Unpin + use<>), Failure> {
        let response = self.send(self.request(Method::GET, path)).await?;
        let tag = response.headers().get("etag").and_then(|tag| tag.to_str().ok());
        let tag = tag.unwrap_or_default().trim_matches('"').to_owned();
        Ok((tag, Box::pin(response.bytes_stream())))
    }

    /// Reads plain text.
    pub async fn text(&self, path: &str) -> Result<String, Failure> {
        let response = self.send(self.request(Method::GET, path)).await?;
        response.text().await.map_err(Failure::failed)
    }

    /// Follows a stream of server-sent events until it ends: `(id, event, data)` each. `see`
    /// answers whether to go on.
    pub async fn follow(
        &self,
        path: &str,
        mut see: impl FnMut(&str, &str, &str) -> bool,
    ) -> Result<(), Failure> {
        let request = self.request(Method::GET, path).header("accept", "text/event-stream");
        let mut stream = self.send(request).await?.bytes_stream();
        let mut reader = EventReader::default();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(Failure::unreachable)?;
            for (id, event, data) in reader.feed(&chunk) {
                if !see(&id, &event, &data) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Percent-encodes everything but letters, digits and `-_.~` (RFC 3986 § 2.3).
#[must_use]
pub fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

/// Splits a byte stream into server-sent events.
#[derive(Debug, Default)]
struct EventReader {
    rest: Vec<u8>,
    id: String,
    event: String,
    data: Vec<String>,
}

impl EventReader {
    fn feed(&mut self, chunk: &[u8]) -> Vec<(String, String, String)> {
        self.rest.extend_from_slice(chunk);
        let mut events = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            if let Some(event) = self.line(line.trim_end_matches(['\r', '\n'])) {
                events.push(event);
            }
        }
        events
    }

    fn line(&mut self, line: &str) -> Option<(String, String, String)> {
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            let event = std::mem::take(&mut self.event);
            return (!data.is_empty()).then(|| (self.id.clone(), event, data.join("\n")));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => value.clone_into(&mut self.id),
            "event" => value.clone_into(&mut self.event),
            "data" => self.data.push(value.to_owned()),
            // Comments and fields we have no use for.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_the_bytes_are_cut() {
        let text = b": hello\nid: 7\nevent: e\ndata: a\ndata: b\n\ndata: c\n\n";
        for cut in 0..text.len() {
            let mut reader = EventReader::default();
            let mut events = reader.feed(&text[..cut]);
            events.extend(reader.feed(&text[cut..]));
            let want = [("7", "e", "a\nb"), ("7", "", "c")]
                .map(|(id, event, data)| (id.to_owned(), event.to_owned(), data.to_owned()));
            assert_eq!(events, want);
        }
    }

    #[test]
    fn what_is_not_plain_is_percent_encoded() {
        assert_eq!(encode("a b/ü=1"), "a%20b%2F%C3%BC%3D1");
    }
}
