/** The databases of a browser outlive its pages; those of fake-indexeddb end with the process. Here they are kept. */

"use strict";

const { existsSync, readFileSync, writeFileSync } = require("node:fs");
const { deserialize, serialize } = require("node:v8");

/** Writes every database to a file. */
async function dump(file) {
  const found = [];
  for (const { name, version } of await indexedDB.databases()) {
    const database = await done(indexedDB.open(name, version));
    const stores = [];
    for (const storeName of database.objectStoreNames) stores.push(await read(database, storeName));
    database.close();
    found.push({ name, version, stores });
  }
  writeFileSync(file, serialize(found));
}

/** Brings them back; a file that is not there yet is an empty browser. */
async function restore(file) {
  if (!existsSync(file)) return;
  for (const { name, version, stores } of deserialize(readFileSync(file))) {
    const request = indexedDB.open(name, version);
    request.onupgradeneeded = () => stores.forEach((store) => create(request.result, store));
    const database = await done(request);
    for (const store of stores) await fill(database, store);
    database.close();
  }
}

async function read(database, name) {
  const store = database.transaction(name).objectStore(name);
  const indexes = [...store.indexNames].map((index) => {
    const { keyPath, unique, multiEntry } = store.index(index);
    return { name: index, keyPath, options: { unique, multiEntry } };
  });
  const [keys, values] = await Promise.all([done(store.getAllKeys()), done(store.getAll())]);
  return { name, keyPath: store.keyPath, autoIncrement: store.autoIncrement, indexes, keys, values };
}

function create(database, { name, keyPath, autoIncrement, indexes }) {
  const store = database.createObjectStore(name, { keyPath, autoIncrement });
  for (const index of indexes) store.createIndex(index.name, index.keyPath, index.options);
}

async function fill(database, { name, keyPath, keys, values }) {
  const store = database.transaction(name, "readwrite").objectStore(name);
  await Promise.all(values.map((value, at) => done(keyPath === null ? store.put(value, keys[at]) : store.put(value))));
}

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

module.exports = { dump, restore };
