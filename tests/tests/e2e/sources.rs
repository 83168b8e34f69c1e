//! Locations of Redis: behind TLS with an ACL user, behind sentinels, in a cluster. The servers are
//! real.

use anyhow::{Context, Result, anyhow, ensure};
use bindery_tests::{Certificates, Daemon, Database, Node, Servers, eventually, free_address};
use tokio_postgres::Client;

use crate::support::{SOON, applied_up_to, book_in, cursor};

const LOUD: [(&str, &str); 1] = [("RUST_LOG", "binderyd=debug")];
const ARGS: [&str; 6] = ["--outbox", "", "--lease", "2s", "--sweep", "0"];

/// The rights that docs/install.md gives the daemon's user.
fn documented_rights() -> Result<Vec<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/install.md");
    let text = std::fs::read_to_string(path)?;
    let (_, rest) =
        text.split_once("ACL SETUSER relay on ").context("no ACL SETUSER in docs/install.md")?;
    let rights = rest.split('`').next().unwrap_or_default();
    Ok(rights.split(' ').map(|right| right.replace(">password", ">hush")).collect())
}

/// Adds a report of the book's substep; returns its id.
async fn report(
    node: &Node,
    stream: &str,
    book: &str,
    percent: u8,
    more: &[&str],
) -> Result<String> {
    let percent = percent.to_string();
    let fields =
        ["type", "progress", "book_id", book, "substep", "extract_text", "progress", &percent];
    let id = node.cli(&[more, &["XADD", stream, "*"], &fields].concat()).await?;
    ensure!(id.contains('-') && !id.contains(' '), "XADD answered {id}");
    Ok(id)
}

async fn problem(daemon: &Daemon, problems: &[&str]) -> Result<()> {
    eventually(SOON, &format!("/readyz to show one of {problems:?}"), async || {
        let response = daemon.get("/readyz").await?;
        let refused =
            response.status == 503 && problems.iter().any(|words| response.body.contains(words));
        if refused { Ok(()) } else { Err(anyhow!("{response:?}")) }
    })
    .await
}

