/**
 * The client under test: `@aws-amplify/datastore` as npm has it, driven by JSON lines.
 *
 *     node client.js ENDPOINT API_KEY INTROSPECTION.json
 *
 *     stdin    {id, command, ...}                       one of `commands` below
 *     stdout   {id, value} | {id, error}                its answer
 *              {event: "ready"}                         in sync, and every subscription acknowledged
 *              {event: "observed", model, opType, element}
 *              {event: "outboxStatus", isEmpty}
              {event: "networkStatus", active}
 *
 * What Node lacks is put in front of the package, which itself stays untouched: an IndexedDB, a `window` that knows
 * whether there is a network, and a WebSocket. The client makes `wss://` of any endpoint that is not AWS's; the local
 * server speaks without TLS.
 */

"use strict";

require("fake-indexeddb/auto");
const { readFileSync } = require("node:fs");
const { createInterface } = require("node:readline");
const { WebSocket } = require("ws");

globalThis.console = new console.Console(process.stderr, process.stderr); // stdout is for JSON lines
globalThis.window = Object.assign(new EventTarget(), { indexedDB: globalThis.indexedDB, navigator: { onLine: true } });

const [endpoint, apiKey, introspectionFile] = process.argv.slice(2);
const introspection = JSON.parse(readFileSync(introspectionFile, "utf8"));
const tell = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

// -- Ready: the package says so before its subscriptions are acknowledged, and would miss what happens in between -----

const wanted = 3 * Object.keys(introspection.models).length;
const acknowledged = new Set();
let isSynced = false;

function tellWhenReady() {
  if (isSynced && acknowledged.size === wanted) tell({ event: "ready" });
}

/** Watches what goes over the socket, and changes nothing but the scheme. */
globalThis.WebSocket = class extends WebSocket {
  constructor(url, protocols) {
    super(String(url).replace(/^wss:\/\/127\.0\.0\.1/, "ws://127.0.0.1"), protocols);
    this.addEventListener("message", ({ data }) => {
      const { type, id } = JSON.parse(data);
      if (type !== "start_ack") return;
      acknowledged.add(id);
      tellWhenReady();
    });
    this.addEventListener("close", () => acknowledged.clear());
  }

  send(text, ...rest) {
    const { type, id } = JSON.parse(text);
    if (type === "stop") acknowledged.delete(id);
    super.send(text, ...rest);
  }
};

const { Amplify } = require("aws-amplify");
const { Hub } = require("aws-amplify/utils");
const { DataStore, initSchema } = require("@aws-amplify/datastore");

Amplify.configure({ API: { GraphQL: { endpoint, region: "us-east-1", defaultAuthMode: "apiKey", apiKey } } });
const models = initSchema({
  ...introspection,
  version: String(introspection.version),
  codegenVersion: "3.4.4",
});

Hub.listen("datastore", ({ payload: { event, data } }) => {
  if (event === "outboxStatus") tell({ event, isEmpty: data.isEmpty });
  if (event === "networkStatus") {
    isSynced = false;
    tell({ event, active: data.active });
  }
  if (event === "syncQueriesReady") {
    isSynced = true;
    tellWhenReady();
  }
});

// -- Records ----------------------------------------------------------------------------------------------------------

const relations = (model) =>
  Object.values(introspection.models[model].fields).filter(
    ({ association }) => association?.connectionType === "BELONGS_TO",
  );

/** An instance as JSON, a parent as `{id, ...}`, the way an app sees it. */
async function toPlain(model, instance) {
  const parents = relations(model).map(async ({ name }) => [name, (await instance[name]) ?? null]);
  return { ...instance, ...Object.fromEntries(await Promise.all(parents)) };
}

/** Values with each parent's id replaced by the parent. */
async function withParents(model, values) {
  const found = { ...values };
  for (const { name, type } of relations(model)) {
    if (values[name]) found[name] = await one(type.model, values[name]);
  }
  return found;
}

async function one(model, id) {
  const found = await DataStore.query(models[model], id);
  if (!found) throw new Error(`There is no ${model} ${id}.`);
  return found;
}

// -- Commands ---------------------------------------------------------------------------------------------------------

const commands = {
  async create({ model, values }) {
    return toPlain(model, await DataStore.save(new models[model](await withParents(model, values))));
  },

  async update({ model, key, values }) {
    const changes = await withParents(model, values);
    const changed = models[model].copyOf(await one(model, key), (draft) => Object.assign(draft, changes));
    return toPlain(model, await DataStore.save(changed));
  },

  async delete({ model, key }) {
    await DataStore.delete(await one(model, key));
  },

  async get({ model, key }) {
    const found = await DataStore.query(models[model], key);
    return found ? toPlain(model, found) : null;
  },

  /** The ids of the children in a hasMany relation. */
  async children({ model, key, relation }) {
    const children = await (await one(model, key))[relation].toArray();
    return children.map(({ id }) => id).sort();
  },

  /** Takes the network away, and gives it back: what a browser tells its pages. */
  async network({ isOnline }) {
    globalThis.window.navigator.onLine = isOnline;
    globalThis.window.dispatchEvent(new Event(isOnline ? "online" : "offline"));
  },

  async start() {
    for (const [model, constructor] of Object.entries(models)) {
      DataStore.observe(constructor).subscribe(async ({ opType, element }) =>
        tell({ event: "observed", model, opType, element: await toPlain(model, element) }),
      );
    }
    await DataStore.start();
  },

  async stop() {
    await DataStore.stop();
  },
};

async function obey(line) {
  const { id, command, ...options } = JSON.parse(line);
  try {
    tell({ id, value: (await commands[command](options)) ?? null });
  } catch (error) {
    tell({ id, error: error.stack });
  }
}

createInterface({ input: process.stdin }).on("line", obey).on("close", () => process.exit(0));
