// What every tab needs: the client of live books, the daemon's access, and what the reader may do.
import { createBindery, sseTransport, type Bindery } from "@bindery/react/client";
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { roleOf, token } from "./api.js";

/** `GET /api`. */
export interface About {
  version: string;
  access: "tokens" | "local" | "closed";
  hears: boolean;
}

export interface Session {
  readonly about: About;
  readonly client: Bindery;
  /** Whether to offer acts. Postgres decides what is allowed. */
  readonly mayAct: boolean;
  /** Shows a message at the top of the page; null removes it. */
  notify(message: string | null): void;
  /** Shows the form for a token, and why. */
  signOut(reason?: string): void;
}

export const newClient = (): Bindery => createBindery(sseTransport(location.origin, { token }));

export function mayActWith(about: About): boolean {
  if (about.access === "local") return true;
  const jwt = token();
  return jwt !== null && roleOf(jwt) === "service_role";
}

export const SessionContext = createContext<Session | null>(null);

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (session === null) throw new Error("There is no SessionContext around this component.");
  return session;
}
