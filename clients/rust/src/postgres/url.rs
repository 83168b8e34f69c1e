//! Parses URLs and connection strings of Postgres, by the rules of libpq.

use std::fmt;
use std::str::FromStr;
use std::sync::Once;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, Host, SslNegotiation};

use super::choice::one_of;
use super::session::Session;
use super::tls::{Tls, TlsParameters};
use super::unanswered::Unanswered;

/// The time limit of one attempt at a connection without `connect_timeout`.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// The time limit of establishing TCP without `connect_timeout`.
const TCP_CONNECT_WITHIN: Duration = Duration::from_secs(5);

const NOT_A_URL: &str = "not a Postgres URL; give postgresql://user:password@host:5432/database";

/// Parameters of libpq that change who connects, or what is trusted, and that are not supported.
/// Ignoring one of them could weaken a connection or use another login, so they are refused, like
/// every unknown parameter that begins with `ssl`.
const UNSUPPORTED: [&str; 6] =
    ["gssdelegation", "passfile", "require_auth", "requirepeer", "service", "servicefile"];

/// The address of Postgres and the login. Its `Debug` shows no secret.
#[derive(Clone)]
pub struct DatabaseUrl {
    /// One configuration a host, in order.
    pub(super) servers: Vec<Config>,
    /// Whether hosts are tried in random order.
    pub(super) random: bool,
    pub(super) tls: Tls,
    pub(super) session: Session,
    /// The limit of one attempt; `None` if `connect_timeout` is 0.
    pub(super) within: Option<Duration>,
    /// The hosts that did not answer recently.
    pub(super) unanswered: Unanswered,
    /// The names of parameters that have no effect here.
    ignored: Vec<String>,
}

impl DatabaseUrl {
    /// Whether every host is this machine.
    pub fn is_local(&self) -> bool {
        self.servers.iter().all(|server| match (server.get_hostaddrs(), server.get_hosts()) {
            ([address], _) => address.is_loopback(),
            (_, [Host::Tcp(name)]) => {
                let address: Option<std::net::IpAddr> = name.parse().ok();
                name == "localhost" || address.is_some_and(|address| address.is_loopback())
            }
            (_, [Host::Unix(_)]) => true,
            _ => false,
        })
    }

    /// Logs the ignored parameters, once a process.
    pub(super) fn warn_of_ignored(&self) {
        static WARNED: Once = Once::new();
        if !self.ignored.is_empty() {
            WARNED.call_once(|| {
                let parameters = self.ignored.join(", ");
                tracing::warn!(parameters, "ignored parameters of --database-url");
            });
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (base, pairs) = split(text).ok_or(NOT_A_URL)?;
        let mut reading = Reading::begin(&base);
        for (name, value) in &pairs {
            reading.parameter(name, value)?;
        }
        reading.finish()
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.servers.iter().flat_map(Config::get_hosts).collect();
        let database = self.servers.first().and_then(Config::get_dbname);
        write!(formatter, "DatabaseUrl({hosts:?}/{database:?})")
    }
}

/// The parameters read so far.
struct Reading {
    common: Config,
    hosts: Vec<Host>,
    addresses: Vec<std::net::IpAddr>,
    ports: Vec<u16>,
    random: bool,
    tls: TlsParameters,
    session: Session,
    timeout: Option<i64>,
    keepalives_idle: bool,
    ignored: Vec<String>,
}

impl Reading {
    /// Starts with the part before the parameters.
    fn begin(base: &Config) -> Self {
        let mut common = Config::new();
        if let Some(user) = base.get_user() {
            common.user(user);
        }
        if let Some(password) = base.get_password() {
            common.password(password);
        }
        if let Some(database) = base.get_dbname() {
            common.dbname(database);
        }
        let named = |host: &&Host| !matches!(host, Host::Tcp(name) if name.is_empty());
        Self {
            common,
            hosts: base.get_hosts().iter().filter(named).cloned().collect(),
            addresses: Vec::new(),
            ports: base.get_ports().to_vec(),
            random: false,
            tls: TlsParameters::default(),
            session: Session::default(),
            timeout: None,
            keepalives_idle: false,
            ignored: Vec::new(),
        }
    }

