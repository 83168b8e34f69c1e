// Corrects what of @supabase/lite is unlike PostgREST and would hide what is tested, while it is
// loaded (node --import).
import { registerHooks } from 'node:module';

/** @type {[RegExp, string][]} */
const corrections = [
  // A JSON argument went through JSON.stringify twice, so that an object arrived as a string.
  [/=([\w$]+)==="json"\|\|\1==="array"&&/g, '=$1==="array"&&'],
  // Names of arguments were not quoted: `position` is a word of SQL.
  [/\$\{sql\.raw\(([\w$]+)\)\} := /g, "${sql.raw('\"' + $1 + '\"')} := "],
  // It granted every right on every table to every role. The rights are ours to give.
  [/for\(let\{nspname:([\w$]+)\}of [\w$]+\.rows\)/g, 'for(let{nspname:$1}of [])'],
];

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    if (!url.includes('/@supabase/lite/dist/')) return loaded;
    let source = new TextDecoder().decode(/** @type {Uint8Array} */ (loaded.source));
    for (const [wrong, right] of corrections) source = source.replace(wrong, right);
    return { ...loaded, source };
  },
});
