// The shell: who may look, the tabs, the connection and the colours.
import type { Connection } from "@bindery/react/client";
import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import { forgetToken, get, problemOf, setToken, takeToken } from "./api.js";
import { BooksTab } from "./books/tab.js";
import { DeadLettersTab } from "./dead-letters/tab.js";
import { PipelinesTab } from "./pipelines/tab.js";
import { mayActWith, newClient, SessionContext, type About, type Session } from "./session.js";
import { SystemTab } from "./system/tab.js";
import { ThemeButton } from "./theme.js";
import { hrefOf, usePlace, type Tab } from "./url.js";
import { useConnection, useFailureCount } from "./live.js";

const tabs: readonly { name: Tab; label: string }[] = [
  { name: "books", label: "Books" },
  { name: "dead-letters", label: "Dead letters" },
  { name: "system", label: "System" },
  { name: "pipelines", label: "Pipelines" },
];

// Before the first component reads the address.
takeToken();

export function App() {
  const [about, setAbout] = useState<About | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  /** Why a token is asked for; null: none is. */
  const [gate, setGate] = useState<string | null>(null);
  /** Grows with each token, which needs a client of its own. */
  const [entry, setEntry] = useState(0);

  const load = useCallback(async () => {
    try {
      setAbout(await get<About>("/api"));
      setProblem(null);
    } catch (error) {
      setProblem(problemOf(error));
      setTimeout(() => void load(), 2000);
    }
  }, []);
  useEffect(() => void load(), [load]);

  const client = useMemo(newClient, [entry]);
  useEffect(() => () => void client.close(), [client]);
  const signOut = useCallback((reason = "") => {
    forgetToken();
    setProblem(null);
    setGate(reason);
  }, []);
  const session = useMemo<Session | null>(
    () =>
      about === null
        ? null
        : { about, client, mayAct: mayActWith(about), notify: setProblem, signOut },
    [about, client, signOut],
  );

  const entered = useCallback(() => {
    setGate(null);
    setEntry((count) => count + 1);
  }, []);
  const enter = (token: string) => (setToken(token) ? entered() : setGate("It is not a JWT."));
  // The address may get a token later, too.
  useEffect(() => {
    const listener = () => takeToken() && entered();
    addEventListener("hashchange", listener);
    return () => removeEventListener("hashchange", listener);
  }, [entered]);

  return (
    <>
      {session === null || gate !== null ? (
        <Header />
      ) : (
        <SessionContext.Provider value={session}>
          <LiveHeader session={session} />
        </SessionContext.Provider>
      )}
      {problem !== null && (
        <p class="notice" role="alert">
          {problem}
          <button type="button" class="plain" onClick={() => setProblem(null)}>
            Dismiss
          </button>
        </p>
      )}
      {gate !== null ? (
        <Gate reason={gate} onToken={enter} />
      ) : (
        session !== null && (
          <SessionContext.Provider value={session}>
            <Tabs key={entry} />
          </SessionContext.Provider>
        )
      )}
    </>
  );
}

function Tabs() {
  const { tab } = usePlace();
  switch (tab) {
    case "books":
      return <BooksTab />;
    case "dead-letters":
      return <DeadLettersTab />;
    case "system":
      return <SystemTab />;
    case "pipelines":
      return <PipelinesTab />;
  }
}

const connectionText: Record<Connection, string> = {
  connecting: "Connecting",
  live: "Live",
  delayed: "Delayed",
  polling: "Delayed",
  reconnecting: "Reconnecting",
  closed: "Not connected",
};

function LiveHeader({ session }: { session: Session }) {
  const { tab } = usePlace();
  const connection = useConnection();
  const failures = useFailureCount();
  useEffect(() => {
    document.title = failures ? `(${failures} failed) Bindery` : "Bindery";
  }, [failures]);
  return (
    <Header>
      <nav class="tabs" aria-label="Sections">
        {tabs.map(({ name, label }) => (
          <a key={name} href={hrefOf(name)} aria-current={name === tab ? "page" : undefined}>
            {label}
          </a>
        ))}
      </nav>
      <p class="connection" role="status" data-state={connection}>
        <span class="dot" aria-hidden="true" />
        {connectionText[connection]}
      </p>
      {session.about.access === "tokens" && (
        <button type="button" class="plain" onClick={() => session.signOut()}>
          Forget the token
        </button>
      )}
    </Header>
  );
}

function Header({ children }: { children?: preact.ComponentChildren }) {
  return (
    <header class="top">
      <h1>
        <img src="/page/icon.svg" alt="" width="24" height="24" />
        Bindery
      </h1>
      {children}
      <ThemeButton />
    </header>
  );
}

function Gate({ reason, onToken }: { reason: string; onToken: (token: string) => void }) {
  const [text, setText] = useState("");
  return (
    <main class="gate">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          onToken(text);
        }}
      >
        <h2>Sign in with a token</h2>
        <p>
          This daemon shows each user their own books. Paste a JWT. It stays in this tab, and is
          removed when the tab is closed.
        </p>
        {reason && <p class="problem">The token was rejected: {reason}</p>}
        <label for="token">Token</label>
        <textarea
          id="token"
          rows={4}
          autocomplete="off"
          spellcheck={false}
          required
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
          ref={(area) => area?.focus()}
        />
        <button type="submit" class="primary">
          Show the books
        </button>
      </form>
    </main>
  );
}
