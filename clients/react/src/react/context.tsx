"use client";
import { createContext, useContext, type ReactNode } from "react";
import type { BookClient } from "../bindery.js";

const BinderyContext = createContext<BookClient | null>(null);

/**
 * Provides the client to the hooks and components below it. Create the client once, outside of
 * components.
 */
export function BinderyProvider({
  client,
  children,
}: {
  client: BookClient;
  children?: ReactNode;
}) {
  return <BinderyContext.Provider value={client}>{children}</BinderyContext.Provider>;
}

export function useBindery(): BookClient {
  const client = useContext(BinderyContext);
  if (client === null)
    throw new Error(
      "This component needs a client: render it inside <BinderyProvider client={createBindery(…)}>.",
    );
  return client;
}
