//! Finds the server that has a key and connects to it.

use std::future::Future;
use std::io;
use std::sync::PoisonError;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo,
    RedisError, Value,
};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::url::{Kind, Redis, RedisUrl};

/// Bytes to and from a server.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A server that takes longer to connect counts as unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl RedisUrl {
    /// A connection of its own to the server that has this key; its calls wait for
    /// `response_timeout` at most.
    ///
    /// # Errors
    /// No server that has the key answers, or it refuses the login.
    pub async fn connect(
        &self,
        key: &str,
        response_timeout: Duration,
    ) -> Result<MultiplexedConnection, RedisError> {
        let address = self.0.place_of(key).await?;
        self.0.connect_to(address, response_timeout).await
    }

    /// Bytes to and from the server that has this key, before any login.
    ///
    /// # Errors
    /// No server that has the key answers.
    pub async fn wire(&self, key: &str) -> Result<Box<dyn Wire>, RedisError> {
        let address = self.0.place_of(key).await?;
        in_time(self.0.wire_to(&address)).await
    }

    /// The login and the database.
    pub fn login(&self) -> &RedisConnectionInfo {
        &self.0.login
    }
}

impl Redis {
    /// The address of the server that has this key now.
    async fn place_of(&self, key: &str) -> Result<ConnectionAddr, RedisError> {
        match &self.kind {
            Kind::One(address) => Ok(address.clone()),
            Kind::Sentinel { sentinels, master, login } => {
                in_time(self.master(sentinels, master, login)).await
            }
            Kind::Cluster { seeds, known_nodes } => {
                let known = known_nodes.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let mut failure = None;
                for node in known.iter().chain(seeds) {
                    match in_time(self.owner(node, key)).await {
                        Ok((owner, nodes)) => {
                            *known_nodes.lock().unwrap_or_else(PoisonError::into_inner) = nodes;
                            return Ok(owner);
                        }
                        Err(error) => failure = Some(error),
                    }
                }
                Err(failure
                    .unwrap_or_else(|| io::Error::other("no node of the cluster is known").into()))
            }
        }
    }

    /// Asks the sentinels for the master.
    async fn master(
        &self,
        sentinels: &[ConnectionAddr],
        master: &str,
        (username, password): &(Option<String>, Option<String>),
    ) -> Result<ConnectionAddr, RedisError> {
        let mut builder =
            SentinelClientBuilder::new(sentinels.to_vec(), master, SentinelServerType::Master)?;
        if let Some(name) = self.login.username() {
            builder = builder.set_client_to_redis_username(name);
        }
        if let Some(password) = self.login.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        if let Some(name) = username {
            builder = builder.set_client_to_sentinel_username(name);
        }
        if let Some(password) = password {
            builder = builder.set_client_to_sentinel_password(password);
        }
        if let Some(tls) = &self.tls {
            builder = builder
                .set_client_to_redis_tls_mode(redis::TlsMode::Secure)
                .set_client_to_sentinel_tls_mode(redis::TlsMode::Secure)
                .set_client_to_redis_certificates(tls.certificates.clone())
                .set_client_to_sentinel_certificates(tls.certificates.clone());
        }
        Ok(builder.build()?.async_get_client().await?.get_connection_info().addr().clone())
    }

    /// Asks a node of a cluster for the node that has the key and for all nodes.
    async fn owner(
        &self,
        node: &ConnectionAddr,
        key: &str,
    ) -> Result<(ConnectionAddr, Vec<ConnectionAddr>), RedisError> {
        let mut redis = self.connect_to(node.clone(), CONNECT_TIMEOUT).await?;
        let slot: i64 =
            redis::cmd("CLUSTER").arg("KEYSLOT").arg(key).query_async(&mut redis).await?;
        // [[first, last, [host, port, id, …] of the master, of a replica, …], …]
        let ranges: Vec<Vec<Value>> =
            redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut redis).await?;
        let (mut owner, mut nodes) = (None, Vec::new());
        for range in ranges {
            let mut range = range.into_iter();
            let (Some(Value::Int(first)), Some(Value::Int(last)), Some(master)) =
                (range.next(), range.next(), range.next())
            else {
                continue;
            };
            let Some(address) = self.node_at(node, &master) else { continue };
            if (first..=last).contains(&slot) {
                owner = Some(address.clone());
            }
            if !nodes.contains(&address) {
                nodes.push(address);
            }
        }
        let owner = owner.ok_or_else(|| {
            io::Error::other(format!("no node of the cluster has slot {slot}, which is {key}'s"))
        })?;
        Ok((owner, nodes))
    }

    /// A node's address from `CLUSTER SLOTS`; without a host in it, the host that was asked.
    fn node_at(&self, asked: &ConnectionAddr, node: &Value) -> Option<ConnectionAddr> {
        let node = node.as_sequence()?;
        let host: Option<String> = redis::from_redis_value(node.first()?.clone()).ok()?;
        let port: u16 = redis::from_redis_value(node.get(1)?.clone()).ok()?;
        let host = host.filter(|host| !host.is_empty() && host != "?").or_else(|| match asked {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => {
                Some(host.clone())
            }
            _ => None,
        })?;
        Some(if self.tls.is_some() {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        })
    }

    async fn connect_to(
        &self,
        address: ConnectionAddr,
        response_timeout: Duration,
    ) -> Result<MultiplexedConnection, RedisError> {
        let info = address.into_connection_info()?.set_redis_settings(self.login.clone());
        let client = match &self.tls {
            Some(tls) => Client::build_with_tls(info, tls.certificates.clone())?,
            None => Client::open(info)?,
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(response_timeout));
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    async fn wire_to(&self, address: &ConnectionAddr) -> Result<Box<dyn Wire>, RedisError> {
        let (host, port) = match address {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                (host.as_str(), *port)
            }
            ConnectionAddr::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
            _ => return Err(io::Error::other("an address of a kind that is not known").into()),
        };
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Ok(Box::new(TlsConnector::from(tls.config.clone()).connect(name, stream).await?))
    }
}

async fn in_time<T>(what: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
    match timeout(CONNECT_TIMEOUT, what).await {
        Ok(outcome) => outcome,
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
    }
}
