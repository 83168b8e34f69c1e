// Parses server-sent events from a stream of text in pieces of any size.

export interface ServerSentEvent {
  event: string;
  data: string;
}

/** Returns a function that takes a piece of the stream and returns the events that it completes. */
export function eventParser(): (piece: string) => ServerSentEvent[] {
  let rest = "";
  let event = "";
  let data: string[] = [];

  function take(line: string): ServerSentEvent | null {
    if (line === "") {
      const complete =
        data.length === 0 ? null : { event: event || "message", data: data.join("\n") };
      event = "";
      data = [];
      return complete;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") event = value;
    if (field === "data") data.push(value);
    return null;
  }

  return (piece) => {
    const text = rest + piece;
    // A CR at the very end may be half of a CRLF.
    const lines = text.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    return lines.map(take).filter((event) => event !== null);
  };
}
