// Before the first book: how to report one, and sample books to look at.
import { useState } from "preact/hooks";
import { problemOf } from "../api.js";
import { CopyButton } from "../copy.js";
import { useSession } from "../session.js";
import { loadSamples } from "./samples.js";

interface Snippet {
  name: string;
  text: string;
}

/** The same book from the shell, Python and TypeScript, at this daemon's address. */
export function snippets(url: string, hasTokens: boolean): readonly Snippet[] {
  const bearer = hasTokens ? ` \\\n  -H "Authorization: Bearer $TOKEN"` : "";
  const key = hasTokens ? `\nexport BINDERY_KEY=$TOKEN` : "";
  const comment = (sign: string) =>
    `export BINDERY_URL=${url}${key}`
      .split("\n")
      .map((line) => `${sign} ${line}`)
      .join("\n");
  return [
    {
      name: "curl",
      text: `curl -X POST ${url}/api/events${bearer} \\
  -H 'Content-Type: application/json' -d '[
  {"type": "register", "book_id": "6f1d5a2e-0b3c-4b8e-9a57-0c1d2e3f4a5b",
   "title": "Moby Dick", "pipeline": "comic"},
  {"type": "begin", "book_id": "6f1d5a2e-0b3c-4b8e-9a57-0c1d2e3f4a5b",
   "to_status": "ANALYZING"},
  {"type": "progress", "book_id": "6f1d5a2e-0b3c-4b8e-9a57-0c1d2e3f4a5b",
   "substep": "extract_text", "done": 30, "total": 120, "unit": "page"}]'`,
    },
    {
      name: "Python",
      text: `${comment("#")}
import bindery_client as bindery

with bindery.book("moby-dick", title="Moby Dick", pipeline="comic") as book:
    with book.stage("ANALYZING") as stage:
        for page in stage.track(range(120), "extract_text", unit="page"):
            ...  # your work on one page`,
    },
    {
      name: "TypeScript",
      text: `${comment("//")}
import * as bindery from "@bindery/producer";

const pages = Array.from({ length: 120 }, (_, n) => n);
const book = bindery.book("moby-dick", { title: "Moby Dick", pipeline: "comic" });
await book.stage("ANALYZING", async (stage) => {
  for await (const page of stage.track(pages, "extract_text", { unit: "page" }))
    console.log(page); // your work on one page
});`,
    },
  ];
}

export function Empty() {
  const { about, mayAct } = useSession();
  const [state, setState] = useState<"ready" | "running">("ready");
  const [problem, setProblem] = useState<string | null>(null);
  const load = async () => {
    setState("running");
    setProblem(null);
    try {
      await loadSamples();
    } catch (error) {
      setProblem(problemOf(error));
    }
    setState("ready");
  };
  return (
    <section class="empty" aria-labelledby="empty-title">
      <h2 id="empty-title">No books yet</h2>
      <p>Report the first one, and it appears here.</p>
      {mayAct && (
        <p class="samples">
          <button type="button" aria-disabled={state === "running"} onClick={() => void load()}>
            Load sample books
          </button>
          <span>Seven books in different states, with the tag “sample”.</span>
        </p>
      )}
      <div class="snippets">
        {snippets(location.origin, about.access === "tokens").map(({ name, text }) => (
          <figure key={name}>
            <figcaption>
              {name} <CopyButton text={text} label={`Copy ${name}`} />
            </figcaption>
            <pre tabIndex={0} aria-label={`${name} example`}>
              {text}
            </pre>
          </figure>
        ))}
      </div>
      {problem !== null && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
    </section>
  );
}
