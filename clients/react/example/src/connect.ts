// Where the books are, by the page's address:
//   ?base=http://127.0.0.1:7890&token=…           the daemon
//   ?supabase=https://x.supabase.co&key=…&token=… Supabase; `via=changes` for Postgres Changes
// and in both `book=…` for one book, `owner=…` for one reader's.
// (A real page does not take tokens from its address.)
import { createClient } from "@supabase/supabase-js";
import {
  createBindery,
  sseTransport,
  supabaseTransport,
  type Bindery,
} from "@bindery/react/client";

export function connect(place: URLSearchParams): Bindery {
  // Asked for each time, since it may have been replaced by a newer one meanwhile.
  const token = () => new URLSearchParams(location.search).get("token");
  const supabase = place.get("supabase");
  if (supabase === null) {
    return createBindery(sseTransport(place.get("base") ?? "http://127.0.0.1:7890", { token }));
  }
  const accessToken = token() === null ? undefined : async () => token();
  const client = createClient(supabase, place.get("key") ?? "", accessToken && { accessToken });
  return createBindery(
    supabaseTransport(client, { via: place.get("via") === "changes" ? "changes" : "broadcast" }),
  );
}
