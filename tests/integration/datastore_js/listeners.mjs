// Does what pages do in their listeners, and prints what comes of it: one JSON line each.
import { readFile } from "node:fs/promises";

const [source, url] = process.argv.slice(2);
const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

// what a browser's window has, and Node has not
const page = new EventTarget();
globalThis.reportError = ({ message }) => print({ reported: message });
globalThis.addEventListener = page.addEventListener.bind(page);
globalThis.removeEventListener = page.removeEventListener.bind(page);

let sockets = 0;
globalThis.WebSocket = class extends WebSocket {
  constructor(...details) {
    super(...details);
    sockets += 1;
  }
  send(text) {
    print({ sent: JSON.parse(text).model });
    super.send(text);
  }
};

const { DataStore } = await import(`data:text/javascript,${encodeURIComponent(await readFile(source, "utf8"))}`);
const dataStore = new DataStore(url);
let connections = 0;

const told = (state) => {
  if (connections === 0 && state === "disconnected") return; // told at once, to who begins to listen
  if (state === "connected" && ++connections === 1) {
    dataStore.observeQuery("Blog").subscribe(({ items }) => print({ blogs: items.length }));
  }
  if (state === "disconnected" && connections === 2) setImmediate(closeInThePause);
  throw new Error(state);
};
dataStore.onConnectionState(told);
dataStore.observeQuery("Post").subscribe(({ items }) => print({ posts: items.length }));

function closeInThePause() {
  const before = sockets;
  dataStore.close();
  page.dispatchEvent(new Event("online"));
  print({ opened: sockets - before });
}
