//! Subscribes to a channel of Redis Pub/Sub and appends its messages to a stream of the daemon's
//! own, which is relayed like any other stream.
//!
//! Pub/Sub is lossy: a message published while no daemon is subscribed is lost, and the loss cannot
//! be counted. Once a message is in the stream, it is applied exactly once. The subscriber does not
//! use Postgres, so it receives messages while Postgres is unreachable.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError};
use tokio::time::{Instant as Deadline, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::metrics;
use crate::retry::{Failure, Tries, Work, supervise};
use crate::source::channel::{Channel, Claim};
use crate::source::{PushedMessage, RedisUrl, Subscription};
use crate::state::State;
use bindery_client::cut;

/// The maximum number of messages, and of their bytes, in one append. Later messages wait on the
/// connection.
const AT_ONCE: usize = 500;
const AT_ONCE_BYTES: usize = 512 * 1024;
/// How long a reply of Redis may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// An idle connection is checked with a `PING` at this interval.
const PING_EVERY: Duration = Duration::from_secs(5);
/// The claim is renewed this many times during its duration.
const RENEWALS: u32 = 3;
/// A daemon that stands by asks for the claim at this interval. Messages published while no daemon
/// has the claim are lost.
const STANDBY_EVERY: Duration = Duration::from_millis(250);

/// Subscribes to a channel while no other daemon does.
#[derive(Debug)]
pub struct Subscriber {
    /// The channel.
    pub channel: Channel,
    /// The Redis server that has the channel.
    pub redis: RedisUrl,
    /// How long the claim lasts without a renewal.
    pub lease: Duration,
    /// The state that the subscriber updates.
    pub state: State,
}

/// Why a subscription failed.
#[derive(Debug, thiserror::Error)]
enum SubscriberError {
    #[error("Redis: {}", cut(.0))]
    Redis(#[from] RedisError),
    /// The claim was not renewed in time.
    #[error("the claim to the channel is over")]
    ClaimLost,
}

/// The claim, and the messages to append under it. They outlive a connection.
#[derive(Debug, Default)]
struct Pending {
    claim: Option<Claim>,
    /// Messages whose append is not confirmed.
    messages: Vec<Vec<u8>>,
    bytes: usize,
}

/// What the subscriber has logged.
#[derive(Debug, Default)]
struct ChannelLog {
    /// Whether the last line logged that this daemon is subscribed; false: it stands by.
    subscribed: Option<bool>,
}

impl Subscriber {
    /// Appends published messages until `stop`, then those received before it.
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
        self.report_state(false, None);
        let (pending, log) = (Pending::default(), ChannelLog::default());
        let mut subscribing = Subscribing { subscriber: &self, pending, log };
        supervise(&stop, &mut subscribing).await;
        self.drop_all(&mut subscribing.pending);
        self.report_state(false, None);
    }

    /// Appends published messages until `stop` (`Ok`) or a failure.
    async fn subscribe(
        &self,
        stop: &CancellationToken,
        pending: &mut Pending,
        log: &mut ChannelLog,
        tries: &mut Tries,
    ) -> Result<(), SubscriberError> {
        let channel = self.channel.name();
        let mut redis = self.redis.connect(&self.channel.stream(), PATIENCE).await?;
        let mut renew_at = Deadline::now() + self.lease / RENEWALS;
        // Append the pending messages first, to keep the order.
        if pending.claim.is_some() {
            pending.append(&mut redis).await?;
        }
        while pending.claim.is_none() {
            renew_at = Deadline::now() + self.lease / RENEWALS;
            pending.claim = Claim::take(&mut redis, &self.channel, self.lease).await?;
            if pending.claim.is_none() {
                self.report_state(false, None);
                log.standing_by(channel, tries.over());
                tokio::select! {
                    () = sleep(STANDBY_EVERY.min(self.lease / RENEWALS)) => (),
                    () = stop.cancelled() => return Ok(()),
                }
            }
        }
        let subscription = Subscription::begin(&self.redis, &self.channel).await?;
        self.report_state(true, None);
        log.subscribed(channel, tries.succeeded());
        self.append_received(subscription, redis, renew_at, stop, pending).await
    }

    /// Appends received messages until `stop` or a failure. The first renewal is at `renew_at`.
    async fn append_received(
        &self,
        mut subscription: Subscription,
        mut redis: MultiplexedConnection,
        mut renew_at: Deadline,
        stop: &CancellationToken,
        pending: &mut Pending,
    ) -> Result<(), SubscriberError> {
        let messages =
            ::metrics::counter!(metrics::MESSAGES, "channel" => self.channel.name().to_owned());
        let (mut stopping, mut asked) = (false, false);
        let mut ask_at = Deadline::now() + PING_EVERY;
        loop {
            let has_received = tokio::select! {
                // Check for messages before the timers: a message shows that Redis is alive.
                biased;
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    subscription.end().await?;
                    continue;
                }
                waited = subscription.wait() => waited.map(|()| true)?,
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
            if has_received {
                asked = false;
                while !ended && subscription.has_more() && !pending.is_full() {
                    match subscription.next().await? {
                        PushedMessage::Message(message) => {
                            messages.increment(1);
                            pending.push(message);
                        }
                        PushedMessage::Unsubscribed => ended = true,
                        PushedMessage::Subscribed | PushedMessage::Pong => (),
                    }
                }
            }
            // An append without messages renews the claim.
            if !pending.messages.is_empty() || Deadline::now() >= renew_at {
                pending.append(&mut redis).await?;
                renew_at = Deadline::now() + self.lease / RENEWALS;
            }
            if ended {
                if let Some(claim) = pending.claim.take()
                    && let Err(error) = claim.release(&mut redis).await
                {
                    debug!(channel = self.channel.name(), error = %error, "the claim was not given up; it runs out");
                }
                info!(channel = self.channel.name(), "the subscription is ended");
                return Ok(());
            }
        }
    }

    fn drop_all(&self, pending: &mut Pending) {
        let Pending { messages, .. } = std::mem::take(pending);
        if !messages.is_empty() {
            let channel = self.channel.name();
            ::metrics::counter!(metrics::DROPPED, "channel" => channel.to_owned())
                .increment(messages.len() as u64);
            warn!(
                channel,
                messages = messages.len(),
                "messages that were received may not be in the stream: they are dropped"
            );
        }
    }

    fn report_state(&self, subscribed: bool, problem: Option<String>) {
        self.state.set_channel(self.channel.name(), subscribed, problem);
    }
}

/// A subscriber at work.
struct Subscribing<'a> {
    subscriber: &'a Subscriber,
    pending: Pending,
    log: ChannelLog,
}

