// Mends two things in which @supabase/lite is unlike PostgREST, before it is loaded (node --import). Without either, functions of
// Bindery could not be called at all. A version that has none of this to mend fails here, and this file goes.
import { registerHooks } from 'node:module';

const mends = [
  // A JSON argument went through JSON.stringify twice, so that an object arrived as a string.
  [/=([\w$]+)==="json"\|\|\1==="array"&&/g, '=$1==="array"&&'],
  // Names of arguments were not quoted: `position` is a word of SQL.
  [/\$\{sql\.raw\(([\w$]+)\)\} := /g, "${sql.raw('\"' + $1 + '\"')} := "],
];

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    if (!url.endsWith('/@supabase/lite/dist/index.js')) return loaded;
    let source = new TextDecoder().decode(/** @type {Uint8Array} */ (loaded.source));
    for (const [wrong, right] of mends) {
      if (!source.match(/** @type {RegExp} */ (wrong))) throw new Error(`@supabase/lite no longer has ${wrong}`);
      source = source.replace(/** @type {RegExp} */ (wrong), /** @type {string} */ (right));
    }
    return { ...loaded, source };
  },
});
