//! HTTP requests to the daemon, byte by byte: with tokens, bodies, and streams of events.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::eventually::SOON;

/// A request.
#[derive(Debug, Clone)]
pub struct Ask {
    address: SocketAddr,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

/// A response.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    head: String,
    /// The body.
    pub body: String,
}

/// A stream of server-sent events.
#[derive(Debug)]
pub struct Stream(BufReader<TcpStream>);

/// A server-sent event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The event's name.
    pub name: String,
    /// The event's id, if it has one.
    pub id: Option<i64>,
    /// The event's data.
    pub data: Value,
}

/// A token signed with HS256.
pub fn token(secret: &str, claims: &Value) -> Result<String> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    jwt(&json!({"alg": "HS256", "typ": "JWT"}), claims, |message| hmac::sign(&key, message))
}

/// A token with this header, signed by `sign`.
pub fn jwt<S: AsRef<[u8]>>(
    header: &Value,
    claims: &Value,
    sign: impl FnOnce(&[u8]) -> S,
) -> Result<String> {
    let part = |part: &Value| anyhow::Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(part)?));
    let message = format!("{}.{}", part(header)?, part(claims)?);
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    Ok(format!("{message}.{signature}"))
}

impl Ask {
    pub(crate) fn new(address: SocketAddr, method: &str, path: &str) -> Self {
        Self {
            address,
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// With this header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this token.
    #[must_use]
    pub fn token(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// With this JSON.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string().as_bytes())
    }

    /// With this body of this type.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: &[u8]) -> Self {
        self.body = Some(body.to_vec());
        self.header("Content-Type", content_type)
    }

    /// Sends the request; returns the response.
    pub async fn answer(self) -> Result<Answer> {
        let what = format!("{} {}", self.method, self.path);
        let asked = async {
            let mut stream = self.send().await?;
            let mut answer = Vec::new();
            // A refused client may find the connection reset after the response.
            let read = stream.read_to_end(&mut answer).await;
            ensure!(!answer.is_empty(), "no answer: {read:?}");
            let answer = String::from_utf8(answer)?;
            let (head, body) = answer.split_once("\r\n\r\n").context("not an HTTP response")?;
            Ok(Answer {
                status: status_of(head)?,
                head: head.to_lowercase(),
                body: body.to_owned(),
            })
        };
        timeout(SOON, asked)
            .await
            .with_context(|| format!("no answer to {what}"))?
            .with_context(|| what)
    }

    /// Opens the stream, which must begin.
    pub async fn stream(self) -> Result<Stream> {
        let mut stream = BufReader::new(self.send().await?);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read =
                timeout(SOON, stream.read_line(&mut head)).await.context("no head came")??;
            ensure!(read > 0, "it ended after {head:?}");
        }
        ensure!(status_of(&head)? == 200, "{head}");
        Ok(Stream(stream))
    }

    /// HTTP/1.0, so that the body is sent unchanged up to the connection's end.
    async fn send(&self) -> Result<TcpStream> {
        let mut request = format!("{} {} HTTP/1.0\r\n", self.method, self.path);
        if !self.headers.iter().any(|(name, _)| name == "Host") {
            request.push_str(&format!("Host: {}\r\n", self.address));
        }
        for (name, value) in &self.headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(request.as_bytes()).await?;
        if let Some(body) = &self.body {
            // The server need not read a refused body to its end.
            let _ = stream.write_all(body).await;
        }
        Ok(stream)
    }
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("{self:?}"))
    }

    /// The status, and the code of the error.
    pub fn refusal(&self) -> Result<(u16, String)> {
        Ok((self.status, self.json()?["code"].as_str().unwrap_or_default().to_owned()))
    }

    /// A header's value, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Stream {
    /// The next event; `None` at the end. Comments are skipped.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        let mut event = Event { name: "message".to_owned(), id: None, data: Value::Null };
        loop {
            let mut line = String::new();
            if timeout(SOON, self.0.read_line(&mut line)).await.context("no event came")?? == 0 {
                return Ok(None);
            }
            match line.trim_end().split_once(": ") {
                Some(("event", name)) => name.clone_into(&mut event.name),
                Some(("id", id)) => event.id = Some(id.parse()?),
                Some(("data", data)) => event.data = serde_json::from_str(data)?,
                _ if line == "\n" && event.data != Value::Null => return Ok(Some(event)),
                _ => {}
            }
        }
    }

    /// Reads up to the event that meets a condition; it must come before the end.
    pub async fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Result<Event> {
        loop {
            let event = self.next().await?.context("the stream ended")?;
            if wanted(&event) {
                return Ok(event);
            }
        }
    }
}

fn status_of(head: &str) -> Result<u16> {
    Ok(head.split(' ').nth(1).context("no status")?.parse()?)
}
