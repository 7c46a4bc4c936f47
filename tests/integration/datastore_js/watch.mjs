// Watches with datastore.js as a page would, and prints what it is told: one JSON line each.
import { readFile } from "node:fs/promises";

const [source, url] = process.argv.slice(2);
const { DataStore } = await import(`data:text/javascript,${encodeURIComponent(await readFile(source, "utf8"))}`);
const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const dataStore = new DataStore(url);
dataStore.onConnectionState((state) => print({ state }));
dataStore
  .observeQuery("Post", { filter: { rating: { ge: 0 } }, sort: ["-rating", "title"] })
  .subscribe(({ items, isSynced }) => print({ titles: items.map((item) => item.title), isSynced }));
dataStore.observe("Blog").subscribe({ next: ({ opType, element, model }) => print({ opType, name: element.name, model }) });
dataStore.observe("Pots").subscribe({ error: ({ name, code }) => print({ name, code }) });
dataStore.observeQuery("Post").subscribe(() => print("never")).unsubscribe();

for await (const { items } of dataStore.observeQuery("Comment")) {
  print({ comments: items.length });
  if (items.length > 0) break;
}
print("the loop ended");

const changes = dataStore.observe("Comment")[Symbol.asyncIterator]();
const next = changes.next();
// subscriptions begin in order: with this one's first snapshot, the one above is watching, too
dataStore.observeQuery("Comment", { filter: { content: { eq: "-" } } }).subscribe(() => print("watching comments"));
print({ change: (await next).value.element.content });
dataStore.close();
print({ ends: (await changes.next()).done });
