// The page: the actions of its visitor, and the pictures that it shows.

import { prepare } from "./images.js";
import { Trouble, readConfig, translate } from "./server.js";

const $ = (id) => document.getElementById(id);
const shown = { original: null, translated: null }; // the addresses of the pictures shown
let config = null;
let families = []; // models: { name, ab, ba }, or { name, ab } with one direction
let source = null; // the picture in work: { file, sample }
let request = null; // the AbortController of the translation in work

start();

async function start() {
  try {
    config = await readConfig();
    families = findFamilies(config.models);
    if (!families.length) {
      throw new Trouble("No image model is served here", "Make one with tf-cyclegan export, in the folder served.");
    }
    listen();
    fillModels();
    const where = config.server ? new URL(config.server).host : "this server";
    show("empty", `Images go to ${where} and nowhere else.`);
  } catch (error) {
    notice(error);
  }
}

// ---- Models -------------------------------------------------------------------------------------------------------

/** The models of images, NAME_ab and NAME_ba as one. */
function findFamilies(models) {
  const images = models.filter((model) => model.bytes);
  const second = (model) => model.pair && model.name.endsWith("_ba");
  return images.filter((model) => !second(model)).map(({ name, pair }) => {
    return pair ? { name: name.replace(/_ab$/, ""), ab: name, ba: pair } : { name, ab: name };
  });
}

const family = () => families[$("model").selectedIndex];
const direction = () => (family().ba ? document.querySelector("[name=direction]:checked").value : "ab");
const modelName = () => family()[direction()];

function fillModels() {
  $("model").replaceChildren(...families.map(({ name }) => new Option(name)));
  $("model-field").hidden = families.length < 2;
  changeModel();
}

function changeModel() {
  // A name like horse2zebra names A and B; the name of the bundled weights does not.
  const name = family().name === "emoji" ? "flat2shaded" : family().name;
  const [, a, b] = name.match(/^([a-z]+)2([a-z]+)/i) ?? [null, "A", "B"];
  const labels = { ab: `${a} → ${b}`, ba: `${b} → ${a}` };
  for (const radio of document.getElementsByName("direction")) {
    radio.nextElementSibling.textContent = labels[radio.value];
    radio.setAttribute("aria-label", labels[radio.value].replace("→", "to"));
  }
  $("direction-field").hidden = !family().ba;
  changeDirection();
}

function changeDirection() {
  fillSamples();
  $("code").textContent = exampleCode();
  // A sample is of one domain; the other direction takes the same drawing of the other domain.
  const twin = source?.sample && samplesOf(direction()).find((url) => sampleName(url) === sampleName(source.sample));
  if (twin && twin !== source.sample) openSample(twin);
  else run();
}

function exampleCode() {
  const server = new URL(config.server, document.baseURI).href.replace(/\/$/, "");
  return [
    "from tf_cyclegan.serving.client import Client",
    "",
    `png = Client("${server}").translate("photo.jpg", "${modelName()}")`,
    "",
    `# or POST {"instances": [{"b64": "..."}]} to`,
    `# ${server}/v1/models/${modelName()}:predict`,
  ].join("\n");
}

// ---- Samples ------------------------------------------------------------------------------------------------------

const sampleName = (url) => url.split("/").pop().replace(/(_[ab])?\.\w+$/, "");

/** Samples named NAME_a are for direction ab, NAME_b for ba, others for both. */
function samplesOf(direction) {
  return (config.samples ?? []).filter((url) => (url.match(/_([ab])\.\w+$/)?.[1] ?? direction[0]) === direction[0]);
}

function fillSamples() {
  const buttons = samplesOf(direction()).map((url) => {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "sample" });
    const label = sampleName(url).replaceAll("-", " ");
    button.append(Object.assign(new Image(56, 56), { src: url, alt: label }));
    button.title = label;
    button.dataset.url = url;
    button.onclick = () => openSample(url);
    return button;
  });
  $("samples").replaceChildren(...buttons);
  $("samples-field").hidden = !buttons.length;
}

async function openSample(url) {
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Trouble("This sample cannot be loaded", `HTTP ${response.status}`);
    open(new File([await response.blob()], url.split("/").pop()), url);
  } catch (error) {
    notice(error);
  }
}

// ---- Translating --------------------------------------------------------------------------------------------------

function open(file, sample = null) {
  source = { file, sample };
  for (const button of $("samples").children) button.setAttribute("aria-pressed", button.dataset.url === sample);
  run();
}

/** Translates the picture in work, and gives up the translation before it. */
async function run() {
  if (!source) return;
  const mine = new AbortController();
  request?.abort();
  request = mine;
  const stopClock = startClock();
  try {
    await translateSource(mine.signal);
  } catch (error) {
    if (request === mine) notice(error);
  } finally {
    stopClock();
    if (request === mine) request = null;
  }
}

