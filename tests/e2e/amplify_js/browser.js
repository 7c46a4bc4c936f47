/** The client under test in a page: `app` is what the test calls. Bundled by esbuild, otherwise as npm has it. */

import "./watch";
import { Amplify } from "aws-amplify";
import { DataStore, initSchema } from "@aws-amplify/datastore";
import schema from "../../data/amplify_example/model-introspection.json";

const { Post } = initSchema({ ...schema, version: String(schema.version), codegenVersion: "3.4.4" });

/** Of all posts, as `{isSynced, titles}`. */
globalThis.snapshots = [];

globalThis.app = {
  start({ endpoint, apiKey }) {
    Amplify.configure({ API: { GraphQL: { endpoint, region: "us-east-1", defaultAuthMode: "apiKey", apiKey } } });
    DataStore.observeQuery(Post).subscribe(({ isSynced, items }) =>
      globalThis.snapshots.push({ isSynced, titles: items.map(({ title }) => title).sort() }),
    );
  },

  async create(values) {
    return (await DataStore.save(new Post(values))).id;
  },

  async get(id) {
    const found = await DataStore.query(Post, id);
    return found ? { ...found } : null;
  },
};
