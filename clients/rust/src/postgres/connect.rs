//! Connects to the hosts in turn, with and without TLS according to `sslmode`.

use std::convert::Infallible;
use std::io;
use std::pin::pin;

use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::DatabaseError;
use super::session::Session;
use super::tls::{Attempt, FallsBack, Handshake, Negotiated, Tls};
use super::url::DatabaseUrl;

type Connector = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// An established connection.
pub struct Connected {
    /// The client for queries.
    pub client: Client,
    /// The connection, which must be polled.
    pub connection: Connection<Socket, Stream>,
    /// The transport to the server.
    pub transport: Transport,
}

/// The transport of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// By a Unix-domain socket.
    Socket,
    /// By TCP without TLS.
    Plain,
    /// By TLS.
    Tls(Negotiated),
}

/// Connects to the first suitable host. Hosts that did not answer recently come last.
pub async fn open(url: &DatabaseUrl) -> Result<Connected, DatabaseError> {
    url.warn_of_ignored();
    let mut hosts: Vec<usize> = (0..url.servers.len()).collect();
    if url.random {
        fastrand::shuffle(&mut hosts);
    }
    url.unanswered.sort(&mut hosts);
    let mut failure = None;
    for session in url.session.rounds() {
        for &host in &hosts {
            let attempt = url.unanswered.attempt(host);
            match open_server(url, &url.servers[host], *session).await {
                Ok(connected) => {
                    attempt.answered();
                    return Ok(connected);
                }
                // Like libpq: if one host refuses the login, the others are not tried.
                Err(error) if is_login_refused(&error) => return Err(error),
                Err(error) => failure = Some(error),
            }
        }
    }
    Err(failure.unwrap_or_else(|| DatabaseError::connect("no host is given", NO_ANSWER)))
}

const NO_ANSWER: &str = "check --database-url, and that a Postgres answers there";

fn is_login_refused(error: &DatabaseError) -> bool {
    let state = error.db_error().map(|error| error.code());
    [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION]
        .iter()
        .any(|refused| state == Some(refused))
}

async fn open_server(
    url: &DatabaseUrl,
    server: &Config,
    session: Session,
) -> Result<Connected, DatabaseError> {
    let is_socket = matches!(server.get_hosts(), [Host::Unix(_)]);
    let mut failure: Option<DatabaseError> = None;
    for Attempt { ssl_mode, falls_back } in url.tls.attempts(is_socket) {
        let handshake = Handshake::default();
        let opening = open_once(url, server, *ssl_mode, session, &handshake);
        let outcome = match url.within {
            None => opening.await,
            Some(within) => match tokio::time::timeout(within, opening).await {
                Ok(outcome) => outcome,
                Err(_elapsed) => Err(DatabaseError::connect(
                    format!("{} did not answer within {within:?}", name(server)),
                    NO_ANSWER,
                )),
            },
        };
        match outcome {
            Ok(mut connected) => {
                if is_socket {
                    connected.transport = Transport::Socket;
                }
                return Ok(connected);
            }
            Err(error) => {
                let again = match falls_back {
                    FallsBack::Never => false,
                    FallsBack::IfRefused => error.db_error().is_some(),
                    // A server that answered and does not suit, or does not answer, is given up.
                    FallsBack::IfTlsBegan => {
                        handshake.began() && matches!(error, DatabaseError::Call(_))
                    }
                };
                // Of two failures, report that of TLS, which has more detail.
                if failure.is_none() || handshake.began() {
                    failure = Some(error);
                }
                if !again {
                    break;
                }
            }
        }
    }
    Err(failure.unwrap_or_else(|| DatabaseError::connect("no attempt was made", NO_ANSWER)))
}

async fn open_once(
    url: &DatabaseUrl,
    server: &Config,
    ssl_mode: SslMode,
    session: Session,
    handshake: &Handshake,
) -> Result<Connected, DatabaseError> {
    let config = match ssl_mode {
        SslMode::Disable => Tls::unused().client_config(handshake),
        _ => url.tls.client_config(handshake),
    };
    let config = config.map_err(|problem| {
        DatabaseError::connect(problem, "correct the file, or the parameter of --database-url")
    })?;
    let maker = Noting { inner: MakeRustlsConnect::new(config), handshake: handshake.clone() };
    let mut server_config = server.clone();
    server_config.ssl_mode(ssl_mode);
    let (client, mut connection) = server_config.connect(maker).await?;
    let refusal = {
        let mut asking = pin!(session.refusal(&client));
        tokio::select! {
            biased;
            refusal = &mut asking => refusal?,
            ended = &mut connection => {
                ended?;
                return Err(DatabaseError::connect("the connection was closed", NO_ANSWER));
            }
        }
    };
    if let Some(refusal) = refusal {
        return Err(DatabaseError::connect(
            format!("{} does not satisfy target_session_attrs: {refusal}", name(server)),
            "name the server that does in --database-url, or change target_session_attrs",
        ));
    }
    let transport = handshake.negotiated().map_or(Transport::Plain, Transport::Tls);
    Ok(Connected { client, connection, transport })
}

/// The host and port, for messages.
fn name(server: &Config) -> String {
    let port = server.get_ports().first().copied().unwrap_or_default();
    match server.get_hosts() {
        [Host::Tcp(name)] => format!("{name}:{port}"),
        [Host::Unix(path)] => format!("{}:{port}", path.display()),
        _ => "the server".to_owned(),
    }
}

/// Notes that the server agreed to TLS, before the handshake.
struct Noting<T> {
    inner: T,
    handshake: Handshake,
}

impl MakeTlsConnect<Socket> for Noting<MakeRustlsConnect> {
    type Stream = Stream;
    type TlsConnect = Noting<Connector>;
    type Error = Infallible;

    fn make_tls_connect(&mut self, host: &str) -> Result<Noting<Connector>, Infallible> {
        let inner = MakeTlsConnect::<Socket>::make_tls_connect(&mut self.inner, host)?;
        Ok(Noting { inner, handshake: self.handshake.clone() })
    }
}

impl TlsConnect<Socket> for Noting<Connector> {
    type Stream = Stream;
    type Error = io::Error;
    type Future = <Connector as TlsConnect<Socket>>::Future;

    fn connect(self, socket: Socket) -> Self::Future {
        self.handshake.begin();
        self.inner.connect(socket)
    }
}
