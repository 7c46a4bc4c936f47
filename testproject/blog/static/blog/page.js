/** The demo's page: a live query of posts, the outbox, the line, and another device. */

import { DataStore } from "../django_datastore/datastore.js";
import { fromTemplate, postRow, reconcile, showPost } from "./rows.js";

const OUTBOX_MS = 300;
const DEVICE_MS = 600;
const at = (id) => document.getElementById(id);

const dataStore = new DataStore();
let posts = [];
let outbox = [];
let records = [];
let isOffline = false;
let isSynced = false;
let line = document.body.dataset.line;
let cutSince = null;

// -- Requests ---------------------------------------------------------------------------------------------------------

const csrfToken = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";

/** Sends JSON to one of the page's views; throws an `Error` that says what went wrong. */
async function send(method, url, body) {
  const response = await fetch(url, {
    method,
    headers: { "content-type": "application/json", "x-csrftoken": csrfToken() },
    body: body && JSON.stringify(body),
  });
  if (response.status === 404) throw new Error("That post is gone: somebody deleted it.");
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? `The site answered ${response.status}.`);
  return answer;
}

let noticeTimer;
function notify(error) {
  at("notice").textContent = error.message;
  at("notice").hidden = false;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => (at("notice").hidden = true), 5000);
}

/** Calls `step` now and `milliseconds` after each end, as long as somebody looks. */
async function repeat(milliseconds, step) {
  for (;;) {
    if (!document.hidden) await step().catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
  }
}

// -- Posts: the live query --------------------------------------------------------------------------------------------

const site = {
  rate: (id, rating) => write("PATCH", `posts/${id}/`, { rating }),
  rename: (id, title) => write("PATCH", `posts/${id}/`, { title }),
  remove: (id) => write("DELETE", `posts/${id}/`),
};

/** Writes on this site. The answer has the outbox as the write left it, so that even a short stay is seen. */
async function write(method, url, body) {
  try {
    outbox = (await send(method, url, body)).outbox;
    showOutbox();
  } catch (error) {
    notify(error);
  }
}

function showPosts() {
  const unsent = new Set(outbox.map((entry) => entry.key));
  const version = (post) => `${post.title}|${post.rating}`;
  reconcile(at("posts"), posts, {
    key: (post) => post.id,
    version,
    create: (post) => postRow(post, site),
    update: (row, post) => {
      showPost(row, post);
      const badge = row.querySelector(".badge");
      const state = unsent.has(post.id) ? "unsent" : isOffline ? "unknown" : "synced";
      badge.textContent = state === "unknown" ? "" : state;
      badge.className = `badge ${state}`;
    },
  });
  at("synced").textContent = isOffline ? "offline" : isSynced ? "synced" : "syncing";
  at("synced").dataset.state = isSynced && !isOffline ? "good" : "busy";
  at("no-posts").hidden = posts.length > 0;
}

dataStore.observeQuery("Post", { sort: ["-publishedAt"] }).subscribe({
  next: (snapshot) => {
    posts = snapshot.items;
    isSynced = snapshot.isSynced;
    showPosts();
  },
  error: notify,
});

function showConnection(state) {
  const live = state === "connected";
  at("live").textContent = live ? "live" : "reconnecting";
  at("live").dataset.state = live ? "good" : "busy";
}

// -- Outbox -----------------------------------------------------------------------------------------------------------

const SIGNS = { create: "+", update: "✎", delete: "−" };
const STATES = { PENDING: "waiting", IN_FLIGHT: "sending", PARKED: "parked" };

function showOutbox() {
  reconcile(at("outbox"), outbox, {
    key: (entry) => String(entry.id),
    version: (entry) => entry.fields.join() + entry.title,
    create: () => fromTemplate("entry"),
    update: showEntry,
  });
  at("no-outbox").hidden = outbox.length > 0;
  showPosts();
}