#[tokio::test]
async fn over_tls_with_an_own_authority_a_client_certificate_and_an_acl_user() -> Result<()> {
    let servers = Servers::shared().await?;
    let (ours, strange) = (Certificates::new(servers).await?, Certificates::new(servers).await?);
    let (ca, certificate, key) = (ours.authority(), ours.certificate(), ours.key());
    let settings =
        ["--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
    let reach = ["--tls", "--cacert", &ca, "--cert", &certificate, "--key", &key];
    let node =
        Node::with_tls(servers, &[&settings, &["--tls-auth-clients", "yes"][..]].concat(), &reach)
            .await?;
    let rights = documented_rights()?;
    let acl: Vec<&str> = ["ACL", "SETUSER", "relay", "on"]
        .into_iter()
        .chain(rights.iter().map(String::as_str))
        .collect();
    assert_eq!(node.cli(&acl).await?, "OK");

    let database = servers.database().await?;
    let client = database.connect().await?;
    let book = book_in(&client, &["ANALYZING"]).await?.to_string();
    let stream = database.stream();
    let last = report(&node, stream, &book, 40, &[]).await?;
    let args = ["--stream", stream, "--lease", "500ms", "--sweep", "0", "--retain", "1h"];
    let url = |user: &str, ca: &str, rest: &str| {
        format!("rediss://{user}@127.0.0.1:{}/?tls_ca={ca}{rest}", node.port())
    };
    let own = format!("&tls_cert={certificate}&tls_key={key}");
    let daemon =
        Daemon::spawn_with(servers, database.url(), &url("relay:hush", &ca, &own), &args, &LOUD)?;
    daemon.ready().await?;
    applied_up_to(&client, stream, &last).await?;
    // The other uses of Redis need no more than the documented rights: the outbox, the probe of the
    // stream, its lag.
    eventually(SOON, "the outbox in Redis", async || {
        let length = node.cli(&["XLEN", "bindery:changes"]).await?;
        if length == "0" { Err(anyhow!("it is empty")) } else { Ok(()) }
    })
    .await?;
    node.cli(&["DEL", stream]).await?;
    eventually(SOON, "the loss to be noticed", async || {
        let row = client.query_one("select last_loss from bindery.relay_cursors", &[]).await?;
        let last: Option<String> = row.get(0);
        if last.as_deref() == Some("deleted") { Ok(()) } else { Err(anyhow!("{last:?}")) }
    })
    .await?;
    eventually(SOON, "the metric of the lag", async || {
        let metrics = daemon.get("/metrics").await?.body;
        let exposed = metrics.contains(&format!("bindery_relay_lag_events{{stream=\"{stream}\"}}"));
        if exposed { Ok(()) } else { Err(anyhow!("{metrics}")) }
    })
    .await?;
    // Trimming and probing log refusals at level DEBUG only.
    ensure!(daemon.log().contains("DEBUG") && !daemon.log().contains("NOPERM"));
    drop(daemon);

    for (user, ca, rest, problems) in [
        ("relay:hush", &strange.authority(), own.as_str(), ["certificate", "UnknownIssuer"]),
        ("relay:hush", &ca, "", ["certificate", "CertificateRequired"]),
        ("relay:wrong", &ca, own.as_str(), ["WRONGPASS", "Password authentication failed"]),
    ] {
        let daemon = Daemon::spawn_with(servers, database.url(), &url(user, ca, rest), &args, &[])?;
        problem(&daemon, &problems).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_killed_master_is_replaced_as_its_sentinels_report() -> Result<()> {
    let servers = Servers::shared().await?;
    let mut master = Node::server(servers, &["--appendonly", "yes"]).await?;
    let (old, port) = (master.port(), master.port().to_string());
    let replica = Node::server(servers, &["--replicaof", "127.0.0.1", &port]).await?;
    let configuration = format!(
        "sentinel monitor books 127.0.0.1 {port} 2\nsentinel down-after-milliseconds books 10000\n\
         sentinel failover-timeout books 20000\nrequirepass watch\nsentinel sentinel-pass watch\n"
    );
    let mut sentinels = Vec::new();
    for _ in 0..3 {
        sentinels.push(Node::sentinel(servers, &configuration).await?);
    }
    let ask = async |node: &Node| {
        node.cli(&["-a", "watch", "--no-auth-warning", "--raw", "SENTINEL", "MASTER", "books"])
            .await
    };
    eventually(SOON, "the sentinels to list each other and the replica", async || {
        for sentinel in &sentinels {
            let answer = ask(sentinel).await?;
            let lines: Vec<&str> = answer.lines().collect();
            let number = |name: &str| {
                lines
                    .iter()
                    .position(|line| *line == name)
                    .and_then(|at| lines.get(at + 1).copied())
            };
            if (number("num-slaves"), number("num-other-sentinels")) != (Some("1"), Some("2")) {
                return Err(anyhow!("{answer}"));
            }
        }
        Ok(())
    })
    .await?;

    let database = servers.database().await?;
    let client = database.connect().await?;
    let book = book_in(&client, &["ANALYZING"]).await?.to_string();
    let stream = database.stream();
    let hosts: Vec<String> =
        sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port())).collect();
    let url = format!("redis+sentinel://{}/books/0?sentinel_password=watch", hosts.join(","));
    let daemon = Daemon::spawn_with(
        servers,
        database.url(),
        &url,
        &[&["--stream", stream], ARGS.as_slice()].concat(),
        &[],
    )?;
    daemon.ready().await?;
    let before = report(&master, stream, &book, 10, &[]).await?;
    applied_up_to(&client, stream, &before).await?;
    // Wait for the replica too: entries that it lacked would be lost, which another test covers.
    eventually(SOON, "the replica to have it", async || {
        let entries = replica.cli(&["XLEN", stream]).await?;
        if entries == "1" { Ok(()) } else { Err(anyhow!("{entries}")) }
    })
    .await?;

    master.kill().await?;
    sentinels[0].kill().await?;
    eventually(SOON, "the replica to be master", async || {
        let role = replica.cli(&["ROLE"]).await?;
        if role.starts_with("master") { Ok(()) } else { Err(anyhow!("{role}")) }
    })
    .await?;
    let after = report(&replica, stream, &book, 60, &[]).await?;
    let cursor = applied_up_to(&client, stream, &after).await?;
    ensure!(cursor.counts.applied == 2 && cursor.counts.all() == 2, "{cursor:?}");
    daemon.ready().await?;
    ensure!(old != replica.port());
    Ok(())
}

/// A cluster of three masters, one of which has a replica, and a stream on each master.
struct Cluster {
    nodes: Vec<Node>,
    streams: Vec<String>,
}

impl Cluster {
    async fn start(servers: &Servers) -> Result<Cluster> {
        const SETTINGS: [&str; 8] = [
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "5000",
            "--cluster-require-full-coverage",
            "no",
            "--appendonly",
            "yes",
        ];
        let mut nodes = Vec::new();
        for _ in 0..4 {
            // Choose the bus port as well: the default is 10000 higher, which may be no valid port.
            let bus = free_address()?.port().to_string();
            nodes.push(
                Node::server(servers, &[&SETTINGS[..], &["--cluster-port", &bus]].concat()).await?,
            );
        }
        for (index, slots) in [(0, "0 5460"), (1, "5461 10922"), (2, "10923 16383")] {
            let range: Vec<&str> = slots.split(' ').collect();
            nodes[index].cli(&[&["CLUSTER", "ADDSLOTSRANGE"], range.as_slice()].concat()).await?;
            nodes[index].cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]).await?;
        }
        for node in &nodes[1..] {
            let bus = node.cli(&["CONFIG", "GET", "cluster-port"]).await?;
            let bus = bus.lines().last().unwrap_or_default().to_owned();
            nodes[0].cli(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string(), &bus]).await?;
        }
        let cluster = Cluster { nodes, streams: Vec::new() };
        cluster.all_report("cluster_known_nodes:4").await?;
        let master = cluster.nodes[1].cli(&["CLUSTER", "MYID"]).await?;
        eventually(SOON, "the fourth node to be a replica", async || {
            let answer = cluster.nodes[3].cli(&["CLUSTER", "REPLICATE", &master]).await?;
            if answer == "OK" { Ok(()) } else { Err(anyhow!("{answer}")) }
        })
        .await?;
        cluster.all_report("cluster_state:ok").await?;
        Ok(cluster)
    }

    /// Waits until no node is marked as failed.
    async fn whole(&self) -> Result<()> {
        self.all_report("cluster_state:ok").await?;
        eventually(SOON, "all nodes to see each other", async || {
            for node in &self.nodes {
                let answer = node.cli(&["CLUSTER", "NODES"]).await?;
                if answer.contains("fail") {
                    return Err(anyhow!("{answer}"));
                }
            }
            Ok(())
        })
        .await
    }

    async fn all_report(&self, word: &str) -> Result<()> {
        eventually(SOON, &format!("all nodes to report {word}"), async || {
            for node in &self.nodes {
                let answer = node.cli(&["CLUSTER", "INFO"]).await?;
                if !answer.contains(word) {
                    return Err(anyhow!("{answer}"));
                }
            }
            Ok(())
        })
        .await
    }

    /// Names a stream on each of the three masters.
    async fn name_streams(&mut self, base: &str) -> Result<()> {
        for slots in [0..=5460, 5461..=10922, 10923..=16383] {
            for number in 0.. {
                let name = format!("{base}:{number}");
                let slot: u16 = self.nodes[0].cli(&["CLUSTER", "KEYSLOT", &name]).await?.parse()?;
                if slots.contains(&slot) {
                    self.streams.push(name);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Publishes on a channel through each node that runs, and waits until a message of each is
    /// applied.
    async fn until_received(&self, client: &Client, channel: &str, book: &str) -> Result<()> {
        let stream = format!("bindery:channel:{{{channel}}}");
        let event = format!(r#"{{"type": "heartbeat", "book_id": "{book}"}}"#);
        for node in &self.nodes {
            let before = cursor(client, &stream).await?.counts.all();
            let port = node.port();
            eventually(
                SOON,
                &format!("a message by the node at {port} to be applied"),
                async || {
                    // A killed node does not answer.
                    let Ok(_) = node.cli(&["PUBLISH", channel, &event]).await else {
                        return Ok(());
                    };
                    let counts = cursor(client, &stream).await?.counts;
                    if counts.all() > before && counts.rejected == 0 {
                        Ok(())
                    } else {
                        Err(anyhow!("{counts:?}"))
                    }
                },
            )
            .await?;
        }
        Ok(())
    }

    /// Adds a report to a stream through any running node, and waits until it is applied.
    async fn applied(
        &self,
        client: &Client,
        by: usize,
        stream: usize,
        book: &str,
        percent: u8,
    ) -> Result<()> {
        // After an error, nothing was added.
        let added =
            async || report(&self.nodes[by], &self.streams[stream], book, percent, &["-c"]).await;
        let id = eventually(SOON, "an entry to be taken", added).await?;
        applied_up_to(client, &self.streams[stream], &id).await?;
        Ok(())
    }
}

#[tokio::test]
async fn in_a_cluster_other_nodes_streams_continue_and_a_killed_nodes_resume_when_it_is_back_or_replaced()
-> Result<()> {
    let servers = Servers::shared().await?;
    let mut cluster = Cluster::start(servers).await?;
    let database: Database<'_> = servers.database().await?;
    cluster.name_streams(database.stream()).await?;
    let client = database.connect().await?;
    let book = book_in(&client, &["ANALYZING"]).await?.to_string();
    let seeds: Vec<String> =
        cluster.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
    let url = format!("redis+cluster://{}", seeds[..2].join(","));
    let streams = cluster.streams.join(",");
    let outbox = format!("{}:changes", database.stream());
    let mut args = vec![
        "--stream", &streams, "--lease", "2s", "--sweep", "0", "--outbox", &outbox, "--retain",
        "1h",
    ];
    args.extend(["--channel", database.stream()]);
    let daemon = Daemon::spawn_with(servers, database.url(), &url, &args, &LOUD)?;
    daemon.ready().await?;
    for stream in 0..3 {
        cluster.applied(&client, 0, stream, &book, 10).await?;
    }
    eventually(SOON, "the outbox, on whichever node it is", async || {
        let length = cluster.nodes[0].cli(&["-c", "XLEN", &outbox]).await?;
        if length == "0" { Err(anyhow!("it is empty")) } else { Ok(()) }
    })
    .await?;
    // Every node serves the channel; its stream and lease are on one node.
    cluster.until_received(&client, database.stream(), &book).await?;

    // Each connection goes directly to the right node.
    ensure!(
        daemon.log().contains("DEBUG")
            && !daemon.log().contains("MOVED")
            && !daemon.log().contains("not trimmed")
    );

    // The first node, which is also the first that the URL names, has no replica.
    cluster.nodes[0].kill().await?;
    for stream in [1, 2] {
        cluster.applied(&client, stream, stream, &book, 20).await?;
    }
    problem(&daemon, &["Redis: "]).await?;
    cluster.nodes[0].run().await?;
    cluster.whole().await?;
    cluster.applied(&client, 0, 0, &book, 30).await?;
    daemon.ready().await?;

    // The third node runs but does not answer.
    cluster.nodes[2].signal("STOP").await?;
    for stream in [0, 1] {
        cluster.applied(&client, stream, stream, &book, 35).await?;
    }
    problem(&daemon, &["Redis: "]).await?;
    cluster.nodes[2].signal("CONT").await?;
    cluster.whole().await?;

    // The second one's replica takes its place.
    ensure!(
        cluster.nodes[1].cli(&["WAIT", "1", "60000"]).await? == "1",
        "the replica is not there"
    );
    cluster.nodes[1].kill().await?;
    for stream in [0, 2] {
        cluster.applied(&client, stream, stream, &book, 40).await?;
    }
    eventually(SOON, "the replica to be master", async || {
        let role = cluster.nodes[3].cli(&["ROLE"]).await?;
        if role.starts_with("master") { Ok(()) } else { Err(anyhow!("{role}")) }
    })
    .await?;
    cluster.applied(&client, 3, 1, &book, 50).await?;
    daemon.ready().await?;
    cluster.until_received(&client, database.stream(), &book).await?;
    for (stream, events) in [(0, 4), (1, 4), (2, 3)] {
        let cursor = cursor(&client, &cluster.streams[stream]).await?;
        ensure!(cursor.counts.applied == events && cursor.counts.all() == events, "{cursor:?}");
    }
    Ok(())
}
