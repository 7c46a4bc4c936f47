/**
 * Amplify's own client, unmodified, for a base sync: `node npm_client.js PROJECT ENDPOINT API_KEY`.
 *
 *     stdin     any line: sync into an empty store
 *     stdout    {seconds, count} | {error}
 *
 * PROJECT is where the packages are installed. As in tests/e2e/amplify_js/client.js, what Node lacks is put in front of
 * them: an IndexedDB, a `window`, and a WebSocket that leaves TLS out. Nobody observes, so nothing else is done.
 */

"use strict";

const { createRequire } = require("node:module");
const { createInterface } = require("node:readline");

const [project, endpoint, apiKey] = process.argv.slice(2);
const requireThere = createRequire(`${project}/`);
const { WebSocket } = requireThere("ws");
requireThere("fake-indexeddb/auto");

const tell = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
globalThis.console = new console.Console(process.stderr, process.stderr); // stdout is for JSON lines
globalThis.window = Object.assign(new EventTarget(), { indexedDB: globalThis.indexedDB, navigator: { onLine: true } });
globalThis.WebSocket = class extends WebSocket {
  constructor(url, protocols) {
    super(String(url).replace(/^wss:/, "ws:"), protocols);
  }
};

const { Amplify } = requireThere("aws-amplify");
const { Hub } = requireThere("aws-amplify/utils");
const { DataStore, initSchema } = requireThere("@aws-amplify/datastore");

const api = { endpoint, region: "us-east-1", defaultAuthMode: "apiKey", apiKey };
Amplify.configure({ API: { GraphQL: api } });
initSchema({ version: "1", codegenVersion: "3.4.4", models: models(), enums: {}, nonModels: {} });
DataStore.configure({ maxRecordsToSync: 10_000_000, syncPageSize: 1000 });

/** From the first sync query to the last: opening the socket and subscribing is not counted. */
async function sync() {
  let started, count;
  await new Promise((resolve, reject) => {
    const stopHearing = Hub.listen("datastore", ({ payload: { event, data } }) => {
      if (event === "syncQueriesStarted") started = performance.now();
      if (event === "modelSynced" && data.model.name === "Book") count = data.counts.new;
      if (event === "syncQueriesReady") {
        stopHearing();
        resolve();
      }
    });
    DataStore.start().catch(reject);
  });
  const seconds = (performance.now() - started) / 1000;
  await DataStore.clear();
  return { seconds, count };
}

function models() {
  const key = { name: "id", isArray: false, type: "ID", isRequired: true, attributes: [] };
  const field = (name, type, more = {}) => ({ name, isArray: false, type, isRequired: false, attributes: [], ...more });
  const stamp = (name) => field(name, "AWSDateTime", { isReadOnly: true });
  const model = (name, pluralName, fields) => ({
    name,
    pluralName,
    syncable: true,
    attributes: [{ type: "model", properties: {} }],
    fields: Object.fromEntries([key, ...fields, stamp("createdAt"), stamp("updatedAt")].map((each) => [each.name, each])),
  });
  return {
    Shelf: model("Shelf", "Shelves", [field("name", "String", { isRequired: true })]),
    Book: model("Book", "Books", [
      field("title", "String", { isRequired: true }),
      field("rating", "Int"),
      field("tags", "String", { isArray: true, isArrayNullable: true }),
      field("publishedAt", "AWSDateTime"),
      field("shelf", { model: "Shelf" }, { association: { connectionType: "BELONGS_TO", targetNames: ["shelfId"] } }),
    ]),
  };
}

createInterface({ input: process.stdin })
  .on("line", () => sync().then(tell, (error) => tell({ error: error.stack })))
  .on("close", () => process.exit(0));
