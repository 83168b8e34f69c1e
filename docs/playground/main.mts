// The playground: the forms call the same functions that services call.
import { createTestBindery, Refused } from "../../clients/typescript/src/testing/index.js";

const BOOK = "the-salt-clock";

function element<E extends HTMLElement>(id: string, type: new () => E): E {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`there is no ${type.name} #${id}`);
  return found;
}

const text = (id: string, value: unknown) => {
  element(id, HTMLElement).textContent = String(value);
};

function row(...cells: unknown[]): HTMLTableRowElement {
  const made = document.createElement("tr");
  for (const cell of cells) made.insertCell().textContent = String(cell ?? "");
  return made;
}

const options = (values: readonly string[]) => values.map((value) => new Option(value, value));

const bindery = await createTestBindery();
await bindery.registerBook(BOOK, { title: "The Salt Clock" });

async function show(): Promise<void> {
  const status = await bindery.status(BOOK);
  text("status", status.status);
  text("attempt", status.attempt);
  text("revision", status.revision);
  text("percent", `${status.overall_progress} %`);
  element("overall", HTMLProgressElement).value = status.overall_progress;
  element("resume", HTMLButtonElement).disabled = status.status !== "FAILED";
  element("substeps", HTMLTableSectionElement).replaceChildren(
    ...status.substeps.map((known) =>
      row(known.substep, known.state, `${known.progress} %`, known.message),
    ),
  );
  element("known", HTMLDataListElement).replaceChildren(
    ...options(status.substeps.map((known) => known.substep)),
  );
  const [next] = await bindery.sql<{ allowed: string[] }>(
    `select bindery_core.next_statuses(p.machine, b.status, b.current_stage) as allowed
     from bindery.book_status b
     join bindery.pipelines p on p.name = b.pipeline and p.version = b.pipeline_version`,
  );
  const select = document.querySelector<HTMLSelectElement>("select[name=to]");
  select?.replaceChildren(...options(next?.allowed ?? []));
}

/** Runs a form's work at each submit; shows what the server refuses. */
function onSubmit(form: string, work: (fields: FormData) => Promise<unknown>): void {
  const found = element(form, HTMLFormElement);
  found.addEventListener("submit", (event) => {
    event.preventDefault();
    void act(() => work(new FormData(found)));
  });
}

async function act(work: () => Promise<unknown>): Promise<void> {
  text("refusal", "");
  try {
    await work();
  } catch (error) {
    const hint = error instanceof Refused ? (error.hint ?? "") : "";
    text("refusal", `${error instanceof Error ? error.message : String(error)} ${hint}`.trim());
  }
  await show();
}

const field = (fields: FormData, name: string): string | undefined => {
  const value = fields.get(name);
  return typeof value === "string" && value.trim() !== "" ? value.trim() : undefined;
};

onSubmit("transition", (fields) => bindery.transition(BOOK, field(fields, "to") ?? ""));
element("resume", HTMLButtonElement).addEventListener("click", () => {
  void act(() => bindery.resume(BOOK));
});
onSubmit("report", (fields) => {
  const given = {
    substep: field(fields, "substep"),
    done: field(fields, "done"),
    total: field(fields, "total"),
    message: field(fields, "message"),
    checkpoint: field(fields, "checkpoint"),
  };
  return bindery.report(BOOK, {
    ...(given.substep !== undefined && { substep: given.substep }),
    ...(given.done !== undefined && { done: Number(given.done) }),
    ...(given.total !== undefined && { total: Number(given.total) }),
    ...(given.message !== undefined && { message: given.message }),
    ...(given.checkpoint !== undefined && {
      checkpoint: JSON.parse(given.checkpoint) as unknown,
    }),
  });
});
onSubmit("sql", async (fields) => {
  const rows = await bindery.sql(field(fields, "text") ?? "");
  text("rows", rows.map((found) => JSON.stringify(found)).join("\n") || "No rows");
});

await show();
element("boot", HTMLElement).hidden = true;
document.querySelector("main")?.removeAttribute("hidden");
