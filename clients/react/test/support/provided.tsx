// Renders below the provider of the tests' client.
import { act, StrictMode, type ReactNode } from "react";
import { BinderyProvider } from "../../src/index.js";
import { around, bindery } from "./client.js";

export const provided = (node: ReactNode) => (
  <BinderyProvider client={bindery}>{node}</BinderyProvider>
);

export const strict = (node: ReactNode) => <StrictMode>{provided(node)}</StrictMode>;

export const pass = (milliseconds: number) => act(() => around.pass(milliseconds));
