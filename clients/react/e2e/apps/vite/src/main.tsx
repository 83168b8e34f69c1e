import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "@bindery/react/styles.css";
import { Live } from "./live";

const place = new URLSearchParams(location.search);
const root = document.getElementById("root");
if (root === null) throw new Error("The page has no element called root.");

createRoot(root).render(
  <StrictMode>
    <Live base={place.get("base") ?? ""} bookId={place.get("book") ?? ""} />
  </StrictMode>,
);
