//! A Redis URL that never shows its secrets: one server, Sentinel or Cluster, with or without TLS.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

use super::tls::{Files, Tls};

/// Where Redis is, and how to log in there.
#[derive(Clone)]
pub struct RedisUrl(pub(super) Arc<Redis>);

/// The parts of the URL.
pub(super) struct Redis {
    pub kind: Kind,
    /// The login and the database.
    pub login: RedisConnectionInfo,
    pub tls: Option<Tls>,
}

/// How the server that has a stream is found.
pub(super) enum Kind {
    /// It is this one.
    One(ConnectionAddr),
    /// These know which one is the master of that name.
    Sentinel {
        sentinels: Vec<ConnectionAddr>,
        master: String,
        login: (Option<String>, Option<String>),
    },
    /// Any node can name the node that has a key. The nodes of the last answer are remembered, in
    /// case the seeds are gone.
    Cluster { seeds: Vec<ConnectionAddr>, known_nodes: Mutex<Vec<ConnectionAddr>> },
}

const FORMS: &str = "give redis://user:password@host:6379/0, redis+sentinel://user:password@host:26379,host:26379/master/0 \
                     or redis+cluster://user:password@host:6379,host:6379 (rediss… for TLS)";

/// What we read of a URL's parameters; the others are the library's.
#[derive(Default)]
struct Parameters {
    files: Files,
    sentinel_username: Option<String>,
    sentinel_password: Option<String>,
    others: String,
}

impl Parameters {
    fn of(query: &str) -> Result<Self, String> {
        let mut read = Self::default();
        // A URL of the library's, for its decoding.
        let url = redis::parse_redis_url(&format!("redis://host/?{query}")).ok_or_else(wrong)?;
        for (name, value) in url.query_pairs() {
            let value = value.into_owned();
            match &*name {
                "tls_ca" => read.files.authority = Some(value),
                "tls_cert" => read.files.certificate = Some(value),
                "tls_key" => read.files.key = Some(value),
                "sentinel_username" => read.sentinel_username = Some(value),
                "sentinel_password" => read.sentinel_password = Some(value),
                "protocol" => read.others = format!("?protocol={value}"),
                // Not its value: that may be a secret.
                other => {
                    return Err(format!(
                        "there is no parameter {other}; use tls_ca, tls_cert, tls_key, sentinel_username, sentinel_password and protocol"
                    ));
                }
            }
        }
        Ok(read)
    }
}

impl FromStr for RedisUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let parameters = Parameters::of(query)?;
        let (base, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        let tls = match base {
            "redis" | "valkey" | "unix" => None,
            "rediss" | "valkeys" => Some(Tls::read(&parameters.files)?),
            _ => return Err(wrong()),
        };
        if tls.is_none()
            && [&parameters.files.authority, &parameters.files.certificate]
                .into_iter()
                .any(Option::is_some)
        {
            return Err("tls_ca, tls_cert and tls_key are for rediss://".to_owned());
        }
        if kind != "sentinel"
            && (parameters.sentinel_username.is_some() || parameters.sentinel_password.is_some())
        {
            return Err(
                "sentinel_username and sentinel_password are for redis+sentinel://".to_owned()
            );
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) =
            authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
        let one = |host: &str, port: &str, path: &str| -> Result<ConnectionInfo, String> {
            let at = if user.is_empty() { String::new() } else { format!("{user}@") };
            let port = if has_port(host) { String::new() } else { format!(":{port}") };
            let base = if tls.is_some() { "rediss" } else { "redis" };
            // The parser's own message may quote the URL, and with it the password.
            format!("{base}://{at}{host}{port}/{path}{}", parameters.others)
                .into_connection_info()
                .map_err(|_| wrong())
        };
        let every = |port: &str, path: &str| -> Result<Vec<ConnectionInfo>, String> {
            hosts
                .split(',')
                .map(|host| if host.is_empty() { Err(wrong()) } else { one(host, port, path) })
                .collect()
        };
        let addresses = |infos: &[ConnectionInfo]| {
            infos.iter().map(|info| info.addr().clone()).collect::<Vec<_>>()
        };
        let (kind, login) = match kind {
            "" | "unix" => {
                let info =
                    text.split('?').next().unwrap_or_default().to_owned() + &parameters.others;
                let info = info.into_connection_info().map_err(|_| wrong())?;
                (Kind::One(info.addr().clone()), info.redis_settings().clone())
            }
            "sentinel" => {
                let (master, database) = path.split_once('/').unwrap_or((path, ""));
                if master.is_empty() {
                    return Err(format!("the master's name is missing: {FORMS}"));
                }
                let infos = every("26379", database)?;
                let login = (parameters.sentinel_username, parameters.sentinel_password);
                let first = infos.first().ok_or_else(wrong)?.redis_settings().clone();
                (
                    Kind::Sentinel {
                        sentinels: addresses(&infos),
                        master: master.to_owned(),
                        login,
                    },
                    first,
                )
            }
            "cluster" if !matches!(path, "" | "0") => {
                return Err("a Redis Cluster has no database but 0".to_owned());
            }
            "cluster" => {
                let infos = every("6379", "")?;
                let first = infos.first().ok_or_else(wrong)?.redis_settings().clone();
                (Kind::Cluster { seeds: addresses(&infos), known_nodes: Mutex::default() }, first)
            }
            _ => return Err(wrong()),
        };
        Ok(Self(Arc::new(Redis { kind, login, tls })))
    }
}

