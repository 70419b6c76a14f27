// A map as a picture: a pixel for each unit and step, drawn once, then only copied to the screen.

const TILE = 2048; // columns of one canvas: browsers limit its size

class Picture {
  // order: of the rows. level: a column is the mean of 2^level steps.
  constructor(values, order, table, level) {
    Object.assign(this, { rows: values.rows, level, tiles: [] });
    const steps = 2 ** level;
    this.columns = Math.ceil(values.columns / steps);
    for (let first = 0; first < this.columns; first += TILE) {
      this.tiles.push(paintTile(values, order, table, steps, first, Math.min(TILE, this.columns - first)));
    }
  }

  // Copy what is seen: `wide` and `tall` are the size of a pixel on the screen, left and top what is scrolled away.
  copy(pen, left, top, wide, tall, width, height) {
    pen.imageSmoothingEnabled = false;
    const firstRow = Math.floor(top / tall);
    const rows = Math.min(this.rows, Math.ceil((top + height) / tall)) - firstRow;
    const from = Math.max(0, Math.floor(left / wide));
    const to = Math.min(this.columns, Math.ceil((left + width) / wide));
    this.tiles.forEach((tile, k) => {
      const first = Math.max(from, k * TILE);
      const last = Math.min(to, k * TILE + tile.width);
      if (last <= first || rows <= 0) return;
      const y = firstRow * tall - top;
      pen.drawImage(tile, first - k * TILE, firstRow, last - first, rows, first * wide - left, y, (last - first) * wide, rows * tall);
    });
  }
}

function paintTile(values, order, table, steps, first, width) {
  const { numbers, columns, rows } = values;
  const image = new ImageData(width, rows);
  const pixels = new Uint32Array(image.data.buffer);
  for (let row = 0; row < rows; row++) {
    const from = order[row] * columns;
    const out = row * width;
    for (let column = 0; column < width; column++) {
      const start = (first + column) * steps;
      let number = numbers[from + start];
      if (steps > 1) {
        const end = Math.min(columns, start + steps);
        for (let step = start + 1; step < end; step++) number += numbers[from + step];
        number = Math.round(number / (end - start));
      }
      pixels[out + column] = table[number & 255];
    }
  }
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = rows;
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}