impl Work for Subscribing<'_> {
    type Error = SubscriberError;

    async fn work(
        &mut self,
        stop: &CancellationToken,
        tries: &mut Tries,
    ) -> Result<(), SubscriberError> {
        self.subscriber.subscribe(stop, &mut self.pending, &mut self.log, tries).await
    }

    fn failed(&mut self, error: &SubscriberError, failure: Failure) {
        let channel = self.subscriber.channel.name();
        self.subscriber.report_state(false, Some(error.to_string()));
        if failure.had_worked {
            ::metrics::counter!(metrics::SUBSCRIPTIONS_LOST, "channel" => channel.to_owned())
                .increment(1);
        }
        if let Some(unlogged) = failure.unlogged {
            warn!(channel, error = %error, unlogged, "the channel is not subscribed; what is published until it is again is lost");
        }
        if matches!(error, SubscriberError::ClaimLost) {
            // Another daemon may have the claim and may have appended the same messages.
            self.subscriber.drop_all(&mut self.pending);
        }
    }
}

impl Pending {
    fn push(&mut self, message: Vec<u8>) {
        self.bytes += message.len();
        self.messages.push(message);
    }

    fn is_full(&self) -> bool {
        self.messages.len() >= AT_ONCE || self.bytes >= AT_ONCE_BYTES
    }

    /// Appends the pending messages and renews the claim.
    async fn append(&mut self, redis: &mut MultiplexedConnection) -> Result<(), SubscriberError> {
        let claim = self.claim.as_mut().ok_or(SubscriberError::ClaimLost)?;
        if !claim.append(redis, &self.messages).await? {
            return Err(SubscriberError::ClaimLost);
        }
        self.messages.clear();
        self.bytes = 0;
        Ok(())
    }
}

impl ChannelLog {
    /// Logs that this daemon is subscribed.
    fn subscribed(&mut self, channel: &str, recovered: bool) {
        if self.subscribed.replace(true) != Some(true) || recovered {
            info!(channel, "subscribed to the channel");
        } else {
            debug!(channel, "subscribed to the channel again");
        }
    }

    /// Logs that another daemon is subscribed, unless the last line did.
    fn standing_by(&mut self, channel: &str, recovered: bool) {
        if self.subscribed.replace(false) != Some(false) || recovered {
            info!(channel, "standing by: another daemon is subscribed to the channel");
        }
    }
}

fn late() -> RedisError {
    (ErrorKind::Io, "Redis does not answer").into()
}
