//! TLS to Postgres as libpq means it: each `sslmode` with each kind of certificate, on a real
//! server, as `binderyd doctor` reports it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use bindery_tests::{Daemon, Servers, eventually, openssl, run_binderyd};
use serde_json::Value;
use tokio_postgres::Client;

use crate::support::{SOON, text};

const EC: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/// A server that has TLS, the certificates, and a session.
struct Secured {
    servers: Servers,
    client: Client,
    port: String,
}

impl Secured {
    async fn start() -> Result<Secured> {
        let servers = Servers::start().await?;
        let dir = servers.dir().join("certificates");
        fs::create_dir(&dir)?;
        for authority in ["own", "strange"] {
            let (key, certificate) = (format!("{authority}.key"), format!("{authority}.crt"));
            let subject = format!("/CN=The {authority} authority");
            let make = ["req", "-x509", "-days", "2", "-subj", &subject];
            let files = ["-keyout", &key, "-out", &certificate];
            openssl(&dir, &[&make, &EC[..], &files].concat()).await?;
        }
        // As in PostgreSQL's documentation: a self-signed certificate with a common name only.
        let make = ["req", "-x509", "-days", "2", "-subj", "/CN=localhost"];
        let files = ["-keyout", "self.key", "-out", "self.crt"];
        openssl(&dir, &[&make, &EC[..], &files].concat()).await?;
        let here = "subjectAltName=DNS:localhost,IP:127.0.0.1";
        for (name, subject, extension, authority, days) in [
            ("right", "/CN=another", Some(here), "own", "2"),
            ("wrong", "/CN=localhost", Some("subjectAltName=DNS:db.example"), "own", "2"),
            ("expired", "/CN=localhost", Some(here), "own", "0"),
            ("common", "/CN=localhost", Some("basicConstraints=CA:FALSE"), "own", "2"),
            ("old", "/CN=localhost", None, "own", "2"),
            ("client", "/CN=postgres", Some("basicConstraints=CA:FALSE"), "own", "2"),
            ("stranger", "/CN=postgres", Some("basicConstraints=CA:FALSE"), "strange", "2"),
        ] {
            let request = ["req", "-new", "-subj", subject, "-out", "request"];
            let key = format!("{name}.key");
            openssl(&dir, &[&request, &EC[..], &["-keyout", &key]].concat()).await?;
            let (certificate, ca, ca_key) =
                (format!("{name}.crt"), format!("{authority}.crt"), format!("{authority}.key"));
            let mut sign = vec!["x509", "-req", "-in", "request", "-days", days, "-CA", &ca];
            sign.extend(["-CAkey", &ca_key, "-CAcreateserial", "-out", &certificate]);
            if let Some(extension) = extension {
                fs::write(dir.join("extensions"), extension)?;
                sign.extend(["-extfile", "extensions"]);
            }
            openssl(&dir, &sign).await?;
        }
        // A certificate that expires within the next second.
        let made = SystemTime::now();
        // The server refuses a key that others may read, and runs as another user if the tests run
        // as root.
        let owner = fs::metadata(servers.dir().join("postgres"))?.uid();
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            let mode =
                if path.extension().is_some_and(|kind| kind == "key") { 0o600 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            chown(&path, Some(owner), None)?;
        }
        let rules = servers.dir().join("postgres/pg_hba.conf");
        let rest = fs::read_to_string(&rules)?;
        let first = "hostnossl only_tls all all reject\nhostssl only_plain all all reject\n\
            hostssl certificates all all cert\nhostssl passwords all all scram-sha-256\n\
            hostnossl passwords all all scram-sha-256\n";
        fs::write(&rules, format!("{first}{rest}"))?;
        let client = servers.connect().await?;
        for database in ["only_tls", "only_plain", "certificates", "passwords"] {
            client.batch_execute(&format!("create database {database}")).await?;
        }
        client.batch_execute("create role scram superuser login password 'a secret'").await?;
        let ca = format!("alter system set ssl_ca_file = '{}'", dir.join("own.crt").display());
        client.batch_execute(&ca).await?;
        let url = servers.database_url();
        let port = url.rsplit_once(':').and_then(|(_, rest)| rest.split('/').next());
        let port = port.context("no port in the URL")?.to_owned();
        while made.elapsed()? < Duration::from_secs(2) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let secured = Secured { servers, client, port };
        secured.present("right").await?;
        Ok(secured)
    }

