// Pictures from any source, made ready to send.

import { Trouble } from "./server.js";

/**
 * Makes a picture fit for a model: upright (servers ignore EXIF), on white where it is transparent, in sRGB, and with
 * no side longer than `side`. A picture that fits already keeps its pixels exactly.
 *
 * @returns {Promise<{blob: Blob, width: number, height: number}>} a PNG, or a JPEG if the PNG exceeds `maxBytes`.
 */
export async function prepare(file, { side, maxPixels = Infinity, maxBytes = Infinity }) {
  const bitmap = await open(file);
  const scale = Math.min(1, Math.min(side, Math.sqrt(maxPixels)) / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((length) => Math.max(1, Math.round(length * scale)));
  const canvas = draw(await resize(bitmap, width, height), width, height);
  const blob = await encode(canvas, maxBytes);
  return { blob, width, height };
}

async function open(file) {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    const name = file.name ? `“${file.name}”` : "This";
    throw new Trouble(`${name} is not an image`, "This browser cannot open it. PNG, JPEG and WebP always work.", true);
  }
}

function resize(bitmap, resizeWidth, resizeHeight) {
  if (bitmap.width === resizeWidth && bitmap.height === resizeHeight) return bitmap;
  return createImageBitmap(bitmap, { resizeWidth, resizeHeight, resizeQuality: "high" });
}

function draw(bitmap, width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { alpha: false });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas;
}

async function encode(canvas, maxBytes) {
  const toBlob = (type, quality) => new Promise((resolve) => canvas.toBlob(resolve, type, quality));
  const png = await toBlob("image/png");
  // Base64 makes four bytes of three; the rest is room for the JSON around it.
  return png.size * (4 / 3) < maxBytes - 1024 ? png : toBlob("image/jpeg", 0.95);
}
