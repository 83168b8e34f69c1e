// What the tabs for operators share: the frame of a tab, a fact, a time.
import type { ComponentChildren } from "preact";
import { useSession } from "../session.js";
import { fromNow, fullTime } from "./text.js";
import "./style.css";

/** A tab's content; readers who may not operate see why. */
export function OperationTab({ title, children }: { title: string; children: ComponentChildren }) {
  const { mayAct } = useSession();
  return (
    <main class="operation">
      <div class="operation-inner">
        <h2 class="operation-title">{title}</h2>
        {mayAct ? (
          children
        ) : (
          <p class="operation-note">
            Only operators see this. Sign in with a token whose role is service_role, or open the
            page of a daemon on this machine that requires no tokens.
          </p>
        )}
      </div>
    </main>
  );
}

/** Why what is shown is not current, or missing. */
export function Problem({ text }: { text: string | null }) {
  if (text === null) return null;
  return (
    <p class="operation-problem" role="alert">
      Not current: {text}
    </p>
  );
}

export function Card({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section class="card">
      <h3>{title}</h3>
      {children}
    </section>
  );
}

/** One name and its value in a `dl`. */
export function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div class="fact">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** A time as its distance from now, with the full time in its title. */
export function Ago({ at, none = "never" }: { at: string | null; none?: string }) {
  if (at === null) return <>{none}</>;
  return (
    <time dateTime={at} title={fullTime(at)}>
      {fromNow(at)}
    </time>
  );
}