    /// Reads one parameter. An error names the parameter, and its value only if it cannot be a
    /// secret.
    fn parameter(&mut self, name: &str, value: &str) -> Result<(), String> {
        if self.tls.read(name, value)? {
            return Ok(());
        }
        let common = &mut self.common;
        match name {
            "user" => drop(common.user(value)),
            "password" => drop(common.password(value)),
            "dbname" => drop(common.dbname(value)),
            "options" => drop(common.options(value)),
            "application_name" => drop(common.application_name(value)),
            "host" => self.hosts = value.split(',').map(host).collect(),
            "hostaddr" => {
                let addresses = value.split(',').map(str::parse);
                self.addresses = addresses.collect::<Result<_, _>>().map_err(|_| {
                    "hostaddr: must be IP addresses, separated by commas".to_owned()
                })?;
            }
            "port" => {
                let port = |text: &str| if text.is_empty() { Ok(5432) } else { text.parse() };
                let ports = value.split(',').map(port).collect::<Result<_, _>>();
                self.ports = ports.map_err(|_| "port: must be from 1 to 65535".to_owned())?;
            }
            "connect_timeout" => self.timeout = Some(number(name, value)?),
            "keepalives" => drop(common.keepalives(number(name, value)? != 0)),
            "keepalives_idle" => {
                self.keepalives_idle = true;
                if let Some(time) = positive(number(name, value)?) {
                    common.keepalives_idle(time);
                }
            }
            "keepalives_interval" => {
                if let Some(time) = positive(number(name, value)?) {
                    common.keepalives_interval(time);
                }
            }
            "keepalives_count" => {
                if let Ok(count @ 1..) = u32::try_from(number(name, value)?) {
                    common.keepalives_retries(count);
                }
            }
            // In milliseconds, like libpq.
            "tcp_user_timeout" => {
                if let Ok(time @ 1..) = u64::try_from(number(name, value)?) {
                    common.tcp_user_timeout(Duration::from_millis(time));
                }
            }
            "channel_binding" => drop(common.channel_binding(one_of(
                name,
                value,
                &[
                    ("disable", ChannelBinding::Disable),
                    ("prefer", ChannelBinding::Prefer),
                    ("require", ChannelBinding::Require),
                ],
            )?)),
            "load_balance_hosts" => {
                self.random = one_of(name, value, &[("disable", false), ("random", true)])?;
            }
            "target_session_attrs" => self.session = one_of(name, value, &Session::NAMES)?,
            "gssencmode" => one_of(name, value, &[("disable", ()), ("prefer", ())])?,
            _ if UNSUPPORTED.contains(&name) => {
                return Err(format!("{name}: not supported; give host, user and password"));
            }
            _ if name.starts_with("ssl") => {
                return Err(format!(
                    "{name}: not supported; the parameters of TLS are {}",
                    TlsParameters::NAMES.join(", ")
                ));
            }
            _ => self.ignored.push(name.to_owned()),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<DatabaseUrl, String> {
        let count = self.hosts.len().max(self.addresses.len());
        if count == 0 {
            return Err("no host; give postgresql://user:password@host:5432/database".to_owned());
        }
        let (hosts, addresses) = (self.hosts.len(), self.addresses.len());
        if hosts > 0 && addresses > 0 && hosts != addresses {
            return Err("hostaddr: give one address a host, or none".to_owned());
        }
        if self.ports.len() > 1 && self.ports.len() != count {
            return Err("port: give one port, or one a host".to_owned());
        }
        let tls = std::mem::take(&mut self.tls).finish()?;
        let within = match self.timeout {
            None => Some(CONNECT_WITHIN),
            Some(seconds) => positive(seconds),
        };
        self.common_defaults();
        if tls.is_direct() {
            self.common.ssl_negotiation(SslNegotiation::Direct);
        }
        let servers = (0..count).map(|index| self.server(index)).collect();
        let Self { random, session, ignored, .. } = self;
        let unanswered = Unanswered::default();
        Ok(DatabaseUrl { servers, random, tls, session, within, unanswered, ignored })
    }

    /// Sets the defaults of all connections.
    fn common_defaults(&mut self) {
        let common = &mut self.common;
        if let Some(time) = self.timeout.map_or(Some(TCP_CONNECT_WITHIN), positive) {
            common.connect_timeout(time);
        }
        // Detects a vanished server within 30 s.
        if !self.keepalives_idle {
            common.keepalives_idle(Duration::from_secs(10));
        }
        if common.get_keepalives_interval().is_none() {
            common.keepalives_interval(Duration::from_secs(5));
        }
        if common.get_keepalives_retries().is_none() {
            common.keepalives_retries(3);
        }
        if common.get_tcp_user_timeout().is_none() {
            common.tcp_user_timeout(Duration::from_secs(20));
        }
        if common.get_application_name().is_none() {
            common.application_name("binderyd");
        }
    }

    fn server(&self, index: usize) -> Config {
        let mut server = self.common.clone();
        let address = self.addresses.get(index);
        match (self.hosts.get(index), address) {
            (Some(Host::Tcp(name)), _) => drop(server.host(name)),
            (Some(Host::Unix(path)), _) => drop(server.host_path(path)),
            // TLS needs a name, which can be the address.
            (None, Some(address)) => drop(server.host(address.to_string())),
            (None, None) => {}
        }
        if let Some(address) = address {
            server.hostaddr(*address);
        }
        let port = self.ports.get(index).or(self.ports.first());
        server.port(port.copied().unwrap_or(5432));
        server
    }
}

fn host(text: &str) -> Host {
    if text.starts_with('/') { Host::Unix(text.into()) } else { Host::Tcp(text.to_owned()) }
}

fn number(name: &str, value: &str) -> Result<i64, String> {
    value.trim().parse().map_err(|_| format!("{name}: must be an integer"))
}

fn positive(seconds: i64) -> Option<Duration> {
    u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

type Pairs = Vec<(String, String)>;

/// Splits a text into the part before the parameters and the parameters.
fn split(text: &str) -> Option<(Config, Pairs)> {
    let schemes = ["postgresql://", "postgres://"];
    let Some(rest) = schemes.iter().find_map(|scheme| text.strip_prefix(scheme)) else {
        return Some((Config::new(), words(text)?));
    };
    // A password may hold a question mark, and a parameter an `@`.
    let is_past_the_query =
        |before: &str| before.split_once('/').is_some_and(|(_, after)| after.contains('?'));
    let login = rest.find('@').filter(|at| !is_past_the_query(&rest[..*at]));
    let login = text.len() - rest.len() + login.map_or(0, |at| at + 1);
    let (base, query) = match text[login..].find('?') {
        Some(at) => (&text[..login + at], &text[login + at + 1..]),
        None => (text, ""),
    };
    // An `@` in the password that is not written %40 would put a part of it among the parameters.
    if base.contains('@') && query.contains('@') {
        return None;
    }
    let decoded = |part: &str| percent_decode_str(part).decode_utf8().ok().map(String::from);
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        Some((decoded(name)?, decoded(value)?))
    };
    let pairs: Option<Pairs> = query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect();
    // The parser's own message may quote the URL, and with it the password.
    Some((base.parse().ok()?, pairs?))
}

/// The parameters of a connection string such as `host=h password='a b'`.
fn words(text: &str) -> Option<Pairs> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let (name, mut after) = (name.trim_end(), after.trim_start());
        if name.is_empty() || name.contains(char::is_whitespace) {
            return None;
        }
        let quoted = after.starts_with('\'');
        after = &after[usize::from(quoted)..];
        let (mut value, mut characters, mut ended) = (String::new(), after.char_indices(), !quoted);
        let mut length = after.len();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => value.push(characters.next()?.1),
                '\'' if quoted => {
                    (length, ended) = (at + 1, true);
                    break;
                }
                space if space.is_whitespace() && !quoted => {
                    length = at;
                    break;
                }
                other => value.push(other),
            }
        }
        if !ended {
            return None;
        }
        pairs.push((name.to_owned(), value));
        rest = after[length..].trim_start();
    }
    Some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> DatabaseUrl {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn refused(text: &str) -> String {
        text.parse::<DatabaseUrl>().map(|url| format!("{url:?}")).unwrap_err()
    }

    #[test]
    fn a_url_and_a_connection_string_mean_the_same() {
        let url = read(
            "postgresql://u:p%20w@a,b:6/d?port=5,6&options=-c%20x%3Dy&connect_timeout=3\
             &keepalives_count=7&tcp_user_timeout=1500&application_name=n",
        );
        let string = read(
            "user=u password='p w' host = a,b port=5,6 dbname=d options='-c x=y' \
             connect_timeout=3 keepalives_count=7 tcp_user_timeout=1500 application_name=n",
        );
        assert_eq!(url.servers, string.servers);
        let [first, second] = &url.servers[..] else { panic!("two hosts") };
        assert_eq!((first.get_ports(), second.get_ports()), (&[5][..], &[6][..]));
        assert_eq!(first.get_password(), Some(&b"p w"[..]));
        assert_eq!(first.get_tcp_user_timeout(), Some(&Duration::from_millis(1500)));
        assert_eq!(first.get_keepalives_retries(), Some(7));
        assert_eq!(url.within, Some(Duration::from_secs(3)));
    }

    #[test]
    fn an_at_sign_and_a_question_mark_belong_where_they_stand() {
        let url = read("postgresql://h/d?user=a@b");
        assert_eq!(url.servers[0].get_user(), Some("a@b"));
        let url = read("postgresql://u:why?@h/d?port=7");
        assert_eq!(url.servers[0].get_password(), Some(&b"why?"[..]));
        assert_eq!(url.servers[0].get_ports(), [7]);
    }

    #[test]
    fn quotes_and_backslashes_are_read_as_libpq_reads_them() {
        let url = read(r"host=/run/pg  password = 'a\'b\\c d' user=x\ y");
        assert_eq!(url.servers[0].get_password(), Some(&br"a'b\c d"[..]));
        assert_eq!(url.servers[0].get_user(), Some("x y"));
        assert_eq!(url.servers[0].get_hosts(), [Host::Unix("/run/pg".into())]);
    }

    #[test]
    fn without_a_parameter_a_vanished_server_is_noticed_within_half_a_minute() {
        let url = read("postgresql://h/d");
        assert_eq!(url.within, Some(CONNECT_WITHIN));
        assert_eq!(url.servers[0].get_keepalives_idle(), Duration::from_secs(10));
        assert_eq!(url.servers[0].get_tcp_user_timeout(), Some(&Duration::from_secs(20)));
        let without_a_limit = read("postgresql://h/d?connect_timeout=0");
        assert_eq!(without_a_limit.within, None);
        assert_eq!(without_a_limit.servers[0].get_connect_timeout(), None);
    }

    #[test]
    fn a_host_may_be_an_address_alone() {
        let url = read("hostaddr=127.0.0.1,::1 port=1");
        assert_eq!(url.servers[1].get_hosts(), [Host::Tcp("::1".to_owned())]);
        assert_eq!(url.servers[1].get_hostaddrs(), ["::1".parse::<std::net::IpAddr>().unwrap()]);
    }

    #[test]
    fn parameters_of_other_drivers_are_ignored_by_name() {
        let url = read(
            "postgresql://u:p@h/d?pgbouncer=true&schema=public&connection_limit=5&gssencmode=prefer",
        );
        assert_eq!(url.ignored, ["pgbouncer", "schema", "connection_limit"]);
    }

    #[test]
    fn a_parameter_that_is_misspelled_or_not_supported_is_refused_by_name() {
        for (parameter, expected) in [
            ("sslmod=verify-full", "sslmod: not supported"),
            ("sslcrl=/x", "sslcrl: not supported"),
            ("service=x", "service: not supported"),
            ("sslmode=verify", "sslmode: must be one of disable, allow, prefer"),
            ("gssencmode=require", "gssencmode: must be one of disable, prefer"),
            ("channel_binding=yes", "channel_binding: must be one of"),
            ("target_session_attrs=leader", "target_session_attrs: must be one of any"),
            ("connect_timeout=soon", "connect_timeout: must be an integer"),
            ("port=1,2", "port: give one"),
            ("hostaddr=h", "hostaddr: must be IP addresses"),
            ("hostaddr=127.0.0.1,127.0.0.2", "hostaddr: give one address a host"),
        ] {
            let shown = refused(&format!("postgresql://h/d?{parameter}"));
            assert!(shown.starts_with(expected), "{parameter}: {shown}");
        }
    }

    #[test]
    fn no_part_of_a_url_is_shown_when_it_cannot_be_read() {
        for text in [
            "hush-9",
            "postgresql://u:hush-9@[h",
            "postgresql://u:a@h?hush-9=1@h/d",
            "postgresql://h/d?hush-9",
            "password='hush-9",
            "host=h hush-9",
            "http://u:hush-9@h/d",
        ] {
            assert_eq!(refused(text), NOT_A_URL, "{text}");
        }
        assert!(refused("postgresql:///d").starts_with("no host"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(postgresql://)?[a-z@:/?&='% \\\\,\\[\\]é]{0,40}") {
            let _ = text.parse::<DatabaseUrl>();
        }
    }
}
