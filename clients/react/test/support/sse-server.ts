// A stand-in for the daemon's HTTP API, over real sockets: what it answers and sends is in the test's hands.
import {
  createServer,
  type IncomingHttpHeaders,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";

export interface Request {
  url: string;
  headers: IncomingHttpHeaders;
}

export class SseServer {
  readonly requests: Request[] = [];
  readonly streams: ServerResponse[] = [];
  /** What a question gives: an HTTP status and a body. */
  answer: (url: string) => [number, unknown] = () => [
    404,
    { code: "PT404", details: '{"code":"unknown_book"}' },
  ];
  /** What asking for a stream gives instead of one; null: the stream. */
  refusal: [number, unknown] | null = null;
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      const url = request.url ?? "";
      this.requests.push({ url, headers: request.headers });
      response.setHeader("Access-Control-Allow-Origin", "*");
      response.setHeader("Access-Control-Allow-Headers", "authorization, last-event-id");
      if (request.method === "OPTIONS") return response.writeHead(204).end();
      const streaming = /\/events(\?|$)/.test(url);
      if (streaming && this.refusal === null) {
        response.writeHead(200, { "Content-Type": "text/event-stream" });
        response.write(": hello\n\n");
        this.streams.push(response);
        return;
      }
      const [status, body] = (streaming ? this.refusal : null) ?? this.answer(url);
      response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
    });
  }

  async start(port = 0): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(port, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Sends to all streams. */
  send(event: string, data: unknown, id?: number) {
    const text = `${id === undefined ? "" : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
    for (const stream of this.streams) stream.write(text);
  }

  /** Ends all streams. */
  end() {
    for (const stream of this.streams.splice(0)) stream.end();
  }

  async stop() {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