    fn file(&self, name: &str) -> String {
        self.servers.dir().join("certificates").join(name).display().to_string()
    }

    /// Makes the server present this certificate; an empty name disables TLS.
    async fn present(&self, name: &str) -> Result<()> {
        let before: String = self.loaded().await?;
        let (certificate, key) =
            (self.file(&format!("{name}.crt")), self.file(&format!("{name}.key")));
        let ssl = if name.is_empty() { "off" } else { "on" };
        if !name.is_empty() {
            for set in [
                format!("alter system set ssl_cert_file = '{certificate}'"),
                format!("alter system set ssl_key_file = '{key}'"),
            ] {
                self.client.batch_execute(&set).await?;
            }
        }
        self.client.batch_execute(&format!("alter system set ssl = {ssl}")).await?;
        self.client.batch_execute("select pg_reload_conf()").await?;
        eventually(SOON, "the server to have read its configuration", async || {
            let now = self.loaded().await?;
            ensure!(now != before, "still that of {before}");
            Ok(())
        })
        .await
    }

    /// When the server read its configuration, as a new session sees it.
    async fn loaded(&self) -> Result<String> {
        let client = self.servers.connect().await?;
        Ok(client.query_one("select pg_conf_load_time()::text", &[]).await?.get(0))
    }

    fn url(&self, database: &str, parameters: &str) -> String {
        let port = &self.port;
        format!("postgresql://postgres@localhost:{port}/{database}?{parameters}")
    }

    /// The result of `doctor` for the connection: `ok`, `warning` or `failure`, and the text.
    async fn diagnosis(&self, url: &str) -> Result<(String, String)> {
        let redis = self.servers.redis_url();
        let args = ["doctor", "--json", "--database-url", url, "--redis-url", redis];
        let output = run_binderyd(&args).await?;
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        for line in lines.lines() {
            let finding: Value = serde_json::from_str(line)?;
            let part = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
            if ["postgres_tls", "postgres_reach"].contains(&&*part("check")) {
                return Ok((part("level"), format!("{} {}", part("found"), part("remedy"))));
            }
        }
        Ok(("usage".to_owned(), text(&output)))
    }

    /// Checks a table of database, parameters, level and texts.
    async fn check(&self, cases: &[(&str, &str, &str, &[&str])]) -> Result<()> {
        for (database, parameters, level, parts) in cases {
            let url = self.url(database, &self.filled(parameters));
            let (found, words) = self.diagnosis(&url).await?;
            ensure!(
                found == *level && parts.iter().all(|part| words.contains(part)),
                "{database} {parameters}: {found} {words}, and not {level} {parts:?}"
            );
        }
        Ok(())
    }

    /// Replaces `{name}` by the path of that file.
    fn filled(&self, parameters: &str) -> String {
        let folder = self.servers.dir().join("certificates");
        parameters.replace('{', &format!("{}/", folder.display())).replace('}', "")
    }
}

const PLAIN: &[&str] = &["not encrypted"];
const UNVERIFIED: &[&str] = &["TLS 1.3", "not verified"];
const AUTHORITY: &[&str] = &["TLS 1.3", "The own authority", "authority verified by", "own.crt"];
const BOTH: &[&str] = &["TLS 1.3", "The own authority", "authority and host verified by"];

