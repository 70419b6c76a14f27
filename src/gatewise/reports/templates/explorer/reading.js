// What is pointed at, in words.

const AROUND = 6; // steps before and after

// The value at the point, as exactly as the page has it.
function valueText(values, unit, step) {
  const digits = Math.max(2, Math.ceil(-Math.log10(values.scale)));
  return plain(values.at(unit, step), digits);
}

function lifeText(life) {
  return Number.isNaN(life) ? "" : `τ ${life >= 100 ? plain(life, 0) : plain(life, 1)} ${explorer.unit}s`;
}

function tellPoint(map, step, unit) {
  const where = map.host.querySelector(".where");
  const around = map.host.querySelector(".around");
  if (step === null && unit === null) {
    where.textContent = "Point at the map.";
    around.textContent = "";
    return;
  }
  where.textContent = pointText(map, step, unit);
  around.replaceChildren(...(step === null ? [] : surroundings(map.side.steps, step, step)));
}

function pointText(map, step, unit) {
  const { layer, values, name, side } = map;
  return [
    step === null ? "" : `${explorer.unit} ${step + 1} of ${side.steps.length}`,
    unit === null ? "" : `unit ${unit}`,
    step === null || unit === null ? "" : `${name} = ${valueText(values, unit, step)}`,
    unit !== null && layer.lives.length === values.rows ? lifeText(layer.lives[unit]) : "",
  ].filter(Boolean).join(" · ");
}

// The steps from … to with some before and after them, as elements: those meant are bold.
function surroundings(names, from, to) {
  const [first, last] = [Math.max(0, from - AROUND), Math.min(names.length - 1, to + AROUND)];
  const middle = document.createElement("b");
  const most = 12; // of a long range its ends
  const named = (a, b) => names.slice(a, b + 1).map((name) => shortened(name, 24)).join(" ");
  middle.textContent = to - from < most ? named(from, to) : `${named(from, from + most / 2 - 1)} … ${named(to - most / 2 + 1, to)}`;
  const before = `${first > 0 ? "… " : ""}${named(first, from - 1)} `;
  const after = ` ${named(to + 1, last)}${last < names.length - 1 ? " …" : ""}`;
  return [document.createTextNode(before), middle, document.createTextNode(after)];
}
