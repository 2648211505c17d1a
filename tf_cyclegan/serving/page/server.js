// The requests of the page: to TensorFlow Serving's REST interface, and for one file of settings.

/** An error in words for the visitor; `lasting` if the same request would only fail again. */
export class Trouble extends Error {
  constructor(title, detail = "", lasting = false) {
    super(title);
    Object.assign(this, { detail, lasting });
  }
}

const EXPLANATIONS = {
  400: ["The server refused this image"],
  404: ["This model is not served any more"],
  413: ["The image is too large for this server", "Choose a smaller longest side."],
  429: ["The server is out of memory", "Choose a smaller longest side."],
  503: ["The server is busy", "Try again in a moment."],
  504: ["The server took too long", "Choose a smaller longest side, or try again."],
};

/**
 * Reads `demo/config.json`: `models`, `samples`, limits, and optionally `server`, the address of a TensorFlow Serving
 * elsewhere. Without it the page's own server answers.
 */
export async function readConfig() {
  const response = await reach("demo/config.json", { cache: "no-cache" });
  const config = response.ok ? await readJson(response) : null;
  if (!Array.isArray(config?.models)) throw new Trouble("The page cannot read demo/config.json", statusText(response));
  return { ...config, server: config.server ? config.server.replace(/\/*$/, "/") : "" };
}

/** Sends an image (a Blob) to a model and returns its translation, a PNG (a Blob). */
export async function translate(image, model, { server, signal }) {
  // A body of plain text needs no CORS preflight, and TensorFlow Serving reads JSON of any declared type.
  const body = JSON.stringify({ instances: [{ b64: await toBase64(image) }] });
  const url = `${server}v1/models/${encodeURIComponent(model)}:predict`;
  const response = await reach(url, { method: "POST", body, signal });
  const reply = await readJson(response);
  if (!response.ok) throw explain(response, reply?.error);
  const answer = reply?.predictions?.[0]?.b64;
  if (typeof answer !== "string") throw new Trouble("The model's answer is not an image", `${model} answered no bytes.`);
  return new Blob([Uint8Array.from(atob(answer), (letter) => letter.charCodeAt(0))], { type: "image/png" });
}

async function reach(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble("The server cannot be reached", "Check that it is running, then try again.");
  }
}

/** The reply as JSON, or null if it is none; a proxy may answer in HTML. */
async function readJson(response) {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function explain(response, text) {
  const [title, advice = ""] = EXPLANATIONS[response.status] ?? ["The server failed"];
  const seconds = Number(response.headers.get("Retry-After"));
  const next = response.status === 503 && seconds ? `Try again in ${seconds} s.` : advice;
  const detail = [text ? plain(text) : statusText(response), next].filter(Boolean).join("\n");
  return new Trouble(title, detail, [400, 404, 413].includes(response.status));
}

/** The message of a check within a model, without TensorFlow's frame: "assertion failed: [...]\n\t [[{{node ...}}]]". */
function plain(text) {
  return text.replace(/\s*\[\[\{\{.*$/s, "").replace(/^assertion failed: \[([^[\]]*)\]$/, "$1");
}

function statusText(response) {
  return `HTTP ${response.status} ${response.statusText}`.trim();
}

function toBase64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
