// Arrays of the page, which stand in it as base64.

function bytes(base64) {
  const raw = atob(base64);
  const found = new Uint8Array(raw.length);
  for (let k = 0; k < raw.length; k++) found[k] = raw.charCodeAt(k);
  return found;
}

// Little-endian float32, as every browser's machine has it.
function floats(base64) {
  return new Float32Array(bytes(base64).buffer);
}
