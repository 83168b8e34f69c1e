//! The HTTP API of `binderyd`, or PostgREST; a request detects which one it is.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::Request;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE};
use uuid::Uuid;

use super::{Batch, Problem, read};
use crate::Error;
use crate::event::{meaning, written};

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The maximum size of an answer, in bytes.
const MAX_ANSWER: u64 = 16 * 1024 * 1024;

pub(crate) struct Http {
    agent: Agent,
    root: String,
    key: Option<String>,
    authorization: Option<String>,
    server: Option<Server>,
}

#[derive(Clone, Copy)]
enum Server {
    Binderyd,
    Rest,
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    message: String,
    details: Option<String>,
}

/// The answer of `binderyd` at `/api`.
#[derive(Deserialize)]
struct Root {
    #[serde(rename = "access")]
    _access: Value,
}

#[derive(Deserialize)]
struct Cursor {
    position: Option<String>,
}

impl Http {
    pub fn new(url: &str, key: Option<&str>) -> Result<Self, Error> {
        let wrong = || Error::Setup("the URL is not one such as https://host/path".to_owned());
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        if host.is_empty() || path.contains(['?', '#']) {
            return Err(wrong());
        }
        let authorization = match key {
            Some(key) => Some(format!("Bearer {key}")),
            None if login.is_empty() => None,
            None => Some(basic(login)),
        };
        let root = format!("{scheme}://{host}/{path}").trim_end_matches('/').to_owned();
        let server = root.ends_with("/rest/v1").then_some(Server::Rest);
        let agent = Agent::config_builder()
            .timeout_global(Some(ANSWER_WITHIN))
            .http_status_as_error(false)
            .build()
            .into();
        Ok(Self { agent, root, key: key.map(str::to_owned), authorization, server })
    }

    pub async fn report(&mut self, batch: &Batch<'_>) -> Result<String, Problem> {
        let list = |written: fn(&bindery_core::event::Event) -> String| {
            let events: Vec<_> = batch.events.iter().map(|event| written(event)).collect();
            events.join(",")
        };
        match self.server().await? {
            Server::Binderyd => {
                let body = format!("[{}]", list(written));
                self.ask("/api/events", Some(body), Some(batch.key)).await
            }
            Server::Rest => {
                let (key, events) = (batch.key, list(meaning));
                let body = format!(r#"{{"idempotency_key":"{key}","events":[{events}]}}"#);
                self.ask("/rpc/report_events", Some(body), None).await
            }
        }
    }

    pub async fn resume_point(
        &mut self,
        book_id: Uuid,
        after: Option<&str>,
    ) -> Result<String, Problem> {
        match self.server().await? {
            Server::Binderyd => {
                let after = after.map_or_else(String::new, |after| {
                    format!("?after={}", utf8_percent_encode(after, NON_ALPHANUMERIC))
                });
                self.ask(&format!("/api/books/{book_id}/resume-point{after}"), None, None).await
            }
            Server::Rest => {
                let body = json!({"book_id": book_id, "after": after}).to_string();
                self.ask("/rpc/get_resume_point", Some(body), None).await
            }
        }
    }

    pub async fn status(&mut self, book_id: Uuid) -> Result<String, Problem> {
        match self.server().await? {
            Server::Binderyd => self.ask(&format!("/api/books/{book_id}/status"), None, None).await,
            Server::Rest => {
                let body = json!({"book_id": book_id}).to_string();
                self.ask("/rpc/get_book_status", Some(body), None).await
            }
        }
    }

    pub async fn relayed(
        &mut self,
        stream: &str,
        book_id: Uuid,
    ) -> Result<(Option<String>, bool), Problem> {
        if matches!(self.server().await?, Server::Binderyd) {
            let message = "the status URL is binderyd's; give that of PostgREST or Postgres";
            return Err(Problem::Away(message.to_owned()));
        }
        let stream = utf8_percent_encode(stream, NON_ALPHANUMERIC);
        let path = format!("/relay_cursors?stream=eq.{stream}&select=position");
        let cursors: Vec<Cursor> = read(&self.ask(&path, None, None).await?)?;
        let path = format!("/early_events?book_id=eq.{book_id}&select=book_id&limit=1");
        let early: Vec<Value> = read(&self.ask(&path, None, None).await?)?;
        let position = cursors.into_iter().next().and_then(|cursor| cursor.position);
        Ok((position, !early.is_empty()))
    }

    async fn server(&mut self) -> Result<Server, Problem> {
        if let Some(server) = self.server {
            return Ok(server);
        }
        let (status, body) = self.call("/api", None, None).await?;
        let server = match status {
            200 if serde_json::from_str::<Root>(&body).is_ok() => Server::Binderyd,
            // PostgREST has no table `api`, or does not serve the schema: its next answer shows
            // which.
            200 | 404 | 406 => Server::Rest,
            _ => return Err(Problem::Away(format!("HTTP {status} from {}/api", self.root))),
        };
        self.server = Some(server);
        Ok(server)
    }

    async fn ask(
        &self,
        path: &str,
        body: Option<String>,
        key: Option<&str>,
    ) -> Result<String, Problem> {
        let (status, text) = self.call(path, body, key).await?;
        if (200..300).contains(&status) {
            return Ok(text);
        }
        let passes = matches!(status, 401 | 403 | 408 | 429) || status >= 500;
        match serde_json::from_str::<Refusal>(&text) {
            Ok(Refusal { code, message, details }) => {
                match Problem::of(&code, message, details.as_deref()) {
                    // The token is a worker's, and its book has left the stage.
                    Problem::Refused { code, message } if !passes || code == "not_allowed" => {
                        Err(Problem::Refused { code, message })
                    }
                    Problem::Refused { message, .. } | Problem::Away(message) => {
                        Err(Problem::Away(format!("HTTP {status}: {message}")))
                    }
                }
            }
            Err(_) => Err(Problem::Away(format!("HTTP {status} from {}{path}", self.root))),
        }
    }

    /// Sends a request; returns the status and the body of the answer.
    async fn call(
        &self,
        path: &str,
        body: Option<String>,
        key: Option<&str>,
    ) -> Result<(u16, String), Problem> {
        let mut request = Request::builder()
            .uri(format!("{}{path}", self.root))
            .method(if body.is_some() { "POST" } else { "GET" })
            // Supabase's gateway requires it.
            .header("accept-profile", "bindery")
            .header("content-profile", "bindery");
        let headers = [
            ("apikey", self.key.as_deref()),
            (AUTHORIZATION.as_str(), self.authorization.as_deref()),
            ("idempotency-key", key),
            (CONTENT_TYPE.as_str(), body.as_ref().map(|_| "application/json")),
        ];
        for (name, value) in headers {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let agent = self.agent.clone();
        let asked = tokio::task::spawn_blocking(move || -> Result<(u16, String), ureq::Error> {
            let mut answer = match body {
                Some(body) => agent.run(request.body(body)?)?,
                None => agent.run(request.body(())?)?,
            };
            let status = answer.status().as_u16();
            let text = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_string()?;
            Ok((status, text))
        });
        match asked.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Problem::Away(format!("{}: {error}", self.root))),
            Err(error) => Err(Problem::Away(error.to_string())),
        }
    }
}

/// The header of a login in a URL.
fn basic(login: &str) -> String {
    use base64::Engine;
    let login = percent_decode_str(login).decode_utf8_lossy();
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(login.as_bytes()))
}
