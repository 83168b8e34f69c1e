// A server component: it fetches the status, which the client component shows until its own answer.
import { createBindery, sseTransport } from "@bindery/react/client";
import { Live } from "./live";

export const dynamic = "force-dynamic";

export default async function Page() {
  const base = process.env["BINDERY_URL"] ?? "";
  const bookId = process.env["BINDERY_BOOK"] ?? "";
  const initial = await createBindery(sseTransport(base)).fetchBook(bookId);
  return <Live base={base} bookId={bookId} initial={initial} />;
}
