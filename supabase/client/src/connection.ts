// The connection as the reader is told of it: a state machine without any I/O.

/**
 * - `connecting`: opening the first subscription
 * - `live`: subscribed; changes arrive by themselves
 * - `reconnecting`: the subscription is lost, and asking has not succeeded since
 * - `polling`: no subscription, but asking every few seconds succeeds
 * - `closed`: nobody watches
 */
export type Connection = "connecting" | "live" | "reconnecting" | "polling" | "closed";

/** `lost` and `unavailable` come from the subscription, `answered` and `unanswered` from asking. */
export type ConnectionEvent = "open" | "subscribed" | "lost" | "unavailable" | "answered" | "unanswered" | "close";

export function nextConnection(connection: Connection, event: ConnectionEvent): Connection {
  if (event === "close") return "closed";
  if (connection === "closed") return event === "open" ? "connecting" : "closed";
  switch (event) {
    case "subscribed":
      return "live";
    case "lost":
      // While asking succeeds, one more failed try to subscribe changes nothing for the reader.
      return connection === "polling" ? "polling" : "reconnecting";
    case "unavailable":
      return "polling";
    case "answered":
      return connection === "reconnecting" ? "polling" : connection;
    case "unanswered":
      return connection === "polling" ? "reconnecting" : connection;
    case "open":
      return connection;
  }
}
