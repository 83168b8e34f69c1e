//! A test's own Redis process: a server with TLS, a replica, a sentinel, or a cluster's node.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, anyhow, ensure};
use tokio::process::{Child, Command};

use crate::daemon::{free_address, run};
use crate::eventually::{SOON, eventually};
use crate::servers::Servers;

/// A process of `redis-server` in its own folder. It is killed when dropped.
#[derive(Debug)]
pub struct Node {
    port: u16,
    dir: PathBuf,
    arguments: Vec<String>,
    /// The arguments with which `redis-cli` reaches it.
    reach: Vec<String>,
    child: Option<Child>,
}

impl Node {
    /// Starts a server with these additional settings, and waits until it answers.
    pub async fn server(servers: &Servers, settings: &[&str]) -> Result<Node> {
        Self::start(servers, settings, &[]).await
    }

    /// Starts a server that accepts TLS only, with the arguments for `redis-cli`.
    pub async fn with_tls(servers: &Servers, settings: &[&str], reach: &[&str]) -> Result<Node> {
        Self::start(servers, settings, reach).await
    }

    /// Starts a sentinel with this configuration, which it will change.
    pub async fn sentinel(servers: &Servers, configuration: &str) -> Result<Node> {
        let file = servers.new_file("sentinel.conf");
        fs::write(&file, configuration)?;
        Self::start(servers, &[&file.to_string_lossy(), "--sentinel"], &[]).await
    }

    async fn start(servers: &Servers, settings: &[&str], reach: &[&str]) -> Result<Node> {
        let dir = servers.new_file("redis");
        fs::create_dir(&dir)?;
        let port = free_address()?.port();
        let tls = !reach.is_empty();
        let mut arguments: Vec<String> = settings.iter().map(ToString::to_string).collect();
        let listening =
            if tls { ["--port", "0", "--tls-port"].as_slice() } else { ["--port"].as_slice() };
        arguments.extend(listening.iter().map(ToString::to_string));
        arguments.push(port.to_string());
        for (name, value) in [
            ("--bind", "127.0.0.1"),
            ("--dir", &*dir.to_string_lossy()),
            ("--logfile", "redis.log"),
        ] {
            arguments.extend([name.to_owned(), value.to_owned()]);
        }
        let reach = reach.iter().map(ToString::to_string).collect();
        let mut node = Node { port, dir, arguments, reach, child: None };
        node.run().await?;
        Ok(node)
    }

    /// Starts it again after it was killed, with its files.
    pub async fn run(&mut self) -> Result<()> {
        let child = Command::new("redis-server")
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("starting redis-server; run: make setup")?;
        self.child = Some(child);
        eventually(SOON, "redis-server to answer", async || {
            let answer = self.cli(&["ping"]).await?;
            // A server that requires a login answers, too.
            if answer == "PONG" || answer.starts_with("NOAUTH") {
                Ok(())
            } else {
                Err(anyhow!("{answer}"))
            }
        })
        .await
        .with_context(|| fs::read_to_string(self.dir.join("redis.log")).unwrap_or_default())
    }

    /// Kills it with SIGKILL.
    pub async fn kill(&mut self) -> Result<()> {
        match self.child.take() {
            Some(mut child) => Ok(child.kill().await?),
            None => Ok(()),
        }
    }

    /// Sends it a signal by name, such as `STOP`.
    pub async fn signal(&self, name: &str) -> Result<()> {
        let pid = self.child.as_ref().and_then(Child::id).context("it was killed")?;
        run(Command::new("bash").args(["-c", &format!("kill -{name} {pid}")])).await
    }

    /// The answer of `redis-cli` to this command, without the line's end.
    pub async fn cli(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new("redis-cli");
        let output = command
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(&self.reach)
            .args(words)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Its address on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// A certificate authority with a certificate for 127.0.0.1, as PEM files.
#[derive(Debug)]
pub struct Certificates {
    dir: PathBuf,
}

impl Certificates {
    /// Creates them.
    pub async fn new(servers: &Servers) -> Result<Certificates> {
        let dir = servers.new_file("certificates");
        fs::create_dir(&dir)?;
        let made = Certificates { dir };
        let key =
            ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
        let (ca, ca_key) = (made.file("ca.pem"), made.file("ca.key"));
        openssl(
            &made.dir,
            &[
                &["req", "-x509", "-subj", "/CN=Bindery tests", "-keyout", &ca_key, "-out", &ca],
                &key[..],
            ]
            .concat(),
        )
        .await?;
        let extensions = [
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:false",
        ];
        let signed = [
            "-CA",
            &ca,
            "-CAkey",
            &ca_key,
            "-keyout",
            &made.file("key"),
            "-out",
            &made.file("pem"),
        ];
        openssl(
            &made.dir,
            &[&["req", "-x509", "-subj", "/CN=127.0.0.1"], &key[..], &extensions, &signed].concat(),
        )
        .await?;
        Ok(made)
    }

    /// The authority's own certificate.
    pub fn authority(&self) -> String {
        self.file("ca.pem")
    }

    /// The certificate for 127.0.0.1.
    pub fn certificate(&self) -> String {
        self.file("pem")
    }

    /// The key of the certificate.
    pub fn key(&self) -> String {
        self.file("key")
    }

    fn file(&self, name: &str) -> String {
        self.dir.join(name).to_string_lossy().into_owned()
    }
}

/// Runs `openssl` in a folder.
pub async fn openssl(dir: &Path, arguments: &[&str]) -> Result<()> {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .await?;
    ensure!(
        output.status.success(),
        "openssl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
