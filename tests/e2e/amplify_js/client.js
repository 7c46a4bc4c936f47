/**
 * The client under test: `@aws-amplify/datastore` as npm has it, driven by JSON lines.
 *
 *     node client.js ENDPOINT API_KEY SCHEMA.json [OPTIONS]
 *
 *     stdin    {id, command, ...}                       one of `commands` below
 *     stdout   {id, value} | {id, error}                its answer
 *              {event: "ready"}                         in sync, and every subscription acknowledged
 *              {event: "observed", model, opType, element}
 *              {event: "snapshot", model, isSynced, items}
 *              {event: "modelSynced", model, isFullSync, counts}
 *              {event: "conflict", model, operation, attempts, local, remote}
 *              {event: "outboxStatus", isEmpty}
 *              {event: "networkStatus", active}
 *
 * SCHEMA is what Amplify generates for the model: its introspection, or its `schema.js` as JSON. OPTIONS is JSON, too:
 *
 *     store         a file that keeps the local store for the next process
 *     expressions   {Model: criteria}: what to sync; criteria are [[field, operator, operand], ...]
 *     conflict      what the conflict handler answers at first, see the command `answerConflicts`
 *     tokens        {accessToken, idToken} of a signed-in user, whose mode is the default then, instead of the API key
 *     modes         "MULTI_AUTH": the modes of a model's rules one after the other, instead of the default mode
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
const persistence = require("./persistence");

globalThis.console = new console.Console(process.stderr, process.stderr); // stdout is for JSON lines
globalThis.window = Object.assign(new EventTarget(), { indexedDB: globalThis.indexedDB, navigator: { onLine: true } });

const [endpoint, apiKey, schemaFile, optionsText] = process.argv.slice(2);
const schema = JSON.parse(readFileSync(schemaFile, "utf8"));
const options = JSON.parse(optionsText ?? "{}");
const tell = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

// -- Ready: the package says so before its subscriptions are acknowledged, and would miss what happens in between -----

const wanted = 3 * Object.keys(schema.models).length;
const acknowledged = new Set();
let isSynced = false;
let newestSocket = null;

function tellWhenReady() {
  if (isSynced && acknowledged.size === wanted) tell({ event: "ready" });
}

/** Watches what goes over the socket, and changes nothing but the scheme. */
globalThis.WebSocket = class extends WebSocket {
  constructor(url, protocols) {
    super(String(url).replace(/^wss:\/\/127\.0\.0\.1/, "ws://127.0.0.1"), protocols);
    newestSocket = this;
    acknowledged.clear();
    this.addEventListener("message", ({ data }) => {
      const { type, id } = JSON.parse(data);
      if (type !== "start_ack" || this !== newestSocket) return;
      acknowledged.add(id);
      tellWhenReady();
    });
    this.addEventListener("close", () => {
      if (this !== newestSocket) return;
      acknowledged.clear();
      isSynced = false; // what happens until it is open again comes with the sync that follows
    });
  }

  send(text, ...rest) {
    const { type, id } = JSON.parse(text);
    if (type === "stop") acknowledged.delete(id);
    super.send(text, ...rest);
  }
};

const { Amplify } = require("aws-amplify");
const { decodeJWT } = require("aws-amplify/auth");
const { Hub } = require("aws-amplify/utils");
const { AuthModeStrategyType, DataStore, DISCARD, initSchema, syncExpression } = require("@aws-amplify/datastore");

const api = { endpoint, region: "us-east-1", defaultAuthMode: options.tokens ? "userPool" : "apiKey", apiKey };
Amplify.configure({ API: { GraphQL: api } }, options.tokens && { Auth: { tokenProvider: { getTokens } } });
const models = initSchema({ codegenVersion: "3.4.4", ...schema, version: String(schema.version) });

let conflictAnswer = options.conflict;
DataStore.configure({
  syncExpressions: Object.entries(options.expressions ?? {}).map(([model, criteria]) =>
    syncExpression(models[model], () => predicate(criteria)),
  ),
  ...(options.conflict && { conflictHandler: answerConflict }),
  ...(options.modes && { authModeStrategyType: AuthModeStrategyType[options.modes] }),
});

Hub.listen("datastore", ({ payload: { event, data } }) => {
  if (event === "outboxStatus") tell({ event, isEmpty: data.isEmpty });
  if (event === "modelSynced") {
    const { model, isFullSync, counts } = data;
    tell({ event, model: model.name, isFullSync, counts });
  }
  if (event === "networkStatus") {
    isSynced = false;
    tell({ event, active: data.active });
  }
  if (event === "syncQueriesReady") {
    isSynced = true;
    tellWhenReady();
  }
});

