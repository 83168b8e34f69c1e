// A PGlite with the schema and pgTAP behind a port, for psql; scripts/pgtap.sh runs it. Prints the
// URL, and serves until it is ended by a signal.
import { pgtap } from "@electric-sql/pglite-pgtap";
import { PGLiteSocketServer } from "@electric-sql/pglite-socket";
import { createTestBindery } from "../dist/testing/index.js";

const { db } = await createTestBindery({ pglite: { extensions: { pgtap } } });
// All connections share one session, and none has settings of its own.
await db.exec(`create schema tap; create extension pgtap schema tap;
  set search_path = tap, pg_catalog;`);
const server = new PGLiteSocketServer({ db, host: "127.0.0.1", port: 0 });
await server.start();
console.log(`postgresql://postgres@${server.getServerConn()}/postgres`);
