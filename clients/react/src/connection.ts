// The state of the connection as the reader sees it: a state machine without any I/O.

/**
 * - `connecting`: waiting for the first answer, or opening the first subscription
 * - `live`: subscribed; changes arrive as messages
 * - `delayed`: subscribed, but messages are missing; requests every few seconds find the changes
 * - `reconnecting`: the subscription is lost, and no request has succeeded since
 * - `polling`: no subscription, but requests every few seconds succeed
 * - `closed`: not watched
 */
export type Connection = "connecting" | "live" | "delayed" | "reconnecting" | "polling" | "closed";

/**
 * `lost` and `unavailable` come from the subscription, `answered` and `unanswered` from requests.
 * `missed`: an answer had a change that no message announced; `received`: messages arrive again.
 */
export type ConnectionEvent =
  | "open"
  | "subscribed"
  | "lost"
  | "unavailable"
  | "missed"
  | "received"
  | "answered"
  | "unanswered"
  | "close";

export function nextConnection(connection: Connection, event: ConnectionEvent): Connection {
  if (event === "close") return "closed";
  if (connection === "closed") return event === "open" ? "connecting" : "closed";
  switch (event) {
    case "subscribed":
      return "live";
    case "missed":
      return connection === "live" ? "delayed" : connection;
    case "received":
      return connection === "delayed" ? "live" : connection;
    case "lost":
      // While requests succeed, another failed subscription changes nothing for the reader.
      return connection === "polling" ? "polling" : "reconnecting";
    case "unavailable":
      return "polling";
    case "answered":
      return connection === "reconnecting" ? "polling" : connection;
    case "unanswered":
      return connection === "polling" || connection === "connecting" ? "reconnecting" : connection;
    case "open":
      return connection;
  }
}
