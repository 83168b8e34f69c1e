// Replaces the daemon's HTTP API in tests, over real sockets: the test decides what it answers and
// sends.
import {
  createServer,
  type IncomingHttpHeaders,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";

export interface Request {
  method: string;
  url: string;
  /** Complete when the request has been answered. */
  body: string;
  headers: IncomingHttpHeaders;
}

export class SseServer {
  readonly requests: Request[] = [];
  readonly streams: ServerResponse[] = [];
  /** The answer to a request: an HTTP status and a body. */
  answer: (url: string, sent: Request) => [number, unknown] = () => [
    404,
    { code: "PT404", details: '{"code":"unknown_book"}' },
  ];
  /** What asking for a stream gives instead of one; null: the stream. */
  refusal: [number, unknown] | null = null;
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      const url = request.url ?? "";
      const sent = { method: request.method ?? "", url, headers: request.headers, body: "" };
      this.requests.push(sent);
      response.setHeader("Access-Control-Allow-Origin", "*");
      response.setHeader("Access-Control-Allow-Headers", "*, authorization");
      if (request.method === "OPTIONS") return response.writeHead(204).end();
      const streaming = /\/events(\?|$)/.test(url);
      if (streaming && this.refusal === null) {
        response.writeHead(200, { "Content-Type": "text/event-stream" });
        response.write(": hello\n\n");
        this.streams.push(response);
        return;
      }
      request.on("data", (piece: Buffer) => (sent.body += piece.toString()));
      request.on("end", () => {
        const [status, body] = (streaming ? this.refusal : null) ?? this.answer(url, sent);
        const headers = { "Content-Type": "application/json" };
        response.writeHead(status, headers).end(JSON.stringify(body));
      });
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