/** The signed-in user, as Amplify's custom token providers give them. */
async function getTokens() {
  return { accessToken: decodeJWT(options.tokens.accessToken), idToken: decodeJWT(options.tokens.idToken) };
}

/** Tells of a conflict, and answers as it was told to. */
function answerConflict({ modelConstructor, localModel, remoteModel, operation, attempts }) {
  tell({
    event: "conflict",
    model: modelConstructor.name,
    operation,
    attempts,
    local: { ...localModel },
    remote: { ...remoteModel },
  });
  if (conflictAnswer === "DISCARD") return DISCARD;
  return modelConstructor.copyOf(remoteModel, (draft) => Object.assign(draft, conflictAnswer));
}

// -- Records ----------------------------------------------------------------------------------------------------------

const predicate = (criteria) => (model) =>
  model.and((each) => criteria.map(([field, operator, operand]) => each[field][operator](operand)));

const relations = (model) =>
  Object.values(schema.models[model].fields).filter(({ association }) => association?.connectionType === "BELONGS_TO");

/** An instance as JSON, a parent as `{id, ...}`, the way an app sees it. */
async function toPlain(model, instance) {
  const parents = relations(model).map(async ({ name }) => [name, (await instance[name]) ?? null]);
  return { ...instance, ...Object.fromEntries(await Promise.all(parents)) };
}

/** Values with each parent's key replaced by the parent. */
async function withParents(model, values) {
  const found = { ...values };
  for (const { name, type } of relations(model)) {
    if (values[name]) found[name] = await one(type.model, values[name]);
  }
  return found;
}

/** A record by its key: the id, or the values of all key fields. */
async function one(model, key) {
  const found = await DataStore.query(models[model], key);
  if (!found) throw new Error(`There is no ${model} ${JSON.stringify(key)}.`);
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

  /** An update, or nothing if the record was deleted in the meantime. */
  async updateIfThere({ model, key, values }) {
    const found = await DataStore.query(models[model], key);
    if (found) await DataStore.save(models[model].copyOf(found, (draft) => Object.assign(draft, values)));
    return Boolean(found);
  },

  async deleteIfThere({ model, key }) {
    await DataStore.delete(models[model], key);
  },

  async get({ model, key }) {
    const found = await DataStore.query(models[model], key);
    return found ? toPlain(model, found) : null;
  },

  /** All records of a model, a parent as its key. */
  async list({ model }) {
    return DataStore.query(models[model]);
  },

  /** The ids of the children in a hasMany relation. */
  async children({ model, key, relation }) {
    const children = await (await one(model, key))[relation].toArray();
    return children.map(({ id }) => id).sort();
  },

  /** Tells of every snapshot of the records that match. */
  async observeQuery({ model, criteria }) {
    DataStore.observeQuery(models[model], predicate(criteria)).subscribe((snapshot) =>
      tell({ event: "snapshot", model, isSynced: snapshot.isSynced, items: snapshot.items }),
    );
  },

  /** What the conflict handler answers from now on: "DISCARD", or fields to write over the server's record. */
  async answerConflicts({ answer }) {
    conflictAnswer = answer;
  },

  /** Takes the network away, and gives it back: what a browser tells its pages. */
  async network({ isOnline }) {
    globalThis.window.navigator.onLine = isOnline;
    globalThis.window.dispatchEvent(new Event(isOnline ? "online" : "offline"));
  },

  async start() {
    for (const [model, constructor] of Object.entries(models)) {
      if (!(model in schema.models)) continue; // a nested type
      DataStore.observe(constructor).subscribe(async ({ opType, element }) => {
        if (!element) return; // the package tells of changes to what is deleted by now
        tell({ event: "observed", model, opType, element: await toPlain(model, element) });
      });
    }
    await DataStore.start();
  },

  async stop() {
    await DataStore.stop();
  },

  /** Keeps the local store for the next process. */
  async keep() {
    await persistence.dump(options.store);
  },
};

async function obey(line) {
  const { id, command, ...values } = JSON.parse(line);
  try {
    tell({ id, value: (await commands[command](values)) ?? null });
  } catch (error) {
    tell({ id, error: error.stack });
  }
}

const restored = options.store ? persistence.restore(options.store) : Promise.resolve();
restored.then(() => createInterface({ input: process.stdin }).on("line", obey).on("close", () => process.exit(0)));