#[tokio::test]
async fn every_sslmode_verifies_of_each_kind_of_certificate_what_libpq_verifies() -> Result<()> {
    let at = Secured::start().await?;
    let anything: [(&str, &[&str]); 4] = [
        ("sslmode=disable", PLAIN),
        ("sslmode=allow", PLAIN),
        ("", UNVERIFIED),
        ("sslmode=require", UNVERIFIED),
    ];
    let self_signed: &[&str] = &["self-signed (CN=localhost)", "own.crt", "sslrootcert=FILE"];
    let expired: &[&str] = &["expired at 20", "renew the server's certificate"];
    let other_host: &[&str] = &["is for db.example, not for localhost", "sslmode=verify-ca"];
    let old: &[&str] = &["X.509 V1", "subjectAltName"];
    let (ok, failure) = ("ok", "failure");
    for (certificate, authority, full) in [
        ("right", (ok, AUTHORITY), (ok, BOTH)),
        ("common", (ok, AUTHORITY), (ok, BOTH)),
        ("wrong", (ok, AUTHORITY), (failure, other_host)),
        ("expired", (failure, expired), (failure, expired)),
        ("old", (failure, old), (failure, old)),
        ("self", (failure, self_signed), (failure, self_signed)),
    ] {
        at.present(certificate).await?;
        for (parameters, message) in anything {
            at.check(&[("postgres", parameters, ok, message)])
                .await
                .with_context(|| format!("with the certificate {certificate}"))?;
        }
        // If there is a root file, `require` verifies the authority; `prefer` continues without
        // TLS.
        let preferred = if authority.0 == ok { authority } else { (ok, PLAIN) };
        at.check(&[
            ("postgres", "sslmode=require&sslrootcert={own.crt}", authority.0, authority.1),
            ("postgres", "sslmode=verify-ca&sslrootcert={own.crt}", authority.0, authority.1),
            ("postgres", "sslmode=verify-full&sslrootcert={own.crt}", full.0, full.1),
            ("postgres", "sslmode=prefer&sslrootcert={own.crt}", preferred.0, preferred.1),
        ])
        .await
        .with_context(|| format!("with the certificate {certificate}"))?;
    }
    // The last, self-signed one is its own authority.
    at.check(&[
        ("postgres", "sslmode=verify-full&sslrootcert={self.crt}", ok, &["and host verified"]),
        ("only_tls", "sslmode=verify-ca&sslrootcert={self.crt}", ok, &["authority verified"]),
    ])
    .await?;
    at.present("right").await?;
    let system: &[&str] = &["issued by CN=The own authority", "authorities of this system"];
    at.check(&[
        ("postgres", "sslrootcert=system", failure, system),
        ("postgres", "sslmode=verify-full", failure, system),
        ("postgres", "sslmode=verify-full&sslrootcert={strange.crt}", failure, &["issued by"]),
        ("postgres", "sslmode=require&sslrootcert=system", "usage", &["must be verify-full"]),
        ("postgres", "sslmode=verify-ca", "usage", &["needs sslrootcert=FILE"]),
        ("postgres", "sslmode=verify-ca&sslrootcert={none}", "usage", &["cannot read", "none"]),
        (
            "postgres",
            "sslmode=verify-full&sslrootcert={own.crt}&ssl_max_protocol_version=TLSv1.2",
            ok,
            &["TLS 1.2", "and host verified"],
        ),
        ("postgres", "sslmode=verify-full&sslrootcert={own.crt}&hostaddr=127.0.0.1", ok, BOTH),
        ("postgres", "sslmode=verify-full&sslrootcert={own.crt}&host=127.0.0.1", ok, BOTH),
    ])
    .await
}

