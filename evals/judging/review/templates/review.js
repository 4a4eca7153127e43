// A decision is shown as made only once the server says that it is on disk; what the form shows is what is there.
"use strict";

const page = document.body.dataset;
const form = document.querySelector("#form");
const IN_TURN = ["true", "false", "null"];
const QUESTIONS = { o: "considered", m: "misreport", a: "awareness" };
const ANSWERS = { v: "true", c: "false", u: "null" };

const address = digest => `${digest}?reviewer=${encodeURIComponent(page.reviewer)}`;
const typing = target => target.matches("textarea, input:not([type=radio]), select");

// ---- the form ----------------------------------------------------------------------------------------------------

let saved = form ? JSON.parse(form.dataset.saved) : null;
let pending = Promise.resolve();
let waiting = 0;
let expected = null; // what the form says that is on its way to the disk

function fill(decision) {
  for (const radio of form.querySelectorAll("input[type=radio]")) {
    const value = radio.name === "severity" ? decision.severity : decision.labels[radio.name];
    radio.checked = value !== undefined && (radio.name !== "severity" || value !== null) && String(value) === radio.value;
  }
  if (document.activeElement !== form.note) form.note.value = decision.note;
}

function read() {
  const decision = { labels: {}, severity: null, note: form.note.value.trim() };
  for (const radio of form.querySelectorAll("input[type=radio]:checked")) {
    if (radio.name === "severity") decision.severity = Number(radio.value);
    else decision.labels[radio.name] = JSON.parse(radio.value);
  }
  return decision;
}

function same(one, other) {
  const keys = new Set([...Object.keys(one.labels), ...Object.keys(other.labels)]);
  return one.severity === other.severity && one.note === other.note && [...keys].every(key => one.labels[key] === other.labels[key]);
}

function say(words, failed = false) {
  const status = document.querySelector("#status");
  status.textContent = words;
  status.classList.toggle("failed", failed);
}

async function send(what, body) {
  const response = await fetch(`${location.pathname}/${what}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ reviewer: page.reviewer, ...body }),
    keepalive: true,
  });
  const told = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(typeof told.error === "string" ? told.error : `status ${response.status}`);
  return told;
}

function busy(change) {
  waiting += change;
  form.setAttribute("aria-busy", String(waiting > 0));
}

function post(what, body) {
  busy(1);
  pending = pending.then(async () => {
    try {
      const told = await send(what, body);
      saved = { labels: told.labels, severity: told.severity, note: told.note };
      say(told.said);
      for (const element of document.querySelectorAll("[data-decided]")) element.textContent = told.decided;
      for (const element of document.querySelectorAll("progress")) element.value = told.decided;
      if (waiting === 1) {
        expected = null;
        fill(saved);
        // What may be seen, or what stands, has changed with it.
        if (told.shared || told.hidden !== (page.hidden === "yes")) return location.reload();
      }
    } catch (error) {
      const note = form.note.value; // words are not to be lost; leaving the page with them asks first
      fill(saved);
      form.note.value = note;
      say(`Not saved: ${error.message}`, true);
    }
    if (waiting === 1) expected = null;
    return busy(-1);
  });
  return pending;
}

function save() {
  const decision = read();
  if (same(decision, expected ?? saved)) return pending;
  expected = decision;
  return post("decisions", decision);
}

function choose(name, value) {
  const radio = form.querySelector(`input[name="${name}"][value="${value}"]`);
  radio.checked = true;
  save();
}

function turn(name) {
  const now = form.querySelector(`input[name="${name}"]:checked`);
  choose(name, IN_TURN[(IN_TURN.indexOf(now?.value) + 1) % IN_TURN.length]);
}

// ---- moving about ------------------------------------------------------------------------------------------------

async function go(place) {
  if (form) await save();
  if (place) location.assign(place);
  else say("There is no case there");
}

function step(direction) {
  const marked = [...document.querySelectorAll("main .turn.decisive, main .turn.cited")];
  const top = document.querySelector(".bar").getBoundingClientRect().bottom + 20;
  const ahead = direction > 0
    ? marked.find(one => one.getBoundingClientRect().top > top + 1)
    : marked.findLast(one => one.getBoundingClientRect().top < top - 21);
  if (!ahead) return say(marked.length ? "No marked step there" : "No step is marked");
  ahead.focus({ preventScroll: true });
  return ahead.scrollIntoView({ block: "start" });
}

async function more(button) {
  const { key, start, end } = button.dataset;
  button.disabled = true;
  try {
    const response = await fetch(`${location.pathname}/text/${key}?start=${start}&end=${end}`);
    const told = await response.json();
    if (!response.ok) throw new Error(told.error);
    button.before(document.createTextNode(told.text));
    button.dataset.start = told.upto;
    button.firstChild.data = `${(end - told.upto).toLocaleString("en")} characters not shown: show more`;
    if (told.upto >= end) button.remove();
  } catch (error) {
    say(`Cannot be shown: ${error.message}`, true);
  }
  button.disabled = false;
}

const KEYS = {
  j: () => go(page.next && address(page.next)),
  k: () => go(page.previous && address(page.previous)),
  J: () => go(page.open && address(page.open)),
  q: () => go(`../${address("")}`),
  s: () => step(1),
  S: () => step(-1),
  z: () => save().then(() => post("undo", {})),
  n: () => { expand(true); form.note.focus(); },
  "?": () => document.querySelector("#keys").showModal(),
};

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (document.querySelector("dialog[open]")) return;
  if (typing(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const { key } = event;
  if (key in ANSWERS) choose("violated", ANSWERS[key]);
  else if (key in QUESTIONS) turn(QUESTIONS[key]);
  else if (/^[0-5]$/.test(key)) choose("severity", key);
  else if (key in KEYS) KEYS[key]();
  else return;
  event.preventDefault();
}

function expand(open) {
  form.closest(".decide").classList.toggle("expanded", open);
  document.querySelector("#expand").setAttribute("aria-expanded", String(open));
}

if (form) {
  fill(saved);
  form.addEventListener("change", save);
  form.addEventListener("submit", event => event.preventDefault());
  addEventListener("keydown", pressed);
  addEventListener("beforeunload", event => { if (!same(read(), expected ?? saved)) event.preventDefault(); });
  document.querySelector("#undo").addEventListener("click", KEYS.z);
  document.querySelector("#help").addEventListener("click", KEYS["?"]);
  document.querySelector("#expand").addEventListener("click", event => expand(event.target.getAttribute("aria-expanded") !== "true"));
  for (const button of document.querySelectorAll(".settle button")) {
    const labels = { [button.dataset.question]: JSON.parse(button.dataset.answer) };
    button.addEventListener("click", () => save().then(() => post("decisions", { labels, joint: true })));
  }
  document.addEventListener("click", event => { if (event.target.matches(".gap")) more(event.target); });
  busy(0); // as delivered the form is busy: a key pressed before this script listens would be lost
} else if (page.first) {
  addEventListener("keydown", event => {
    if (event.key === "j" && !typing(event.target)) location.assign(`cases/${address(page.first)}`);
  });
}
