// A stand-in of a Supabase project, over real sockets: get_book_status over HTTP, and of Realtime's protocol (Phoenix, version
// 2.0.0, JSON frames) what joining, leaving, broadcasts and Postgres Changes take.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer, type RawData, type WebSocket } from "ws";

type Frame = [
  joinRef: string | null,
  ref: string | null,
  topic: string,
  event: string,
  payload: Record<string, unknown>,
];

export interface Join {
  topic: string;
  payload: { access_token?: string; config?: { private?: boolean; postgres_changes?: Record<string, unknown>[] } };
}

interface Member {
  socket: WebSocket;
  joinRef: string | null;
  topic: string;
}

export class SupabaseServer {
  readonly joins: Join[] = [];
  readonly tokens: string[] = [];
  /** What get_book_status gives, and under which HTTP status. */
  book: unknown = null;
  httpStatus = 200;
  asked = 0;
  /** Whether a join is let in. */
  admits: (join: Join) => boolean = () => true;
  #members: Member[] = [];
  readonly #server: Server;
  readonly #sockets: WebSocketServer;

  constructor() {
    this.#server = createServer((request, response) => {
      this.asked += 1;
      this.tokens.push(request.headers.authorization ?? "");
      response.writeHead(this.httpStatus, { "Content-Type": "application/json" }).end(JSON.stringify(this.book));
    });
    this.#sockets = new WebSocketServer({ server: this.#server });
    this.#sockets.on("connection", (socket) => {
      socket.on("message", (data: RawData) => this.#hear(socket, JSON.parse(String(data)) as Frame));
      socket.on("close", () => (this.#members = this.#members.filter((member) => member.socket !== socket)));
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Who is in, by topic. */
  get topics(): string[] {
    return this.#members.map((member) => member.topic);
  }

  broadcast(topic: string, event: string, payload: unknown) {
    this.#tell(topic, "broadcast", { type: "broadcast", event, payload });
  }

  change(topic: string, data: Record<string, unknown>) {
    this.#tell(topic, "postgres_changes", { ids: [1], data });
  }

  system(topic: string, status: "ok" | "error", message: string) {
    this.#tell(topic, "system", { extension: "system", status, message, channel: topic });
  }

  /** As when a token has expired: the channel is closed from this side. */
  close(topic: string) {
    this.#tell(topic, "phx_close", {});
    this.#members = this.#members.filter((member) => member.topic !== `realtime:${topic}`);
  }

  /** As when the network goes. */
  drop() {
    for (const socket of this.#sockets.clients) socket.terminate();
  }

  async stop() {
    this.drop();
    this.#sockets.close();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #hear(socket: WebSocket, [joinRef, ref, topic, event, payload]: Frame) {
    const reply = (status: string, response: unknown) =>
      socket.send(JSON.stringify([joinRef, ref, topic, "phx_reply", { status, response }]));
    if (event === "phx_join") {
      const join = { topic, payload } as Join;
      this.joins.push(join);
      if (!this.admits(join)) return reply("error", { reason: "Unauthorized" });
      this.#members.push({ socket, joinRef, topic });
      const wanted = join.payload.config?.postgres_changes ?? [];
      return reply("ok", { postgres_changes: wanted.map((change, place) => ({ ...change, id: place + 1 })) });
    }
    if (event === "phx_leave") this.#members = this.#members.filter((member) => member.joinRef !== joinRef);
    reply("ok", {});
  }

  #tell(topic: string, event: string, payload: Record<string, unknown>) {
    for (const member of this.#members) {
      if (member.topic !== `realtime:${topic}`) continue;
      member.socket.send(JSON.stringify([member.joinRef, null, member.topic, event, payload]));
    }
  }
}
