//! A channel of Redis Pub/Sub: what is published on it is appended to a stream of the daemon's own,
//! which is relayed like any other.
//!
//! Lossy by nature: what is published while nobody is subscribed is lost, and nobody can count it.
//! From the moment that a message is in the stream nothing of it is lost or doubled. Postgres has
//! no part in this, so a channel is heard while Postgres is away.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError};
use tokio::time::{Instant as Deadline, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::metrics;
use crate::pauses::{MAX_PAUSE, pauses};
use crate::repeats::Repeats;
use crate::source::channel::{Channel, Claim};
use crate::source::{Heard, RedisUrl, Subscription};
use crate::state::State;
use bindery_client::cut;

/// So many messages, or bytes of them, are appended at once. What comes meanwhile waits on the
/// wire.
const AT_ONCE: usize = 500;
const AT_ONCE_BYTES: usize = 512 * 1024;
/// How long an answer of Redis may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// A connection on which nothing comes is asked this often whether it still lives.
const PING_EVERY: Duration = Duration::from_secs(5);
/// The claim is renewed this often within its time.
const RENEWALS: u32 = 3;
/// Who stands by asks this often for the claim: what is published meanwhile is lost.
const STANDBY_EVERY: Duration = Duration::from_millis(250);

/// Subscribes to a channel, while no other daemon does.
#[derive(Debug)]
pub struct Subscriber {
    /// The channel.
    pub channel: Channel,
    /// Where it is.
    pub redis: RedisUrl,
    /// How long without a sign of this daemon until another may subscribe.
    pub lease: Duration,
    /// Where to tell how it goes.
    pub state: State,
}

/// What ends a subscription before its time.
#[derive(Debug, thiserror::Error)]
enum SubscriberError {
    #[error("Redis: {}", cut(.0))]
    Redis(#[from] RedisError),
    /// Redis did not hear of this daemon in time.
    #[error("the claim to the channel is over")]
    Over,
}

/// What outlives a connection.
#[derive(Debug, Default)]
struct Hand {
    claim: Option<Claim>,
    /// Messages that are not known to be in the stream.
    messages: Vec<Vec<u8>>,
    bytes: usize,
}

/// What was said.
#[derive(Debug, Default)]
struct Voice {
    troubles: Repeats,
    /// What was said last: that this daemon is subscribed, or another.
    subscribed: Option<bool>,
}

impl Subscriber {
    /// Keeps what is published, until `stop`; then what had come by then.
    pub async fn run(self, stop: CancellationToken) {
        let (channel, stream) = (self.channel.name(), self.channel.stream());
        info!(
            channel,
            stream,
            "a channel is lossy: what is published while no daemon is subscribed to it is lost, and not noticed"
        );
        for name in [metrics::MESSAGES, metrics::SUBSCRIPTIONS_LOST, metrics::DROPPED] {
            ::metrics::counter!(name, "channel" => channel.to_owned()).increment(0);
        }
        self.tell(false, None);
        let (mut hand, mut voice, mut pauses) = (Hand::default(), Voice::default(), pauses());
        while !stop.is_cancelled() {
            let mut subscribed = false;
            let Err(error) = self.subscribe(&stop, &mut hand, &mut voice, &mut subscribed).await
            else {
                break;
            };
            self.tell(false, Some(error.to_string()));
            if subscribed {
                ::metrics::counter!(metrics::SUBSCRIPTIONS_LOST, "channel" => channel.to_owned())
                    .increment(1);
                pauses = crate::pauses::pauses();
            }
            if let Some(unsaid) = voice.troubles.say(&error.to_string(), Instant::now()) {
                warn!(channel, error = %error, unsaid, "the channel is not heard; what is published until it is again is lost");
            }
            if matches!(error, SubscriberError::Over) {
                // Another daemon may have it by now, and what it heard is in the stream already.
                self.drop_all(&mut hand);
            }
            tokio::select! {
                () = sleep(pauses.next().unwrap_or(MAX_PAUSE)) => (),
                () = stop.cancelled() => (),
            }
        }
        self.drop_all(&mut hand);
        self.tell(false, None);
    }

    /// Keeps what is published until `stop` (then `Ok`) or until something fails. `subscribed` is
    /// set once it is heard.
    async fn subscribe(
        &self,
        stop: &CancellationToken,
        hand: &mut Hand,
        voice: &mut Voice,
        subscribed: &mut bool,
    ) -> Result<(), SubscriberError> {
        let channel = self.channel.name();
        let mut redis = self.redis.connect(&self.channel.stream(), PATIENCE).await?;
        let mut renew_at = Deadline::now() + self.lease / RENEWALS;
        // What is in hand comes before anything else.
        if hand.claim.is_some() {
            hand.append(&mut redis).await?;
        }
        while hand.claim.is_none() {
            renew_at = Deadline::now() + self.lease / RENEWALS;
            hand.claim = Claim::take(&mut redis, &self.channel, self.lease).await?;
            if hand.claim.is_none() {
                self.tell(false, None);
                voice.standing_by(channel);
                tokio::select! {
                    () = sleep(STANDBY_EVERY.min(self.lease / RENEWALS)) => (),
                    () = stop.cancelled() => return Ok(()),
                }
            }
        }
        let subscription = Subscription::begin(&self.redis, &self.channel).await?;
        *subscribed = true;
        self.tell(true, None);
        voice.subscribed(channel);
        self.hear(subscription, redis, renew_at, stop, hand).await
    }

    /// Appends what is heard, until `stop` or a failure. The claim is renewed first at `renew_at`.
    async fn hear(
        &self,
        mut subscription: Subscription,
        mut redis: MultiplexedConnection,
        mut renew_at: Deadline,
        stop: &CancellationToken,
        hand: &mut Hand,
    ) -> Result<(), SubscriberError> {
        let messages =
            ::metrics::counter!(metrics::MESSAGES, "channel" => self.channel.name().to_owned());
        let (mut stopping, mut asked) = (false, false);
        let mut ask_at = Deadline::now() + PING_EVERY;
        loop {
            let heard = tokio::select! {
                // What has come is a sign of life, whatever else is due.
                biased;
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    subscription.end().await?;
                    continue;
                }
                came = subscription.wait() => came.map(|()| true)?,
                () = sleep_until(renew_at) => false,
                () = sleep_until(ask_at) => {
                    if std::mem::replace(&mut asked, true) {
                        return Err(late().into());
                    }
                    subscription.ping().await?;
                    ask_at = Deadline::now() + PING_EVERY;
                    continue;
                }
            };
            let mut ended = false;
            if heard {
                asked = false;
                while !ended && subscription.has_more() && !hand.is_full() {
                    match subscription.next().await? {
                        Heard::Message(message) => {
                            messages.increment(1);
                            hand.push(message);
                        }
                        Heard::Ended => ended = true,
                        Heard::Begun | Heard::Pong => (),
                    }
                }
            }
            // Also where nothing has come: it renews the claim.
            if !hand.messages.is_empty() || Deadline::now() >= renew_at {
                hand.append(&mut redis).await?;
                renew_at = Deadline::now() + self.lease / RENEWALS;
            }
            if ended {
                if let Some(claim) = hand.claim.take()
                    && let Err(error) = claim.release(&mut redis).await
                {
                    debug!(channel = self.channel.name(), error = %error, "the claim was not given up; it runs out");
                }
                info!(channel = self.channel.name(), "the subscription is ended");
                return Ok(());
            }
        }
    }

    fn drop_all(&self, hand: &mut Hand) {
        let Hand { messages, .. } = std::mem::take(hand);
        if !messages.is_empty() {
            let channel = self.channel.name();
            ::metrics::counter!(metrics::DROPPED, "channel" => channel.to_owned())
                .increment(messages.len() as u64);
            warn!(
                channel,
                messages = messages.len(),
                "messages that were heard may not be in the stream: they are dropped"
            );
        }
    }

    fn tell(&self, subscribed: bool, problem: Option<String>) {
        self.state.set_channel(self.channel.name(), subscribed, problem);
    }
}

impl Hand {
    fn push(&mut self, message: Vec<u8>) {
        self.bytes += message.len();
        self.messages.push(message);
    }

    fn is_full(&self) -> bool {
        self.messages.len() >= AT_ONCE || self.bytes >= AT_ONCE_BYTES
    }

    /// Appends what is in hand, and renews the claim.
    async fn append(&mut self, redis: &mut MultiplexedConnection) -> Result<(), SubscriberError> {
        let claim = self.claim.as_mut().ok_or(SubscriberError::Over)?;
        if !claim.append(redis, &self.messages).await? {
            return Err(SubscriberError::Over);
        }
        self.messages.clear();
        self.bytes = 0;
        Ok(())
    }
}

impl Voice {
    /// This daemon is subscribed, for the first time or again.
    fn subscribed(&mut self, channel: &str) {
        // Both, so that a trouble's end is not said once more later on.
        if self.troubles.over() | (self.subscribed.replace(true) != Some(true)) {
            info!(channel, "subscribed to the channel");
        } else {
            debug!(channel, "subscribed to the channel again");
        }
    }

    /// Another daemon is, for the first time or still.
    fn standing_by(&mut self, channel: &str) {
        if self.troubles.over() | (self.subscribed.replace(false) != Some(false)) {
            info!(channel, "standing by: another daemon is subscribed to the channel");
        }
    }
}

fn late() -> RedisError {
    (ErrorKind::Io, "Redis does not answer").into()
}
