"use client";
import { createContext, useContext, type ReactNode } from "react";
import type { Bindery } from "../bindery.js";

const BinderyContext = createContext<Bindery | null>(null);

/**
 * Provides the client to the hooks and components below it. Create the client once, outside of
 * components.
 */
export function BinderyProvider({ client, children }: { client: Bindery; children?: ReactNode }) {
  return <BinderyContext.Provider value={client}>{children}</BinderyContext.Provider>;
}

export function useBindery(): Bindery {
  const client = useContext(BinderyContext);
  if (client === null)
    throw new Error(
      "There is no <BinderyProvider client={createBindery(…)}> around this component.",
    );
  return client;
}