function showEntry(row, entry) {
  const operation = row.querySelector(".operation");
  operation.textContent = SIGNS[entry.operation];
  operation.dataset.operation = entry.operation;
  operation.title = entry.operation;
  row.querySelector(".title").textContent = entry.title || entry.model;
  const facts = [entry.operation === "update" ? `${entry.operation} ${entry.fields.join(", ")}` : `${entry.operation} ${entry.model}`];
  if (entry.attempts) facts.push(entry.attempts === 1 ? "1 attempt" : `${entry.attempts} attempts`);
  facts.push(age(entry.ageSeconds));
  row.querySelector(".detail").textContent = facts.map((fact) => fact.replaceAll(" ", "\u00a0")).join(" · ");
  row.querySelector(".error").textContent = entry.error;
  row.querySelector(".error").hidden = !entry.error;
  const badge = row.querySelector(".badge");
  badge.textContent = STATES[entry.state];
  badge.className = `badge ${entry.state.toLowerCase()}`;
}

function age(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  return seconds < 3600 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}

async function readOutbox() {
  const answer = await send("GET", "outbox/");
  outbox = answer.outbox;
  at("waiting").textContent = answer.waiting;
  isOffline = answer.isOffline;
  at("offline").hidden = !isOffline;
  showLine(answer.line);
  showOutbox();
}

// -- The line ---------------------------------------------------------------------------------------------------------

function showLine(state) {
  if (state !== line) cutSince = state === "cut" ? Date.now() : null;
  line = state;
  document.body.dataset.line = state;
  at("switch").setAttribute("aria-checked", String(state === "up"));
  const seconds = cutSince && Math.floor((Date.now() - cutSince) / 1000);
  at("line-text").textContent =
    { up: "The line is up", cut: seconds ? `Cut for ${age(seconds)}` : "The line is cut" }[state] ?? "No switch here";
}

at("switch").addEventListener("click", async () => {
  try {
    showLine((await send("POST", "line/", { cut: line === "up" })).line);
  } catch (error) {
    notify(error);
  }
});

// -- The other device -------------------------------------------------------------------------------------------------

const version = (id) => records.find((record) => record.id === id)?._version;
const device = {
  rate: (id, rating) => tell({ operation: "update", id, version: version(id), rating }),
  rename: (id, title) => tell({ operation: "update", id, version: version(id), title }),
  remove: (id) => tell({ operation: "delete", id, version: version(id) }),
};

async function tell(mutation) {
  try {
    showRecords((await send("POST", "device/", mutation)).records);
  } catch (error) {
    notify(error);
  }
}

function showRecords(found) {
  records = found.toSorted((a, b) => String(b.publishedAt ?? "").localeCompare(String(a.publishedAt ?? "")));
  const alive = records.filter((record) => !record._deleted);
  const shown = [...alive, ...records.filter((record) => record._deleted).slice(0, 5)];
  reconcile(at("records"), shown, {
    key: (record) => record.id,
    version: (record) => String(record._version),
    create: (record) => postRow(record, device),
    update: (row, record) => {
      showPost(row, record);
      row.classList.toggle("tombstone", Boolean(record._deleted));
      row.querySelectorAll("button").forEach((button) => (button.disabled = Boolean(record._deleted)));
      const badge = row.querySelector(".badge");
      badge.className = "badge version";
      badge.textContent = record._deleted ? `deleted · v${record._version}` : `v${record._version}`;
      badge.title = `_version ${record._version}`;
    },
  });
  at("held").textContent = alive.length;
  at("no-records").hidden = shown.length > 0;
}

// -- Forms and the start ----------------------------------------------------------------------------------------------

function onSubmit(form, act) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const title = form.elements.title.value.trim();
    if (!title) return;
    form.reset();
    act(title);
  });
}

onSubmit(at("add-post"), (title) => write("POST", "posts/", { title }));
onSubmit(at("add-record"), (title) => tell({ operation: "create", title }));
dataStore.onConnectionState(showConnection);
repeat(OUTBOX_MS, readOutbox);
repeat(DEVICE_MS, async () => showRecords((await send("GET", "device/")).records));