async function translateSource(signal) {
  const model = modelName();
  // A label map must arrive unchanged: resizing and painting change the numbers of classes.
  const whole = config.models.find(({ name }) => name === model)?.ids;
  const side = whole ? Infinity : Number($("side").value);
  const limits = { side, maxPixels: config.max_pixels, maxBytes: config.max_body_bytes };
  const picture = await prepare(source.file, limits);
  signal.throwIfAborted();
  await display("original", picture.blob);
  frame(picture);
  show("working", "Translating…");
  const began = performance.now();
  const result = await translate(whole ? source.file : picture.blob, model, { server: config.server, signal });
  const seconds = (performance.now() - began) / 1000;
  await display("translated", result);
  signal.throwIfAborted();
  offerDownload(model);
  setSplit(50);
  show("done", `${picture.width} × ${picture.height} pixels in ${seconds.toFixed(seconds < 10 ? 2 : 0)} s`);
}

/** Shows the seconds that pass, from the first second on. Returns a function that ends it. */
function startClock() {
  const began = performance.now();
  const timer = setInterval(() => {
    $("clock").textContent = `${Math.floor((performance.now() - began) / 1000)} s`;
  }, 1000);
  return () => {
    clearInterval(timer);
    $("clock").textContent = "";
  };
}

// ---- Showing ------------------------------------------------------------------------------------------------------

/** Shows the elements of a state: `empty`, `working`, `done` or `notice`. */
function show(state, status = "") {
  const focused = document.activeElement;
  for (const element of document.querySelectorAll("[data-when]")) {
    element.hidden = !element.dataset.when.split(" ").includes(state);
  }
  $("stage").dataset.state = state;
  $("status").textContent = status;
  // If the control with the focus vanishes, the keyboard goes on from another.
  if ($("stage").contains(focused) && !focused.checkVisibility()) firstControl()?.focus();
}

function firstControl() {
  return [...$("stage").querySelectorAll("button, a, [type=range]")].find((element) => element.checkVisibility());
}

function notice(error) {
  const canceled = error.name === "AbortError";
  const known = canceled || error instanceof Trouble;
  if (!known) console.error(error);
  $("notice-sign").toggleAttribute("hidden", canceled);
  $("notice-title").textContent = canceled ? "Canceled" : known ? error.message : "Something went wrong on this page";
  $("notice-detail").textContent = canceled ? "Nothing was translated." : known ? error.detail : String(error);
  $("notice-buttons").hidden = !families.length;
  $("retry").hidden = !source || Boolean(error.lasting);
  show("notice");
}

async function display(name, blob) {
  const url = URL.createObjectURL(blob);
  const image = $(name);
  image.src = url;
  try {
    await image.decode();
  } catch {
    throw new Trouble("The model's answer is not an image", `${blob.size} bytes that the browser cannot show.`);
  } finally {
    URL.revokeObjectURL(shown[name]);
    shown[name] = url;
  }
}

function frame({ width, height }) {
  $("picture").style.setProperty("--ratio", width / height);
  // Small pictures grow, so that there is something to compare, but not without end.
  $("picture").style.setProperty("--widest", `${width * 6}px`);
}

function setSplit(percent) {
  $("split").value = percent;
  $("split").setAttribute("aria-valuetext", `${percent} % original, ${100 - percent} % translated`);
  $("picture").style.setProperty("--split", `${percent}%`);
}

function offerDownload(model) {
  $("download").href = shown.translated;
  $("download").download = `${source.file.name.replace(/\.\w+$/, "") || "image"}_${model}.png`;
}

// ---- Listening ----------------------------------------------------------------------------------------------------

const ACTIONS = {
  choose: () => $("file").click(),
  retry: run,
  cancel: () => request?.abort(),
};

function listen() {
  for (const element of document.querySelectorAll("[data-action]")) {
    element.addEventListener("click", ACTIONS[element.dataset.action]);
  }
  $("file").addEventListener("change", () => {
    openFirst($("file").files);
    $("file").value = ""; // the same file chosen again is a change again
  });
  $("model").addEventListener("change", changeModel);
  for (const radio of document.getElementsByName("direction")) radio.addEventListener("change", changeDirection);
  $("side").addEventListener("change", run);
  $("split").addEventListener("input", () => setSplit($("split").valueAsNumber));
  document.addEventListener("paste", (event) => openFirst(event.clipboardData.files));
  listenForDrops();
}

function openFirst(files) {
  if (files.length) open(files[0]);
}

function listenForDrops() {
  const mark = (on) => $("panel").classList.toggle("dropping", on);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(event.dataTransfer.types.includes("Files"));
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget ?? mark(false));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    openFirst(event.dataTransfer.files);
  });
}
