//! Access over HTTP: with tokens, with keys, and without either.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, anyhow};
use bindery_tests::{Servers, eventually, free_address, jwt, token};
use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::http_support::{Guarded, SECRET, seconds, service, user};
use crate::support::SOON;

#[tokio::test]
async fn row_level_security_decides_by_the_token() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let (owner, stranger) = (Uuid::new_v4(), Uuid::new_v4());
    let book = at.book_of(owner, "The Tide").await?;
    at.book_of(stranger, "Another").await?;
    for route in ["status", "timeline", "events"] {
        let path = format!("/api/books/{book}/{route}");
        let unseen = at.daemon.ask("GET", &path).token(&user(stranger)?).answer().await?;
        assert_eq!(unseen.refusal()?, (404, "PT404".to_owned()), "{route}: a stranger's");
        let anonymous = at.daemon.ask("GET", &path).answer().await?;
        assert_eq!(anonymous.refusal()?, (401, "42501".to_owned()), "{route}: without a token");
        assert_eq!(anonymous.header("www-authenticate"), Some("bearer"));
        if route != "events" {
            for token in [user(owner)?, service()?] {
                let seen = at.daemon.ask("GET", &path).token(&token).answer().await?;
                assert_eq!((seen.status, &seen.json()?["book_id"]), (200, &json!(book)), "{route}");
            }
        }
    }
    for (token, books) in
        [(user(owner)?, 1), (user(stranger)?, 1), (user(Uuid::new_v4())?, 0), (service()?, 2)]
    {
        let list = at.daemon.ask("GET", "/api/books").token(&token).answer().await?.json()?;
        assert_eq!(list["books"].as_array().map(Vec::len), Some(books));
    }
    assert_eq!(
        at.daemon.ask("GET", "/api/books").answer().await?.status,
        401,
        "anon lists nothing"
    );
    Ok(())
}

#[tokio::test]
async fn a_token_that_is_forged_expired_or_not_yet_valid_is_refused() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let late = json!({"role": "service_role", "exp": seconds() - 60});
    let early = json!({"role": "service_role", "nbf": seconds() + 60});
    for (token, code) in [
        (token(SECRET, &late)?, "PGRST303"),
        (token(SECRET, &early)?, "PGRST303"),
        (token(SECRET, &json!({"role": "postgres"}))?, "PGRST303"),
        (token(SECRET, &json!({"sub": Uuid::new_v4()}))?, "PGRST303"),
        (
            token("another secret, which is long enough too", &json!({"role": "service_role"}))?,
            "PGRST301",
        ),
        // {"alg":"none"}, {"role":"service_role"}
        ("eyJhbGciOiJub25lIn0.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.".to_owned(), "PGRST301"),
        ("nonsense".to_owned(), "PGRST301"),
    ] {
        for path in ["/api/books", "/api/events"] {
            let refused = at.daemon.ask("GET", path).token(&token).answer().await?;
            assert_eq!(refused.refusal()?, (401, code.to_owned()), "{path} {token}");
            assert!(
                refused.json()?["message"].is_string() && refused.json()?.get("hint").is_some()
            );
        }
    }
    let basic =
        at.daemon.ask("GET", "/api/books").header("Authorization", "Basic YTpi").answer().await?;
    assert_eq!(basic.refusal()?, (401, "PGRST301".to_owned()));
    assert!(!at.daemon.log().contains(SECRET));
    Ok(())
}

/// The first two key pairs of RFC 8032's examples: private and public key.
const KEYS: [(&str, &str); 2] = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw",
    ),
];

fn key(name: &str, index: usize) -> Result<(Ed25519KeyPair, Value)> {
    let (private, public) = KEYS[index];
    let seed: Vec<u8> = (0..private.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&private[at..at + 2], 16))
        .collect::<Result<_, _>>()?;
    let key = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|error| anyhow!("{error}"))?;
    Ok((key, json!({"kty": "OKP", "crv": "Ed25519", "kid": name, "x": public})))
}

fn signed(name: &str, key: &Ed25519KeyPair) -> Result<String> {
    let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": name});
    let claims = json!({"role": "service_role", "exp": seconds() + 3600});
    jwt(&header, &claims, |message| key.sign(message))
}

