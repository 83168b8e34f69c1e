// GET /books/{id}/status: the answer of bindery.get_book_status to the caller whose token this is.
// No Deno here, so that any runtime can test it.

export interface Settings {
  /** The project's address, as in SUPABASE_URL. */
  url: string;
  /** The key for callers that send none, as in SUPABASE_ANON_KEY: it opens the API, and no book. */
  anonKey: string;
  /** Pages of these origins may read answers; `*` for all. */
  origins: string[];
  fetch?: typeof fetch;
}

const PATH = /\/books\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/status\/?$/i;
/** Headers of PostgREST that a client may need. */
const PASSED_ON = ['content-type', 'content-length', 'etag', 'retry-after', 'www-authenticate'];

export async function handle(request: Request, settings: Settings): Promise<Response> {
  const cors = corsHeaders(request, settings.origins);
  if (request.method === 'OPTIONS') return new Response(null, { status: 204, headers: cors });

  const book = PATH.exec(new URL(request.url).pathname)?.[1];
  if (!book)
    return refusal(
      404,
      'not_found',
      'There is nothing at this address.',
      'Ask for /books/{id}/status, with a uuid.',
      cors,
    );
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    const headers = { ...cors, Allow: 'GET, HEAD, OPTIONS' };
    return refusal(
      405,
      'method_not_allowed',
      `${request.method} is not possible here.`,
      'Use GET.',
      headers,
    );
  }

  // The caller's own token: row-level security decides what it may see.
  const apikey = request.headers.get('apikey') ?? settings.anonKey;
  const headers = {
    apikey,
    Authorization: request.headers.get('authorization') ?? `Bearer ${apikey}`,
    'Accept-Profile': 'bindery',
  };
  const address = `${settings.url}/rest/v1/rpc/get_book_status?book_id=${book}`;
  let answer: Response;
  try {
    answer = await (settings.fetch ?? fetch)(address, { method: request.method, headers });
  } catch (error) {
    console.error('The Data API did not answer:', error);
    return refusal(502, 'data_api_unreachable', 'The Data API did not answer.', 'Try again.', cors);
  }
  const passedOn = PASSED_ON.flatMap((name) => {
    const value = answer.headers.get(name);
    return value === null ? [] : [[name, value] as const];
  });
  return new Response(answer.body, {
    status: answer.status,
    headers: { ...Object.fromEntries(passedOn), ...cors, 'Cache-Control': 'no-store' },
  });
}

function corsHeaders(request: Request, origins: string[]): Record<string, string> {
  const origin = request.headers.get('origin') ?? '';
  const allowed = origins.includes('*') ? '*' : origins.includes(origin) ? origin : undefined;
  if (!allowed) return { Vary: 'Origin' };
  return {
    'Access-Control-Allow-Origin': allowed,
    'Access-Control-Allow-Methods': 'GET, HEAD, OPTIONS',
    'Access-Control-Allow-Headers': 'authorization, apikey, x-client-info, content-type',
    Vary: 'Origin',
  };
}

/** In the form that PostgREST has, so that a client reads all errors alike. */
function refusal(
  status: number,
  code: string,
  message: string,
  hint: string,
  headers: Record<string, string>,
): Response {
  return Response.json(
    { code: `PT${status}`, message, details: JSON.stringify({ code }), hint },
    { status, headers },
  );
}
