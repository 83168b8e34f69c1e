//! `binderyd publish`: publishes one event from flags, if the relay would accept it.

use std::time::Duration;

use anyhow::{Context, bail};
use bindery_client::Error;
use clap::Args;

use crate::source::RedisUrl;

/// The time limit of a reply of Redis.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Options of `publish`. The fields are those of an event (docs/events.md), of which each type
/// requires and allows some.
#[derive(Debug, Clone, Args)]
pub struct PublishOptions {
    /// Redis, such as redis://host:6379/.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    redis_url: RedisUrl,
    /// The stream to publish to.
    #[arg(long = "to-stream", value_name = "STREAM", default_value = "bindery:events")]
    to_stream: String,
    /// Check the event and print its fields without publishing it.
    #[arg(long)]
    dry_run: bool,
    /// progress, transition, begin, fail, heartbeat, plan or register.
    #[arg(long, value_name = "TYPE")]
    r#type: String,
    /// The book's uuid.
    #[arg(long, value_name = "UUID")]
    book_id: String,
    /// The stage it is about.
    #[arg(long)]
    stage: Option<String>,
    /// The substep of that stage.
    #[arg(long)]
    substep: Option<String>,
    /// Percent done, 0 to 100; or --done and --total.
    #[arg(long, value_name = "PERCENT", allow_negative_numbers = true)]
    progress: Option<String>,
    /// Units done.
    #[arg(long, allow_negative_numbers = true)]
    done: Option<String>,
    /// Units in total.
    #[arg(long, allow_negative_numbers = true)]
    total: Option<String>,
    /// The name of a unit.
    #[arg(long)]
    unit: Option<String>,
    /// A sentence for people.
    #[arg(long)]
    message: Option<String>,
    /// The worker's checkpoint, as JSON.
    #[arg(long, value_name = "JSON")]
    checkpoint: Option<String>,
    /// The attempt it comes from.
    #[arg(long, allow_negative_numbers = true)]
    attempt: Option<String>,
    /// The state to go to, or the stage to begin.
    #[arg(long, alias = "to", value_name = "STATE")]
    to_status: Option<String>,
    /// The worker that begins the stage.
    #[arg(long)]
    worker: Option<String>,
    /// Whether a book that FAILED in the stage resumes: true or false.
    #[arg(long, value_name = "BOOL")]
    resume: Option<String>,
    /// Why the book failed: a JSON object, best with a code; other JSON and text become one.
    #[arg(long, value_name = "JSON")]
    error: Option<String>,
    /// The book's own substeps: [{"substep": "…", "weight": 1}].
    #[arg(long, value_name = "JSON")]
    substeps: Option<String>,
    /// The owner's uuid.
    #[arg(long, value_name = "UUID")]
    owner_id: Option<String>,
    /// The pipeline to follow.
    #[arg(long)]
    pipeline: Option<String>,
    /// The book's title.
    #[arg(long)]
    title: Option<String>,
    /// The registrar's own JSON object.
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
    /// When it happened, by the sender's clock.
    #[arg(long)]
    at: Option<String>,
}

impl PublishOptions {
    /// The fields that were given, as a stream entry has them.
    fn fields(&self) -> Vec<(&'static str, &str)> {
        let optional = [
            ("stage", &self.stage),
            ("substep", &self.substep),
            ("progress", &self.progress),
            ("done", &self.done),
            ("total", &self.total),
            ("unit", &self.unit),
            ("message", &self.message),
            ("checkpoint", &self.checkpoint),
            ("attempt", &self.attempt),
            ("to_status", &self.to_status),
            ("worker", &self.worker),
            ("resume", &self.resume),
            ("error", &self.error),
            ("substeps", &self.substeps),
            ("owner_id", &self.owner_id),
            ("pipeline", &self.pipeline),
            ("title", &self.title),
            ("metadata", &self.metadata),
            ("at", &self.at),
        ];
        let given =
            optional.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        [("type", self.r#type.as_str()), ("book_id", self.book_id.as_str())]
            .into_iter()
            .chain(given)
            .collect()
    }
}

/// Sends the event, and prints its id.
pub async fn publish(options: &PublishOptions) -> anyhow::Result<()> {
    let fields = options.fields();
    check(&fields)?;
    if options.dry_run {
        fields.iter().for_each(|(name, value)| println!("{name} {value}"));
        return Ok(());
    }
    let stream = options.to_stream.as_str();
    let mut redis = options.redis_url.connect(stream, ANSWER_WITHIN).await.with_context(|| {
        format!("Redis is not reached at {:?}; nothing was sent", options.redis_url)
    })?;
    let ids = bindery_client::append(&mut redis, stream, [fields.as_slice()])
        .await
        .with_context(|| format!("{stream} did not take the event"))?;
    println!("{}", ids.concat());
    Ok(())
}

/// Refuses what the relay would reject, and fields that the event's type does not have.
fn check(fields: &[(&'static str, &str)]) -> anyhow::Result<()> {
    match bindery_client::checked(fields) {
        Err(Error::Invalid { code, message }) => bail!("{message} ({code}); nothing was sent"),
        checked => Ok(checked.map(drop)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOK: (&str, &str) = ("book_id", "018f3c1e-7b2a-7c3d-9e4f-5a6b7c8d9e0f");

    #[test]
    fn an_event_that_the_relay_accepts_is_sent() {
        for fields in [
            vec![
                ("type", "progress"),
                BOOK,
                ("progress", "40"),
                ("stage", "A"),
                ("at", "now"),
                ("checkpoint", "{}"),
            ],
            vec![
                ("type", "progress"),
                BOOK,
                ("done", "1"),
                ("total", "4"),
                ("unit", "page"),
                ("attempt", "2"),
            ],
            vec![("type", "heartbeat"), BOOK, ("message", "")],
            vec![("type", "register"), BOOK, ("title", "The Tide"), ("metadata", "{}")],
            vec![("type", "plan"), BOOK, ("stage", "A"), ("substeps", "[{\"substep\":\"a\"}]")],
            vec![("type", "fail"), BOOK, ("error", "{\"code\":\"x\"}"), ("message", "m")],
            vec![("type", "transition"), BOOK, ("to_status", "B")],
            vec![("type", "begin"), BOOK, ("to_status", "B"), ("worker", "w"), ("attempt", "1")],
        ] {
            assert!(check(&fields).is_ok(), "{fields:?}: {:?}", check(&fields));
        }
    }

    #[test]
    fn a_wrong_event_is_reported_and_not_sent() {
        for (fields, expected) in [
            (vec![("type", "progress"), BOOK, ("progress", "140")], "nothing was sent"),
            (vec![("type", "progress"), BOOK], "nothing was sent"),
            (vec![("type", "paint"), BOOK], "nothing was sent"),
            (vec![("type", "heartbeat"), ("book_id", "7")], "bad_uuid"),
            (
                vec![("type", "heartbeat"), BOOK, ("to_status", "B")],
                "type heartbeat has no to_status",
            ),
            (vec![("type", "register"), BOOK, ("stage", "A"), ("done", "1")], "has no stage, done"),
        ] {
            let error = check(&fields).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