#[tokio::test]
async fn public_keys_are_read_again_when_a_token_names_a_new_one() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let file = servers.new_file("jwks.json");
    let ((first, first_public), (second, second_public)) = (key("first", 0)?, key("second", 1)?);
    std::fs::write(&file, json!({"keys": [&first_public]}).to_string())?;
    let daemon = database.daemon(&["--jwks-url", &file.to_string_lossy()]).await?;
    let status = async |token: &str| {
        anyhow::Ok(daemon.ask("GET", "/api/books").token(token).answer().await?.status)
    };
    assert_eq!(status(&signed("first", &first)?).await?, 200);
    assert_eq!(status(&signed("second", &second)?).await?, 401);
    assert_eq!(status(&signed("first", &second)?).await?, 401, "the name alone opens nothing");
    assert_eq!(
        status(&token(SECRET, &json!({"role": "service_role"}))?).await?,
        401,
        "no secret is known"
    );
    std::fs::write(&file, json!({"keys": [&first_public, &second_public]}).to_string())?;
    let second = signed("second", &second)?;
    eventually(SOON, "the new key to be taken", async || match status(&second).await {
        Ok(200) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
}

#[tokio::test]
async fn public_keys_are_fetched_over_http_and_kept_while_the_key_server_is_away() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let (private, public) = key("only", 0)?;
    let keys = json!({"keys": [public]}).to_string();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/keys.json", listener.local_addr()?);
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut request = [0; 1024];
        let read = stream.read(&mut request).await?;
        let head = format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{keys}",
            keys.len()
        );
        stream.write_all(head.as_bytes()).await?;
        anyhow::Ok(String::from_utf8_lossy(&request[..read]).into_owned())
    });
    let daemon = database.daemon(&["--jwks-url", &url]).await?;
    let token = signed("only", &private)?;
    assert_eq!(daemon.ask("GET", "/api/books").token(&token).answer().await?.status, 200);
    let asked = serving.await??;
    assert!(asked.starts_with("GET /keys.json "), "{asked}");
    // The listener ends with its task.
    let unknown = signed("another", &private)?;
    assert_eq!(daemon.ask("GET", "/api/books").token(&unknown).answer().await?.status, 401);
    assert_eq!(daemon.ask("GET", "/api/books").token(&token).answer().await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_login_that_is_not_a_superuser_needs_the_roles_that_it_sets() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let client = database.connect().await?;
    let login = format!("daemon_{}", Uuid::new_v4().simple());
    client.batch_execute(&format!("create role {login} login in role bindery_relay")).await?;
    let url = database.url().replace("postgres@", &format!("{login}@"));
    let servers = Servers::shared().await?;
    let args =
        ["--stream", database.stream(), "--sweep", "0", "--outbox", "", "--jwt-secret", SECRET];
    let daemon = bindery_tests::Daemon::spawn(servers, &url, &args)?;
    daemon.ready().await?;
    let ask = async || daemon.ask("GET", "/api/books").token(&service()?).answer().await;
    assert_eq!(ask().await?.refusal()?, (503, "0P000".to_owned()));
    daemon.logged("grant anon, authenticated, service_role and bindery_worker").await?;
    client
        .batch_execute(&format!(
            "grant anon, authenticated, service_role, bindery_worker to {login}"
        ))
        .await?;
    assert_eq!(ask().await?.status, 200);
    let worker = token(SECRET, &json!({"role": "bindery_worker"}))?;
    let refused = daemon.ask("GET", "/api/books").token(&worker).answer().await?;
    assert_eq!(refused.refusal()?, (403, "42501".to_owned()), "a worker's role is taken");
    Ok(())
}

#[tokio::test]
async fn without_a_secret_other_machines_are_refused() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let port = free_address()?.port();
    let daemon = database.daemon(&["--http", &format!("0.0.0.0:{port}")]).await?;
    assert!(daemon.log().contains("/api is closed"), "{}", daemon.log());
    for path in ["/api/books", "/api/events"] {
        let refused = daemon.ask("GET", path).answer().await?;
        assert_eq!(refused.refusal()?, (403, "42501".to_owned()));
    }
    assert_eq!(daemon.ask("GET", "/api").answer().await?.json()?["access"], "closed");
    assert_eq!(daemon.get("/healthz").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn without_a_secret_only_this_machines_own_pages_are_allowed() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let daemon = database.daemon(&["--cors-origin", "http://localhost:*"]).await?;
    assert!(daemon.log().contains("this machine only"), "{}", daemon.log());
    let own = format!("http://{}", daemon.http());
    for (header, value, status) in [
        ("Host", "evil.example", 403),
        ("Host", "localhost:7890", 200),
        ("Origin", "https://evil.example", 403),
        ("Origin", "null", 403),
        ("Origin", &own, 200),
        ("Origin", "http://localhost:5173", 200),
        ("Origin", "http://localhost.evil.example:5173", 403),
    ] {
        let answer = daemon.ask("GET", "/api/books").header(header, value).answer().await?;
        assert_eq!(answer.status, status, "{header}: {value}");
        let allowed = answer.header("access-control-allow-origin");
        assert_eq!(allowed.is_some(), value == "http://localhost:5173", "{value}: {allowed:?}");
    }
    Ok(())
}

