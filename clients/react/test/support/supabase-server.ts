// A stand-in of a Supabase project, over real sockets: get_book_status and book_status over HTTP,
// and of Realtime's protocol (Phoenix, version 2.0.0, JSON frames) joining, leaving, tokens,
// broadcasts and Postgres Changes. It has Realtime's limits: a refused join holds its socket,
// messages and channels are limited, and rights are checked only at a join and at a new token.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { WebSocketServer, type RawData, type WebSocket } from "ws";
import type { BookStatus } from "../../src/status.js";

type Frame = [
  joinRef: string | null,
  ref: string | null,
  topic: string,
  event: string,
  payload: Record<string, unknown>,
];

export interface Join {
  topic: string;
  payload: {
    access_token?: string;
    config?: {
      private?: boolean;
      broadcast?: { replication_ready?: boolean };
      postgres_changes?: Record<string, unknown>[];
    };
  };
}

interface Member {
  socket: WebSocket;
  joinRef: string | null;
  topic: string;
  token: string | undefined;
}

export class SupabaseServer {
  /** All joins that were asked for, refused ones included. */
  readonly joins: Join[] = [];
  readonly tokens: string[] = [];
  /** What get_book_status gives for a book that is not in `books`, and under which HTTP status. */
  book: unknown = null;
  httpStatus = 200;
  /** Books that get_book_status and book_status give; null: no such book. */
  readonly books = new Map<string, BookStatus | null>();
  asked = 0;
  /** Whether this token may read a private topic: checked at a join, and at a new token. */
  admits: (topic: string, token: string | undefined) => boolean = () => true;
  /** How long a refused join holds its socket, in milliseconds. */
  hold = 5_000;
  /** Channels that a connection may have. */
  channels = 100;
  /** Messages, in and out, that are let through; beyond that they are dropped without a word. */
  messages = Number.POSITIVE_INFINITY;
  /** What becomes of a handshake. */
  onHandshake: "accept" | "refuse" | "ignore" = "accept";
  handshakes = 0;
  #members: Member[] = [];
  readonly #queues = new Map<WebSocket, Promise<void>>();
  readonly #unanswered = new Set<Socket>();
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ noServer: true });

  constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
    this.#server.on("upgrade", (request, socket: Socket, head) => {
      this.handshakes += 1;
      if (this.onHandshake === "refuse")
        return void socket.end("HTTP/1.1 503 Service Unavailable\r\n\r\n");
      if (this.onHandshake === "ignore")
        return void this.#unanswered.add(socket.on("error", () => undefined));
      this.#sockets.handleUpgrade(request, socket, head, (opened) =>
        this.#sockets.emit("connection", opened),
      );
    });
    this.#sockets.on("connection", (socket) => {
      socket.on("message", (data: RawData) =>
        this.#queue(socket, () => this.#receive(socket, JSON.parse(String(data)) as Frame)),
      );
      socket.on(
        "close",
        () => (this.#members = this.#members.filter((member) => member.socket !== socket)),
      );
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Who is in, by topic, without Realtime's prefix. */
  get topics(): string[] {
    return this.#members.map((member) => member.topic.slice("realtime:".length));
  }

  /** The topics that were asked for, in order. */
  get wanted(): string[] {
    return this.joins.map((join) => join.topic.slice("realtime:".length));
  }

  broadcast(topic: string, event: string, payload: unknown) {
    this.messages -= 1;
    this.#send(topic, "broadcast", { type: "broadcast", event, payload });
  }

  change(topic: string, data: Record<string, unknown>) {
    this.#send(topic, "postgres_changes", { ids: [1], data });
  }

  system(topic: string, status: "ok" | "error", message: string) {
    this.#send(topic, "system", { extension: "system", status, message, channel: topic });
  }

  /** As when a token has expired: the channel is closed from this side. */
  close(topic: string) {
    this.#send(topic, "phx_close", {});
    this.#members = this.#members.filter((member) => member.topic !== `realtime:${topic}`);
  }

  /** As when the network goes. */
  drop() {
    for (const socket of this.#sockets.clients) socket.terminate();
  }

  async stop() {
    this.drop();
    for (const socket of this.#unanswered) socket.destroy();
    this.#sockets.close();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(request: IncomingMessage, response: ServerResponse) {
    this.asked += 1;
    this.tokens.push(request.headers.authorization ?? "");
    const { pathname, searchParams } = new URL(request.url ?? "", "http://127.0.0.1");
    const answer = (status: number, body: unknown, headers = {}) =>
      response
        .writeHead(status, { "Content-Type": "application/json", ...headers })
        .end(JSON.stringify(body));
    if (pathname.endsWith("/book_status")) {
      const owner = searchParams.get("owner_id")?.replace("eq.", "");
      const rows = [...this.books.values()].filter(
        (book) => book !== null && (owner ?? book.owner_id) === book.owner_id,
      );
      return answer(200, rows, { "Content-Range": `0-${rows.length}/${rows.length}` });
    }
    const book = this.books.get(searchParams.get("book_id") ?? "");
    if (book === undefined) return answer(this.httpStatus, this.book);
    if (book !== null) return answer(200, book);
    answer(404, {
      code: "PT404",
      message: "There is no such book",
      details: '{"code": "unknown_book"}',
      hint: null,
    });
  }

  /** Realtime handles the frames of a socket one after the other, deliveries included. */
  #queue(socket: WebSocket, run: () => unknown) {
    const tail = (this.#queues.get(socket) ?? Promise.resolve()).then(
      async () => void (await run()),
    );
    this.#queues.set(socket, tail);
  }

  async #receive(socket: WebSocket, [joinRef, ref, topic, event, payload]: Frame) {
    const reply = (status: string, response: unknown) =>
      socket.send(JSON.stringify([joinRef, ref, topic, "phx_reply", { status, response }]));
    if (event === "phx_join") {
      const join = { topic, payload } as Join;
      const { access_token: token, config } = join.payload;
      this.joins.push(join);
      if (this.#members.filter((member) => member.socket === socket).length >= this.channels)
        return reply("error", { reason: "ChannelRateLimitReached: Too many channels" });
      if (config?.private === true && !this.#admits(topic, token)) {
        await new Promise((resolve) => setTimeout(resolve, this.hold));
        const reason = `Unauthorized: You do not have permissions to read from this Channel topic: ${topic}`;
        return reply("error", { reason });
      }
      this.#members.push({ socket, joinRef, topic, token });
      const wanted = config?.postgres_changes ?? [];
      reply("ok", {
        postgres_changes: wanted.map((change, place) => ({ ...change, id: place + 1 })),
      });
      const ready = {
        extension: "system",
        status: "ok",
        message: "Replication connection established",
      };
      if (config?.broadcast?.replication_ready === true)
        socket.send(JSON.stringify([joinRef, null, topic, "system", { ...ready, channel: topic }]));
      return;
    }
    if (event === "access_token") return this.#renew(socket, topic, payload["access_token"]);
    if (event === "phx_leave")
      this.#members = this.#members.filter((member) => member.joinRef !== joinRef);
    reply("ok", {});
  }

  #admits(topic: string, token: string | undefined): boolean {
    return this.admits(topic.slice("realtime:".length), token);
  }

  #renew(socket: WebSocket, topic: string, token: unknown) {
    const member = this.#members.find(
      (member) => member.socket === socket && member.topic === topic,
    );
    if (member === undefined || typeof token !== "string" || token === member.token) return;
    member.token = token;
    if (!this.#admits(topic, token)) this.close(topic.slice("realtime:".length));
  }

  #send(topic: string, event: string, payload: Record<string, unknown>) {
    for (const { socket, joinRef, topic: own } of this.#members) {
      if (own !== `realtime:${topic}`) continue;
      if (event === "broadcast" && this.messages <= 0) continue;
      if (event === "broadcast") this.messages -= 1;
      this.#queue(socket, () => socket.send(JSON.stringify([joinRef, null, own, event, payload])));
    }
  }
}