/// Whether a host is given with its port; an IPv6 address is in brackets.
fn has_port(host: &str) -> bool {
    host.rsplit(']').next().is_some_and(|rest| rest.contains(':'))
}

fn wrong() -> String {
    format!("not a Redis URL; {FORMS}")
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |addresses: &[ConnectionAddr]| {
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        };
        match &self.0.kind {
            Kind::One(address) => write!(formatter, "RedisUrl({address})"),
            Kind::Sentinel { sentinels, master, .. } => {
                write!(formatter, "RedisUrl({master} of {})", list(sentinels))
            }
            Kind::Cluster { seeds, .. } => {
                write!(formatter, "RedisUrl(cluster of {})", list(seeds))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> Result<String, String> {
        url.parse::<RedisUrl>().map(|url| format!("{url:?}"))
    }

    #[test]
    fn one_server_sentinels_and_a_cluster_have_their_forms() {
        for (url, expected) in [
            ("redis://u:hush@h:7000/3", "RedisUrl(h:7000)"),
            ("rediss://u:hush@h/", "RedisUrl(h:6379)"),
            (
                "redis+sentinel://u:hush@a:1,b,[::1]:3/books/2?sentinel_password=hush",
                "RedisUrl(books of a:1,b:26379,::1:3)",
            ),
            ("rediss+cluster://u:hush@a:1,b", "RedisUrl(cluster of a:1,b:6379)"),
        ] {
            assert_eq!(shown(url).as_deref(), Ok(expected), "{url}");
        }
    }

    #[test]
    fn the_login_and_the_database_are_the_same_for_each_server() {
        let RedisUrl(read) = "redis+sentinel://u%40x:p%3A%2F@a,b/books/2".parse().unwrap();
        assert_eq!(
            (read.login.username(), read.login.password(), read.login.db()),
            (Some("u@x"), Some("p:/"), 2)
        );
    }

    #[test]
    fn an_error_does_not_contain_the_secret() {
        for (url, expected) in [
            ("http://u:hush@h/", "give redis://"),
            ("redis+proxy://u:hush@h/", "give redis://"),
            ("redis+sentinel://u:hush@a:1/", "master's name"),
            ("redis+cluster://u:hush@a:1/4", "no database"),
            ("redis+cluster://u:hush@a:1,,b", "give redis://"),
            ("redis://u:hush@h/?tls_ca=/etc/hosts", "are for rediss://"),
            ("rediss://u:hush@h/?tls_ca=/nowhere", "tls_ca: /nowhere cannot be read"),
            ("rediss://u:hush@h/?tls_ca=/etc/hosts", "holds no certificate"),
            ("rediss://u:hush@h/?tls_cert=/etc/hosts", "together"),
            ("redis://u:hush@h/?sentinel_password=hush", "are for redis+sentinel://"),
            ("redis://u:hush@h/?timeout=hush", "no parameter timeout"),
        ] {
            let shown = shown(url).unwrap_err();
            assert!(shown.contains(expected) && !shown.contains("hush"), "{url}: {shown}");
        }
    }
}
