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

/** By event: what each connection becomes, or `others` any that is not named. */
const changes: Record<ConnectionEvent, { [From in Connection | "others"]?: Connection }> = {
  open: { closed: "connecting" },
  subscribed: { others: "live" },
  missed: { live: "delayed" },
  received: { delayed: "live" },
  // While requests succeed, another failed subscription changes nothing for the reader.
  lost: { polling: "polling", others: "reconnecting" },
  unavailable: { others: "polling" },
  answered: { reconnecting: "polling" },
  unanswered: { polling: "reconnecting", connecting: "reconnecting" },
  close: { others: "closed" },
};

export function nextConnection(connection: Connection, event: ConnectionEvent): Connection {
  if (connection === "closed" && event !== "open") return "closed";
  return changes[event][connection] ?? changes[event].others ?? connection;
}
