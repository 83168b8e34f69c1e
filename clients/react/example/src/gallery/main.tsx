// Every state of the components, from data of the page's own: no server is needed.
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ProgressTracker, StatusIndicator, Tracker } from "@bindery/react";
import "@bindery/react/styles.css";
import "./gallery.css";
import { examples, type Example } from "./states.js";

function Shown({ name, view, lang, canRetry = false, ...looks }: Example) {
  const onRetry = canRetry ? () => new Promise(() => undefined) : undefined;
  const direction = lang === "ar" ? "rtl" : "ltr";
  return (
    <article data-example={name}>
      <h3>{name}</h3>
      <div lang={lang} dir={direction}>
        <ProgressTracker view={view} onRetry={onRetry} {...looks} />
      </div>
    </article>
  );
}

/** A card of a page's own, made of the parts. */
function Card({ view }: { view: Example["view"] }) {
  return (
    <Tracker.Root view={view} className="card">
      <Tracker.Status />
      <Tracker.Title />
      <Tracker.Bar />
      <Tracker.Figures />
    </Tracker.Root>
  );
}

function Gallery() {
  const books = examples.filter(({ view }) => view.book !== null).slice(0, 12);
  return (
    <main>
      <h1>Bindery components</h1>
      <h2>StatusIndicator</h2>
      <p className="pills">
        {books.map(({ name, view }) => (
          <StatusIndicator key={name} {...view} showProgress />
        ))}
      </p>
      <h2>Tracker, from its parts</h2>
      <div className="cards">
        {books.slice(0, 3).map(({ name, view }) => (
          <Card key={name} view={view} />
        ))}
      </div>
      <h2>ProgressTracker</h2>
      <div className="examples">
        {examples.map((one) => (
          <Shown key={one.name} {...one} />
        ))}
      </div>
    </main>
  );
}

const root = document.getElementById("root");
if (root === null) throw new Error("The page has no element called root.");
createRoot(root).render(
  <StrictMode>
    <Gallery />
  </StrictMode>,
);
