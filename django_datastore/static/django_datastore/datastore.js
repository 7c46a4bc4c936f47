/**
 * DataStore in the browser: live queries over your site's WebSocket, shaped as in Amplify. A plain ES module.
 *
 *     import { DataStore } from "/static/django_datastore/datastore.js";
 *
 *     const dataStore = new DataStore();
 *     const subscription = dataStore
 *       .observeQuery("Post", { filter: { rating: { gt: 3 } }, sort: ["-rating"] })
 *       .subscribe(({ items, isSynced }) => render(items));
 *     subscription.unsubscribe();
 *
 *     for await (const { opType, element } of dataStore.observe("Post")) { ... }
 *
 * A lost connection is made again, with growing pauses, and everything is subscribed anew: a live query goes on with a
 * fresh snapshot, so it misses nothing. `observe` tells what happens while it is connected.
 */

/** @typedef {Record<string, unknown>} Model A record by wire names. */
/** @typedef {{ items: Model[], isSynced: boolean }} Snapshot The rows of a live query at one moment. */
/** @typedef {{ opType: "INSERT" | "UPDATE" | "DELETE", element: Model, model: string }} Change One change of a model. */
/** @typedef {{ filter?: object | null, sort?: string[] }} QueryOptions Amplify's filter; fields to sort by, `-` for down. */
/** @typedef {"connecting" | "connected" | "disconnected"} ConnectionState */
/**
 * @template T
 * @typedef {{ next?: (value: T) => void, error?: (error: DataStoreError) => void, complete?: () => void }} Observer
 */

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 15_000;
const LONGEST_QUEUE = 10_000;

/** What the site refused, or could not do. `code` is for programs, `message` for people. */
export class DataStoreError extends Error {
  /** @param {string} code @param {string} message */
  constructor(code, message) {
    super(message);
    this.name = "DataStoreError";
    this.code = code;
  }
}

/** The site's data, live. One of these is one connection, opened with the first subscription. */
export class DataStore {
  #url;
  #socket = null;
  #pauseMs = FIRST_PAUSE_MS;
  #timer;
  #lastId = 0;
  #isClosed = false;
  /** @type {Map<string, Watch>} */
  #watches = new Map();
  /** @type {Set<(state: ConnectionState) => void>} */
  #listeners = new Set();
  /** @type {ConnectionState} */
  #state = "disconnected";
  /** The network is back: there is no need to sit out the pause. */
  #hurry = () => {
    if (this.#timer !== undefined && this.#socket === null) this.#connect();
  };

  /** @param {string | URL} [url] Where the site's `ws/datastore/` is; by default on the host of the page. */
  constructor(url) {
    this.#url = new URL(url ?? "/ws/datastore/", globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    globalThis.addEventListener?.("online", this.#hurry);
  }

