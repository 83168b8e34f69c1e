import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { BinderyProvider } from "@bindery/react";
import "@bindery/react/styles.css";
import "./page.css";
import { App } from "./app.js";
import { connect } from "./connect.js";

const place = new URLSearchParams(location.search);
const root = document.getElementById("root");
if (root === null) throw new Error("The page has no element called root.");

createRoot(root).render(
  <StrictMode>
    <BinderyProvider client={connect(place)}>
      <App bookId={place.get("book")} ownerId={place.get("owner") ?? undefined} />
    </BinderyProvider>
  </StrictMode>,
);
