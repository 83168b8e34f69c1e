// GET /api/books/{id}/status through Envoy, with the route of supabase/gateway/envoy.yaml in a
// listener like self-hosted Supabase's. scripts/supabase.sh runs it where Envoy can be had (ENVOY).
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { book_id, file, freePort, owner, serve, serves } from './gateway.js';
import { headers, restUrl } from './stack.js';

describe('Envoy', () => {
  const dir = mkdtempSync(join(tmpdir(), 'bindery-envoy.'));
  let [address, stop] = ['', async () => {}];

  before(async () => {
    const port = await freePort();
    address = `http://127.0.0.1:${port}`;
    const [route] = parse(readFileSync(file('envoy.yaml'), 'utf8'));
    // Here the Data API is not at the root, where PostgREST is.
    route.route.regex_rewrite.substitution = `/rest/v1${route.route.regex_rewrite.substitution}`;
    const type = (/** @type {string} */ name) => `type.googleapis.com/envoy.extensions.${name}`;
    const upstream = new URL(restUrl);
    const http = {
      '@type': type('filters.network.http_connection_manager.v3.HttpConnectionManager'),
      stat_prefix: 'test',
      normalize_path: true,
      merge_slashes: true,
      path_with_escaped_slashes_action: 'REJECT_REQUEST',
      route_config: {
        virtual_hosts: [
          {
            name: 'all',
            domains: ['*'],
            routes: [route],
            cors: {
              allow_origin_string_match: [{ safe_regex: { regex: '.*' } }],
              allow_methods: 'GET,POST,PUT,PATCH,DELETE,OPTIONS,HEAD',
              allow_headers: '*',
            },
          },
        ],
      },
      http_filters: [
        {
          name: 'envoy.filters.http.cors',
          typed_config: { '@type': type('filters.http.cors.v3.Cors') },
        },
        // The route switches it off for itself: the password is the dashboard's, which has all
        // other paths.
        {
          name: 'envoy.filters.http.basic_auth',
          typed_config: {
            '@type': type('filters.http.basic_auth.v3.BasicAuth'),
            users: { inline_string: 'dashboard:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=' },
          },
        },
        {
          name: 'envoy.filters.http.rbac',
          typed_config: {
            '@type': type('filters.http.rbac.v3.RBAC'),
            rules: {
              action: 'ALLOW',
              policies: {
                key: {
                  permissions: [{ any: true }],
                  principals: [{ header: { name: 'apikey', present_match: true } }],
                },
              },
            },
          },
        },
        {
          name: 'envoy.filters.http.router',
          typed_config: { '@type': type('filters.http.router.v3.Router') },
        },
      ],
    };
    const socket = (/** @type {string} */ host, /** @type {number} */ number) => ({
      socket_address: { address: host, port_value: number },
    });
    writeFileSync(
      join(dir, 'envoy.json'),
      JSON.stringify({
        static_resources: {
          listeners: [
            {
              name: 'test',
              address: socket('127.0.0.1', port),
              filter_chains: [
                {
                  filters: [
                    { name: 'envoy.filters.network.http_connection_manager', typed_config: http },
                  ],
                },
              ],
            },
          ],
          clusters: [
            {
              name: 'rest',
              type: 'STATIC',
              connect_timeout: '5s',
              load_assignment: {
                cluster_name: 'rest',
                endpoints: [
                  {
                    lb_endpoints: [
                      { endpoint: { address: socket(upstream.hostname, Number(upstream.port)) } },
                    ],
                  },
                ],
              },
            },
          ],
        },
      }),
    );
    const args = [
      '-c',
      join(dir, 'envoy.json'),
      '--log-level',
      'error',
      '--disable-hot-restart',
      '--concurrency',
      '1',
    ];
    stop = await serve(address, process.env.ENVOY ?? 'envoy', args, {});
  });
  after(async () => {
    await stop();
    rmSync(dir, { recursive: true });
  });

  serves((path, init) => fetch(address + path, init), '/api/books', {
    query: false,
    elsewhere: 401,
  });

  test('without an API key it refuses every request', async () => {
    assert.equal((await fetch(`${address}/api/books/${book_id}/status`)).status, 403);
  });

  test('a query of the caller’s own is refused', async () => {
    assert.notEqual(
      (
        await fetch(`${address}/api/books/${book_id}/status?select=title`, {
          headers: headers(owner),
        })
      ).status,
      200,
    );
  });
});
