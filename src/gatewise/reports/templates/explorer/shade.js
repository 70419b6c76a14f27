// Shades: a colour for each of the 256 numbers that a value can be.

const RISING = ["none", "half", "full"];
const DIVERGING = ["minus", "middle", "plus"];

// The shade of the largest values: the same on both sides, so that they can be compared.
function limitOf(name, layerName) {
  const limits = explorer.sides.map((side) => layerOf(side, layerName).maps[name]?.limit ?? 0);
  return Math.max(...limits);
}

function isSigned(name, layerName) {
  return explorer.sides.some((side) => layerOf(side, layerName).maps[name]?.signed);
}

function layerOf(side, name) {
  return side.layers.find((layer) => layer.name === name) ?? side.layers[0];
}

// For each byte its colour as a canvas holds it: red in the lowest of four bytes.
function shadeTable(values, limit, diverging) {
  const shade = shades(diverging ? DIVERGING : RISING);
  const table = new Uint32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    const value = (values.signed && byte > 127 ? byte - 256 : byte) * values.scale;
    const [red, green, blue] = shade(diverging ? (value / limit + 1) / 2 : value / limit);
    table[byte] = ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  }
  return table;
}
