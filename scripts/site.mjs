// A preprocessor of mdBook, called by book.toml. Pages from outside of docs/ get a path in the
// site, and links between pages become links between those paths. A link to a file that is not in
// the site becomes its text. Diagrams are drawn by mermaid.min.js, which scripts/docs.sh puts
// there.
//
// mdBook writes `[context, book]` as JSON to standard input, and reads the book from standard
// output.
import { readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** @typedef {{ path: string | null, source_path: string | null, content: string, sub_items: Item[] }} Chapter */
/** @typedef {{ Chapter: Chapter } | { PartTitle: string } | 'Separator'} Item */

/** The path in the site of a page; both are relative to docs/. @param {string} page */
export function place(page) {
  if (!page.startsWith('../')) return page;
  const outside = page.slice(3);
  if (outside === 'README.md') return 'index.md';
  return outside.replace(/\/README\.md$/, '.md').toLowerCase();
}

/** @param {Item[]} items @returns {Chapter[]} */
function chapters(items) {
  return items.flatMap((item) =>
    typeof item === 'object' && 'Chapter' in item
      ? [item.Chapter, ...chapters(item.Chapter.sub_items)]
      : [],
  );
}

/**
 * The link as it is in the site, or null if its file is not there.
 * @param {string} link @param {string} page @param {Set<string>} pages paths relative to docs/
 * @param {(path: string) => boolean} isFile whether docs/ has a file that mdBook copies
 */
export function target(link, page, pages, isFile) {
  if (/^[a-z]+:/.test(link) || link.startsWith('#')) return link;
  const [path, anchor] = link.split('#');
  const file = relative('docs', join('docs', dirname(page), decodeURI(path)));
  if (!pages.has(file) && (file.startsWith('../') || !isFile(file))) return null;
  const there = pages.has(file) ? place(file) : file;
  return relative(dirname(place(page)), there) + (anchor === undefined ? '' : `#${anchor}`);
}

/**
 * @param {string} text @param {string} page @param {Set<string>} pages
 * @param {(path: string) => boolean} isFile
 */
export function relink(text, page, pages, isFile) {
  const fenced = /(^ *```[^]*?^ *```$|`[^`\n]*`)/gm;
  const links = /(!?)\[((?:`[^`]*`|[^\]`])*)\]\(([^)\s]+)\)|(src|srcset|href)="([^"]+)"/g;
  // Code in backquotes is part of a link's text, so a link is matched before code is.
  const both = new RegExp(`${links.source}|${fenced.source}`, 'gm');
  return text.replace(both, (all, image, label, link, attribute, url) => {
    if (link !== undefined) {
      const there = target(link, page, pages, isFile);
      return there === null ? label : `${image}[${label}](${there})`;
    }
    if (attribute === undefined) return all;
    return `${attribute}="${target(url, page, pages, isFile) ?? url}"`;
  });
}

/** A page's diagrams as mermaid reads them in HTML. @param {string} text @param {string} page */
export function diagrams(text, page) {
  const drawn = text.replace(/^```mermaid\n([^]*?)^```$/gm, (_, source) => {
    const escaped = source.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
    return `<pre class="mermaid">\n${escaped}</pre>`;
  });
  if (drawn === text) return text;
  const script = join(relative(dirname(place(page)), '.'), 'mermaid.min.js');
  return `${drawn}\n<script src="${script}"></script>\n`;
}

/** @param {{ items: Item[] }} book @param {(path: string) => boolean} isFile */
export function preprocess(book, isFile) {
  const all = chapters(book.items);
  const pages = new Set(all.flatMap((chapter) => (chapter.path === null ? [] : [chapter.path])));
  for (const chapter of all) {
    if (chapter.path === null) continue;
    chapter.content = diagrams(relink(chapter.content, chapter.path, pages, isFile), chapter.path);
    chapter.path = place(chapter.path);
  }
  return book;
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] !== 'supports') {
  const [context, book] = JSON.parse(readFileSync(0, 'utf8'));
  const docs = join(context.root, context.config.book.src);
  /** @param {string} path */
  const isFile = (path) => statSync(join(docs, path), { throwIfNoEntry: false })?.isFile() === true;
  process.stdout.write(JSON.stringify(preprocess(book, isFile)));
}
