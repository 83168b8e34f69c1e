// @vitest-environment jsdom
import { act } from "react";
import { afterEach, expect, test, vi } from "vitest";
import { useCancelBook, useResumeBook } from "../src/index.js";
import { BinderyError } from "../src/errors.js";
import { id } from "./support/books.js";
import { transport, useClient } from "./support/client.js";
import { provided, strict } from "./support/provided.js";
import { render, unmountAll } from "./support/render.js";

useClient();
afterEach(unmountAll);

function Buttons({ bookId = id(1), perform }: { bookId?: string; perform?: () => unknown }) {
  const { resume, state, busy, error, reset } = useResumeBook(bookId, { resume: perform });
  const cancelling = useCancelBook(bookId);
  return (
    <>
      <button className="resume" disabled={busy} onClick={() => void resume()}>
        {state} {error?.message}
      </button>
      <button
        className="cancel"
        disabled={cancelling.busy}
        onClick={() => void cancelling.cancel({ message: "twice" })}
      >
        {cancelling.state}
      </button>
      <button className="reset" onClick={reset} />
    </>
  );
}

const button = (name: string, place = 0) => {
  const found = document.querySelectorAll<HTMLButtonElement>(`.${name}`)[place];
  if (found === undefined) throw new Error(`there is no button ${name}`);
  return found;
};
const click = (name: string) => act(async () => button(name).click());

test("a resume is shown as pending, then as done, in each component of the book", async () => {
  await render(
    strict(
      <>
        <Buttons />
        <Buttons bookId={id(1).toUpperCase()} />
        <Buttons bookId={id(2)} />
      </>,
    ),
  );
  await click("resume");
  await click("resume");
  const shown = () => [0, 1, 2].map((place) => button("resume", place).textContent?.trim());
  expect(shown()).toEqual(["pending", "pending", "idle"]);
  expect([button("cancel").disabled, button("cancel", 2).disabled]).toEqual([true, false]);
  expect(button("cancel").textContent).toBe("idle");
  expect(transport.requests.length).toBe(1);
  await act(async () => transport.request.answer(undefined));
  expect(shown()).toEqual(["idle", "idle", "idle"]);
  expect(button("resume").disabled).toBe(false);
});

test("a failure is shown with its error until it is reset", async () => {
  await render(provided(<Buttons />));
  await click("resume");
  await act(async () => transport.request.refuse(new BinderyError("denied", "not yours")));
  expect(button("resume").textContent).toBe("failed not yours");
  await click("reset");
  expect(button("resume").textContent).toBe("idle ");
  await click("cancel");
  expect(transport.request.target).toEqual({ cancel: id(1), message: "twice" });
});

test("a function of the application resumes in place of the transport", async () => {
  const perform = vi.fn(() => Promise.reject(new Error("not today")));
  await render(provided(<Buttons perform={perform} />));
  await click("resume");
  expect(perform).toHaveBeenCalledExactlyOnceWith(id(1), {});
  expect(button("resume").textContent).toBe("failed not today");
  expect(transport.requests.length).toBe(0);
});

test("a component that is gone before the answer leaves nothing behind", async () => {
  const page = await render(provided(<Buttons />));
  await click("resume");
  await page.unmount();
  await act(async () => transport.request.answer(undefined));
  await page.unmount();
  expect(vi.getTimerCount()).toBe(0);
});