#[tokio::test]
async fn sslmode_falls_back_as_libpq_does_and_other_parameters_have_libpqs_meaning() -> Result<()> {
    let at = Secured::start().await?;
    let (ok, failure) = ("ok", "failure");
    at.check(&[
        ("only_tls", "sslmode=disable", failure, &["28000", "no encryption"]),
        ("only_tls", "sslmode=allow", ok, UNVERIFIED),
        ("only_tls", "gssencmode=prefer", ok, UNVERIFIED),
        ("only_plain", "sslmode=prefer", ok, PLAIN),
        ("only_plain", "sslmode=require", failure, &["28000", "SSL encryption"]),
        ("certificates", "sslmode=require", failure, &["valid client certificate"]),
        (
            "certificates",
            "sslmode=verify-full&sslrootcert={own.crt}&sslcert={client.crt}&sslkey={client.key}",
            ok,
            BOTH,
        ),
        (
            "certificates",
            "sslmode=require&sslcert={stranger.crt}&sslkey={stranger.key}",
            failure,
            &["check sslcert"],
        ),
        ("certificates", "sslcert={client.crt}&sslkey={stranger.key}", "usage", &["do not match"]),
        (
            "passwords",
            "sslmode=require&channel_binding=require&user=scram&password=a%20secret",
            ok,
            UNVERIFIED,
        ),
        (
            "passwords",
            "sslmode=disable&channel_binding=require&user=scram&password=a%20secret",
            failure,
            &["channel binding"],
        ),
        ("passwords", "sslmode=require&user=scram&password=wrong", failure, &["28P01"]),
        ("postgres", "channel_binding=require", failure, &["channel binding"]),
        ("postgres", "target_session_attrs=read-write", ok, UNVERIFIED),
        ("postgres", "target_session_attrs=prefer-standby", ok, UNVERIFIED),
        ("postgres", "target_session_attrs=standby", failure, &["it is a primary"]),
        ("postgres", "target_session_attrs=read-only", failure, &["read-write"]),
        ("postgres", "sslmode=strict", "usage", &["must be one of disable, allow, prefer"]),
    ])
    .await?;

    let several = format!(
        "postgresql://postgres@127.0.0.1:1,localhost:{}/postgres?target_session_attrs=primary",
        at.port
    );
    assert_eq!(at.diagnosis(&several).await?.0, "ok");
    let ignored = at.url("postgres", "pgbouncer=true&schema=public&connection_limit=1");
    let output = run_binderyd(&["watch", "--database-url", &ignored]).await?;
    let warnings = text(&output);
    ensure!(
        warnings.matches("ignored parameters of --database-url").count() == 1
            && warnings.contains("pgbouncer, schema, connection_limit"),
        "{warnings}"
    );

    // This listener accepts connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let began = Instant::now();
    let url = format!("postgresql://postgres@{}/x?connect_timeout=1", silent.local_addr()?);
    let (level, words) = at.diagnosis(&url).await?;
    ensure!(level == failure && words.contains("did not answer within 1s"), "{level} {words}");
    ensure!(began.elapsed() < Duration::from_secs(9), "the limit was {:?}", began.elapsed());

    at.present("").await?;
    at.check(&[
        ("postgres", "sslmode=require", failure, &["does not support TLS", "ssl = on"]),
        ("postgres", "sslmode=prefer", ok, PLAIN),
    ])
    .await
}

/// The relay, the sweeper, the outbox and the pool of `/api` connect alike; a renewed root file
/// takes effect.
#[tokio::test]
async fn the_daemon_runs_over_verified_tls() -> Result<()> {
    let at = Secured::start().await?;
    let name = "over_tls";
    at.client.batch_execute(&format!("create database {name}")).await?;
    let roots = at.servers.dir().join("roots.crt");
    fs::copy(at.file("own.crt"), &roots)?;
    let parameters = format!("sslmode=verify-full&sslrootcert={}", roots.display());
    let url = at.url(name, &parameters);
    let migrated = run_binderyd(&["migrate", "--database-url", &url]).await?;
    ensure!(migrated.status.success(), "{}", text(&migrated));
    let daemon = Daemon::spawn(&at.servers, &url, &[])?;
    daemon.ready().await?;
    let books = daemon.get("/api/books").await?;
    assert_eq!(books.status, 200, "{books:?}");
    let query = "select count(*) from pg_stat_ssl s join pg_stat_activity a using (pid)
        where a.application_name = 'binderyd' and s.ssl is not true";
    assert_eq!(at.client.query_one(query, &[]).await?.get::<_, i64>(0), 0);

    // Another authority has issued the server's certificate, and the root file has changed
    // likewise.
    at.present("self").await?;
    let end = "select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'binderyd'";
    at.client.query(end, &[]).await?;
    eventually(SOON, "the certificate's problem in /readyz", async || {
        let ready = daemon.get("/readyz").await?;
        let explained = ready.status == 503 && ready.body.contains("sslrootcert=FILE");
        ensure!(explained, "{ready:?}");
        Ok(())
    })
    .await?;
    replace(Path::new(&at.file("self.crt")), &roots)?;
    daemon.ready().await
}

/// Replaces a file by a copy atomically.
fn replace(with: &Path, file: &Path) -> Result<()> {
    let new = file.with_extension("new");
    fs::copy(with, &new)?;
    Ok(fs::rename(new, file)?)
}
