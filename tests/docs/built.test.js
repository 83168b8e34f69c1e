// The built site: every link and image of its pages has a target there, anchors included.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { root } from './pages.js';

const site = join(root, 'target/site');
const pages = readdirSync(site, { recursive: true })
  .map(String)
  // The page of all pages is for printing; the table of contents and the error page serve others.
  .filter((page) => page.endsWith('.html') && !/^(print|toc|404)\.html$|^playground/.test(page));
/** Each page without its code, which may contain links of its own. */
const texts = new Map(
  pages.map((page) => [
    page,
    readFileSync(join(site, page), 'utf8').replace(/<code[^>]*>[^]*?<\/code>/g, ''),
  ]),
);

test('every link of the site has its target', () => {
  assert.ok(pages.length > 35, String(pages));
  const faults = [];
  for (const [page, text] of texts) {
    for (const [, link] of text.matchAll(/(?:href|src|srcset)="([^"]+)"/g)) {
      if (/^[a-z]+:/.test(link)) continue;
      const [path, anchor] = link.split('#');
      const there = path === '' ? page : join(dirname(page), decodeURI(path));
      if (
        there.startsWith('..') ||
        !existsSync(join(site, there)) ||
        !statSync(join(site, there)).isFile()
      ) {
        faults.push([page, link, 'no such file']);
      } else if (
        anchor &&
        there.endsWith('.html') &&
        !texts.get(there)?.includes(`id="${anchor}"`)
      ) {
        faults.push([page, link, 'no such anchor']);
      }
    }
  }
  assert.deepEqual(faults, []);
});

test('the index of the search has every page', () => {
  const [index] = readdirSync(site).filter((name) => /^searchindex.*\.js$/.test(name));
  const text = readFileSync(join(site, index), 'utf8');
  for (const page of pages) assert.ok(text.includes(`${page}#`), page);
});
