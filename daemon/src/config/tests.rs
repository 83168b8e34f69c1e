use super::*;
use std::io::Write;

struct Written(PathBuf);

impl Written {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir()
            .join(format!("binderyd-config-{}-{name}.toml", std::process::id()));
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        Self(path)
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn load_with(file: &Written, more: &[&str]) -> Result<Cli, Stop> {
    let path = file.0.to_str().unwrap();
    let words = ["binderyd", "run", "--config", path].into_iter().chain(more.iter().copied());
    load(&words.map(OsString::from).collect::<Vec<_>>())
}

fn error_text(outcome: Result<Cli, Stop>) -> String {
    match outcome.unwrap_err() {
        Stop::Faults(text) | Stop::Print(text) => text,
        Stop::Usage(error) => error.to_string(),
    }
}

const ENDS: &str =
    "database-url = \"postgresql://u:hush@h/d\"\nredis-url = \"redis://u:hush@h/\"\n";

#[test]
fn the_file_stands_between_the_flags_and_the_defaults() {
    let file = Written::new(
        "order",
        &format!("{ENDS}stream = [\"a\", \"b\"]\nlinger = \"9ms\"\nmax-batch = 77\nsweep = 7\n"),
    );
    let cli = load_with(&file, &["--linger", "1ms"]).unwrap();
    let crate::cli::Command::Run(options) = cli.command else { panic!("not run") };
    assert_eq!(options.sources.streams, ["a", "b"]);
    assert_eq!(options.linger.as_millis(), 1, "the flag wins");
    assert_eq!((options.max_batch, options.sweep.as_secs()), (77, 7));
    assert_eq!(options.outbox, "bindery:changes", "the default");
}

#[test]
fn every_fault_is_reported_with_its_place_and_without_secrets() {
    let file = Written::new(
        "faults",
        "database-url = \"http://u:hush@h/d\"\nlingr = \"9ms\"\nmax-batch = 0\nlease = [\"1s\"]\nhttp = \"nowhere\"\njwt-secret = \"hush\"\nlog-format = \"loud\"\n",
    );
    let text = error_text(load_with(&file, &["--retain", "soon", "--stream", "s"]));
    for part in [
        "9 faults",
        ":1:1: database-url: ",
        ":2:1: there is no setting \"lingr\"; did you mean \"linger\"?",
        ":3:1: max-batch: invalid value '0'",
        ":4:9: lease: takes one value, not a list",
        ":5:1: http: invalid value 'nowhere'",
        ":6:1: jwt-secret: ",
        ":7:1: log-format: invalid value 'loud' for '--log-format <LOG_FORMAT>' [possible values: text, json]",
        "--retain: invalid value 'soon'",
        "--stream: redis-url is missing: give --redis-url or REDIS_URL",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!text.contains("hush"), "{text}");
}

#[test]
fn a_file_that_is_not_toml_is_reported_by_place_without_its_text() {
    let file = Written::new("broken", "database-url = \"postgresql://u:hush@h/d\nlinger = 1\n");
    let text = error_text(load_with(
        &file,
        &["--redis-url", "redis://h/", "--database-url", "postgresql://h/d"],
    ));
    assert!(text.contains("1 fault") && text.contains(":1:") && !text.contains("hush"), "{text}");
    let nowhere = Written(PathBuf::from("/nowhere/binderyd.toml"));
    assert!(error_text(load_with(&nowhere, &[])).contains("--config names a TOML file"));
}

#[test]
fn the_configuration_in_effect_is_a_file_again_without_its_secrets() {
    let file = Written::new("print", &format!("{ENDS}jwt-secret = \"{}\"\n", "hush".repeat(8)));
    let text = error_text(load_with(&file, &["--print-config", "--stream", "a", "--stream", "b"]));
    assert!(!text.contains("hush"), "{text}");
    for line in [
        "database-url = \"postgresql://u:***@h/d\"  # file",
        "stream = [\"a\", \"b\"]  # flag",
        "linger = \"2ms\"  # default",
        "max-batch = 40000  # default",
        "# retain is not set",
    ] {
        assert!(text.lines().any(|has| has == line), "{line} is not in\n{text}");
    }
    let again = Written::new("again", &text.replace("***", &"x".repeat(32)));
    assert!(load_with(&again, &[]).is_ok());
}

#[test]
fn white_space_around_a_secret_is_refused_with_its_place_and_without_its_value() {
    let secret = "hush".repeat(8);
    let file = Written::new(
        "space",
        &format!(
            "database-url = \"postgresql://u:hush@h/d\\n\"\nredis-url = \" redis://u:hush@h/\"\n\
             jwt-secret = \"{secret}\\r\\n\"\njwks-url = \"/keys/hush \"\n"
        ),
    );
    let text = error_text(load_with(&file, &[]));
    assert!(text.contains("4 faults") && !text.contains("hush"), "{text}");
    for place in
        [":1:1: database-url: ", ":2:1: redis-url: ", ":3:1: jwt-secret: ", ":4:1: jwks-url: "]
    {
        assert!(text.contains(&format!("{place}the value (not shown) begins or ends with white")));
    }
    let whole = Written::new("no-space", &format!("{ENDS}jwt-secret = \"hush {secret}\"\n"));
    assert!(load_with(&whole, &[]).is_ok(), "white space inside is the secret's own");
}

#[test]
fn an_issuer_or_audience_without_a_key_is_refused() {
    let claims = "jwt-issuer = [\"a\", \"b\"]\njwt-audience = \"c\"\n";
    let file = Written::new("claims", &format!("{ENDS}{claims}"));
    let text = error_text(load_with(&file, &[]));
    for place in
        [":3:1: jwt-issuer: no token is checked", ":4:1: jwt-audience: no token is checked"]
    {
        assert!(text.contains(place), "{text}");
    }
    let cli = load_with(&file, &["--jwks-url", "/keys.json"]).unwrap();
    let crate::cli::Command::Run(options) = cli.command else { panic!("not run") };
    assert_eq!(options.http.jwt_issuers, ["a", "b"]);
    assert_eq!(options.http.jwt_audiences, ["c"]);
    assert!(
        error_text(load_with(&file, &["--jwks-url", "k", "--jwt-issuer", " a"]))
            .contains("white space")
    );
}

#[test]
fn settings_that_need_redis_are_refused_without_it() {
    let file = Written::new("alone", "database-url = \"postgresql://h/d\"\noutbox = \"\"\n");
    let cli = load_with(&file, &[]).unwrap();
    let crate::cli::Command::Run(options) = cli.command else { panic!("not run") };
    assert!(options.redis_url.is_none());
    for of_redis in [["--stream", "a"], ["--bullmq", "q=A"], ["--channel", "c"], ["--outbox", "o"]]
    {
        let text = error_text(load_with(&file, &of_redis));
        let fault = format!("{}: redis-url is missing", of_redis[0]);
        assert!(text.contains("1 fault") && text.contains(&fault), "{text}");
    }
    let nothing = error_text(load_with(&Written::new("nothing", ""), &[]));
    let missing =
        "database-url is missing: give --database-url, the environment variable DATABASE_URL,";
    assert!(nothing.contains("1 fault") && nothing.contains(missing), "{nothing}");
    let printed = error_text(load_with(&file, &["--print-config"]));
    assert!(printed.contains("# redis-url is not set"), "{printed}");
    assert!(load_with(&Written::new("printed", &printed), &[]).is_ok());
}
