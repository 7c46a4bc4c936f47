/** Lists on the page: rows that keep their element, arrive softly, flash when they change, and leave softly. */

const STARS = 5;

/**
 * Makes the children of `list` match `items`, in order.
 * @param {HTMLElement} list
 * @param {Array<object>} items
 * @param {{key: (item: object) => string, create: (item: object) => HTMLElement,
 *          update: (row: HTMLElement, item: object) => void, version?: (item: object) => string}} how
 */
export function reconcile(list, items, { key, create, update, version = () => "" }) {
  const first = !list.dataset.filled;
  const before = new Map([...list.children].filter((row) => !row.classList.contains("leaving")).map((row) => [row.dataset.key, row]));
  const places = new Map([...before.values()].map((row) => [row, row.getBoundingClientRect().top]));
  let previous = null;
  for (const item of items) {
    const name = key(item);
    let row = before.get(name);
    before.delete(name);
    if (!row) {
      row = create(item);
      row.dataset.key = name;
      if (!first) animate(row, "arriving");
    } else if (row.dataset.version !== version(item)) {
      animate(row, "changed");
    }
    row.dataset.version = version(item);
    update(row, item);
    const wanted = previous ? previous.nextElementSibling : list.firstElementChild;
    if (wanted !== row) list.insertBefore(row, wanted);
    previous = row;
  }
  for (const row of before.values()) leave(row);
  list.dataset.filled = "yes";
  slide(list, places);
}

/** Moves rows that stayed from where they were to where they are. */
function slide(list, places) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const row of list.children) {
    const distance = (places.get(row) ?? NaN) - row.getBoundingClientRect().top;
    if (Math.abs(distance) > 1) {
      row.animate([{ transform: `translateY(${distance}px)` }, { transform: "none" }], { duration: 260, easing: "ease-out" });
    }
  }
}

function animate(row, name) {
  row.classList.remove(name);
  void row.offsetWidth; // starts the animation anew
  row.classList.add(name);
  row.addEventListener("animationend", () => row.classList.remove(name), { once: true });
}

function leave(row) {
  row.classList.add("leaving");
  row.setAttribute("aria-hidden", "true");
  setTimeout(() => row.remove(), 280);
}

/** A fresh element from `<template id=name>`. */
export function fromTemplate(name) {
  return document.getElementById(name).content.firstElementChild.cloneNode(true);
}

/**
 * A row for a post, with stars, edit and delete.
 * @param {{rate: (id: string, rating: number) => void, rename: (id: string, title: string) => void, remove: (id: string) => void}} actions
 */
export function postRow(item, { rate, rename, remove }) {
  const row = fromTemplate("row");
  const stars = row.querySelector(".stars");
  for (let rating = 1; rating <= STARS; rating += 1) {
    const star = document.createElement("button");
    star.type = "button";
    star.textContent = "★";
    star.setAttribute("aria-label", `Rate ${rating} of ${STARS}`);
    star.addEventListener("click", () => rate(item.id, rating));
    stars.append(star);
  }
  row.querySelector(".edit").addEventListener("click", () => editTitle(row, (title) => rename(item.id, title)));
  row.querySelector(".delete").addEventListener("click", () => remove(item.id));
  return row;
}

/** Shows the state of a post in its row. */
export function showPost(row, item) {
  const title = row.querySelector(".title");
  if (!title.hidden) title.textContent = item.title;
  row.querySelectorAll(".stars button").forEach((star, index) => {
    star.classList.toggle("on", index < (item.rating ?? 0));
    star.setAttribute("aria-pressed", String(index + 1 === item.rating));
  });
}

/** Turns the title into a field; Enter keeps what was typed, Escape and leaving the field do not. */
function editTitle(row, done) {
  const title = row.querySelector(".title");
  if (title.hidden) return;
  const field = document.createElement("input");
  field.value = title.textContent;
  field.maxLength = 200;
  field.setAttribute("aria-label", "Title");
  const close = () => {
    if (!title.hidden) return; // removing the field blurs it, which closes it again
    title.hidden = false;
    field.remove();
  };
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    if (event.key !== "Enter") return;
    const typed = field.value.trim();
    close();
    if (typed && typed !== title.textContent) {
      title.textContent = typed;
      done(typed);
    }
  });
  field.addEventListener("blur", close);
  title.hidden = true;
  title.after(field);
  field.focus();
  field.select();
}