  /**
   * The changes of a model from now on.
   * @param {string} model @param {object | null} [filter]
   * @returns {Observable<Change>}
   */
  observe(model, filter = null) {
    return new Observable((observer) => this.#watch(new ChangeWatch({ type: "observe", model, filter }, observer)));
  }

  /**
   * The rows of a query, at once and after each change.
   * @param {string} model @param {QueryOptions} [options]
   * @returns {Observable<Snapshot>}
   */
  observeQuery(model, { filter = null, sort = [] } = {}) {
    const message = { type: "observeQuery", model, filter, sort };
    return new Observable((observer) => this.#watch(new QueryWatch(message, observer)), { onlyNewest: true });
  }

  /** @returns {ConnectionState} How the connection is now. */
  get connectionState() {
    return this.#state;
  }

  /**
   * Calls `listener` with the state of the connection, now and whenever it changes.
   * @param {(state: ConnectionState) => void} listener
   * @returns {() => void} Call it to hear no more.
   */
  onConnectionState(listener) {
    this.#listeners.add(listener);
    listener(this.#state);
    return () => this.#listeners.delete(listener);
  }

  /** Ends every subscription and the connection. */
  close() {
    this.#isClosed = true;
    globalThis.removeEventListener?.("online", this.#hurry);
    clearTimeout(this.#timer);
    const watches = [...this.#watches.values()];
    this.#watches.clear();
    for (const watch of watches) clearTimeout(watch.timer);
    this.#socket?.close();
    this.#socket = null;
    this.#enter("disconnected");
    for (const watch of watches) tellPage(() => watch.observer.complete?.());
  }

  #watch(watch) {
    if (this.#isClosed) throw new DataStoreError("closed", "This DataStore was closed.");
    const id = String(++this.#lastId);
    this.#watches.set(id, watch);
    if (this.#state === "connected") this.#subscribe(id, watch);
    else if (this.#socket === null) this.#connect();
    return { unsubscribe: () => this.#unwatch(id) };
  }

  #unwatch(id) {
    const watch = this.#watches.get(id);
    if (!watch) return;
    this.#watches.delete(id);
    clearTimeout(watch.timer);
    if (this.#state === "connected" && !watch.timer) this.#send({ type: "unsubscribe", id });
  }

  #subscribe(id, watch) {
    watch.timer = undefined;
    this.#send({ ...watch.message, id });
  }

  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => socket === this.#socket && this.#receive(JSON.parse(data)));
    socket.addEventListener("close", () => socket === this.#socket && this.#reconnect());
    this.#enter("connecting");
  }

  #reconnect() {
    this.#socket = null;
    for (const watch of this.#watches.values()) clearTimeout(watch.timer);
    if (this.#watches.size > 0) this.#connectLater();
    this.#enter("disconnected");
  }

  #connectLater() {
    const pauseMs = this.#pauseMs * (0.5 + Math.random() / 2); // so that many browsers do not come back all at once
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
    this.#timer = setTimeout(() => this.#connect(), pauseMs);
  }

  #receive(message) {
    if (message.type === "ready") {
      this.#pauseMs = FIRST_PAUSE_MS;
      for (const [id, watch] of this.#watches) this.#subscribe(id, watch);
      this.#enter("connected");
      return;
    }
    const watch = this.#watches.get(message.id);
    if (message.type === "error") this.#fail(message, watch);
    else if (watch && message.type !== "complete") watch.receive(message);
  }

  #fail({ id, code, message }, watch) {
    if (code === "unknown_id" || code === "duplicate_id") return; // it ended on both sides at the same time
    if (!watch) {
      if (id == null) console.error(`DataStore: ${code}: ${message}`);
      return;
    }
    if (watch.retries(code)) {
      watch.timer = setTimeout(() => {
        if (this.#state === "connected") this.#subscribe(id, watch);
      }, watch.nextPauseMs());
      return;
    }
    this.#watches.delete(id);
    const error = new DataStoreError(code, message);
    if (watch.observer.error) watch.observer.error(error);
    else console.error(error);
  }

  /** Tells the listeners. Comes after all else there is to do, for they may subscribe or close. */
  #enter(state) {
    if (state === this.#state) return;
    this.#state = state;
    for (const listener of this.#listeners) {
      if (this.#state !== state) return; // a listener changed it, and everybody was told
      tellPage(() => listener(state));
    }
  }
}

/** Calls code of the page. What it throws is reported as any error of the page, and stops nothing here. */
function tellPage(call) {
  try {
    call();
  } catch (error) {
    (globalThis.reportError ?? console.error)(error);
  }
}

/** What one subscription asked for, and who gets it. */
class Watch {
  timer;
  #pauseMs = FIRST_PAUSE_MS;

  constructor(message, observer) {
    this.message = message;
    this.observer = observer;
  }

  /** Whether it is worth asking again after this error. */
  retries(code) {
    return code === "unavailable";
  }

  nextPauseMs() {
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
    return this.#pauseMs;
  }

  tell(value) {
    this.#pauseMs = FIRST_PAUSE_MS;
    this.observer.next?.(value);
  }
}

class ChangeWatch extends Watch {
  receive({ opType, element, model }) {
    this.tell({ opType, element, model });
  }
}

class QueryWatch extends Watch {
  #items = [];
  #keyFields = [];

  receive(message) {
    if (message.type === "snapshot") {
      this.#keyFields = message.keyFields;
      this.#items = message.items;
    } else {
      this.#items = this.#changed(message);
    }
    this.tell({ items: [...this.#items], isSynced: message.isSynced });
  }

  /** The items after a change: what is deleted or changed is taken out, then each upsert is put where it belongs. */
  #changed({ upserts, positions, deletes }) {
    const moved = new Set([...deletes.map(keyText), ...upserts.map((item) => this.#keyOf(item))]);
    const staying = this.#items.filter((item) => !moved.has(this.#keyOf(item)));
    const items = [];
    let taken = 0;
    positions.forEach((position, index) => {
      while (items.length < position) items.push(staying[taken++]);
      items.push(upserts[index]);
    });
    while (taken < staying.length) items.push(staying[taken++]);
    return items;
  }

  #keyOf(item) {
    const [first, ...rest] = this.#keyFields;
    return keyText(rest.length === 0 ? item[first] : this.#keyFields.map((name) => item[name]));
  }
}

const keyText = (key) => JSON.stringify(key);

/**
 * Something to subscribe to, as in Amplify, or to iterate over with `for await`.
 * @template T
 */
export class Observable {
  #start;
  #onlyNewest;

  /** @param {(observer: Observer<T>) => { unsubscribe(): void }} start @param {{ onlyNewest?: boolean }} [options] */
  constructor(start, { onlyNewest = false } = {}) {
    this.#start = start;
    this.#onlyNewest = onlyNewest;
  }

  /**
   * Starts watching.
   * @param {Observer<T> | ((value: T) => void)} observer
   * @returns {{ unsubscribe(): void }}
   */
  subscribe(observer) {
    return this.#start(typeof observer === "function" ? { next: observer } : observer);
  }

  /** Watches while the loop runs. A loop that is slower than the changes gets a live query's newest rows only. */
  async *[Symbol.asyncIterator]() {
    const values = [];
    let ended = false;
    let failure = null;
    let wake = () => {};
    const subscription = this.subscribe({
      next: (value) => {
        if (this.#onlyNewest) values.length = 0;
        if (values.push(value) > LONGEST_QUEUE) {
          failure = new DataStoreError("too_slow", `More than ${LONGEST_QUEUE} changes were waiting to be taken.`);
        }
        wake();
      },
      error: (error) => {
        failure = error;
        wake();
      },
      complete: () => {
        ended = true;
        wake();
      },
    });
    try {
      for (;;) {
        if (failure) throw failure;
        if (values.length > 0) yield values.shift();
        else if (ended) return;
        else await new Promise((resolve) => (wake = resolve));
      }
    } finally {
      subscription.unsubscribe();
    }
  }
}
