// The Edge Function `books`, for projects whose gateway takes no route of ours: GET
// /functions/v1/books/{id}/status.
import { handle } from './handler.ts';

function setting(name: string): string {
  const value = Deno.env.get(name);
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

const settings = {
  url: setting('SUPABASE_URL'),
  anonKey: setting('SUPABASE_ANON_KEY'),
  origins: (Deno.env.get('BINDERY_ORIGINS') ?? '*').split(',').map((origin) => origin.trim()),
};

Deno.serve((request) => handle(request, settings));