#[tokio::test]
async fn without_tokens_a_request_through_a_proxy_is_refused_with_what_to_do() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let daemon = database.daemon(&[]).await?;
    for (header, value) in [
        ("Forwarded", "for=192.0.2.7"),
        ("X-Forwarded-For", "192.0.2.7"),
        ("X-Forwarded-Proto", "https"),
        ("x-forwarded-host", "books.example"),
        ("Via", "1.1 proxy"),
        ("X-Real-IP", "192.0.2.7"),
        ("X-Forwarded-For", ""),
    ] {
        for path in ["/api/books", "/api/events", "/api"] {
            let refused = daemon.ask("GET", path).header(header, value).answer().await?;
            assert_eq!(refused.refusal()?, (403, "42501".to_owned()), "{path} {header}");
            let refusal = refused.json()?;
            let contains =
                |part: &str, word: &str| refusal[part].as_str().is_some_and(|t| t.contains(word));
            assert!(contains("message", &header.to_lowercase()), "{refusal}");
            assert!(contains("hint", "--jwt-secret"), "{refusal}");
        }
    }
    let at = Guarded::start(&[]).await?;
    let proxied = at.daemon.ask("GET", "/api/books").token(&service()?);
    let answer = proxied.header("X-Forwarded-For", "192.0.2.7").answer().await?;
    assert_eq!(answer.status, 200, "with tokens a proxy is welcome");
    Ok(())
}

#[tokio::test]
async fn on_loopback_health_and_metrics_answer_to_this_machines_names_only() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    for path in ["/healthz", "/readyz", "/metrics"] {
        for (host, status) in [
            ("evil.example", 403),
            ("evil.example:7890", 403),
            ("localhost.evil.example", 403),
            ("localhost:7890", 200),
            ("127.0.0.1", 200),
            ("[::1]:7890", 200),
        ] {
            let answer = at.daemon.ask("GET", path).header("Host", host).answer().await?;
            assert_eq!(answer.status, status, "{path} {host}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_token_must_be_from_the_required_issuer_and_for_the_required_audience() -> Result<()> {
    let at = Guarded::start(&[
        "--jwt-issuer",
        "https://a.example/auth/v1",
        "--jwt-audience",
        "books,comics",
    ])
    .await?;
    let issuer = "https://a.example/auth/v1";
    for (claims, status) in [
        (json!({"iss": issuer, "aud": "comics"}), 200),
        (json!({"iss": issuer, "aud": ["others", "books"]}), 200),
        (json!({"iss": issuer, "aud": "others"}), 401),
        (json!({"iss": "https://b.example", "aud": "books"}), 401),
        (json!({"aud": "books"}), 401),
        (json!({"iss": issuer}), 401),
    ] {
        let mut all = claims.clone();
        all["role"] = json!("service_role");
        all["exp"] = json!(seconds() + 3600);
        let token = token(SECRET, &all)?;
        let answer = at.daemon.ask("GET", "/api/books").token(&token).answer().await?;
        assert_eq!(answer.status, status, "{claims} {answer:?}");
        if status == 401 {
            assert_eq!(answer.refusal()?.1, "PGRST303", "{claims}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_slow_key_server_delays_no_token_with_a_known_key() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let (private, public) = key("only", 0)?;
    let keys = json!({"keys": [public]}).to_string();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/keys.json", listener.local_addr()?);
    // The server answers the first request, and no other.
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let _serving = tokio::spawn(async move {
        let mut unanswered = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await?;
            if counted.fetch_add(1, Ordering::SeqCst) > 0 {
                unanswered.push(stream);
                continue;
            }
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await?;
            let length = keys.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{keys}");
            stream.write_all(head.as_bytes()).await?;
        }
        #[expect(unreachable_code, reason = "it gives the task its type")]
        anyhow::Ok(())
    });
    let daemon = database.daemon(&["--jwks-url", &url]).await?;
    let known = signed("only", &private)?;
    assert_eq!(daemon.ask("GET", "/api/books").token(&known).answer().await?.status, 200);
    let unknown = signed("another", &private)?;
    // The daemon asks the key server again ten seconds after the first request; until then it
    // refuses the tokens.
    let mut waiting = tokio::task::JoinSet::new();
    eventually(SOON, "the key server to be asked again", async || {
        for _ in 0..5 {
            waiting.spawn(daemon.ask("GET", "/api/books").token(&unknown).answer());
        }
        if asked.load(Ordering::SeqCst) > 1 { Ok(()) } else { Err("not yet") }
    })
    .await?;
    // The key server does not answer that request.
    for _ in 0..5 {
        waiting.spawn(daemon.ask("GET", "/api/books").token(&unknown).answer());
        assert_eq!(daemon.ask("GET", "/api/books").token(&known).answer().await?.status, 200);
    }
    let mut refused = 0;
    while let Some(answer) = waiting.try_join_next() {
        assert_eq!(answer??.status, 401);
        refused += 1;
    }
    assert!(!waiting.is_empty(), "all {refused} were answered: known keys waited for the download");
    while let Some(answer) = waiting.join_next().await {
        assert_eq!(answer??.status, 401);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2, "one download for all of them");
    assert_eq!(daemon.ask("GET", "/api/books").token(&known).answer().await?.status, 200);
    Ok(())
}
