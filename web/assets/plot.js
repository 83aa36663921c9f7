// A plot of the numbers in telemetry, drawn on a canvas.

const COLOURS = ['#2f7ed8', '#d8572f', '#2fa866', '#9b59d0', '#c9a227', '#d0598f', '#3aa7b8', '#7f8c3a'];

/** numbers finds the numeric members of a JSON value, by path. */
export function numbers(value, path = '', found = {}) {
  if (typeof value === 'number' && Number.isFinite(value)) found[path || 'value'] = value;
  else if (value && typeof value === 'object') {
    for (const [name, member] of Object.entries(value)) numbers(member, path ? `${path}.${name}` : name, found);
  }
  return found;
}

/** Series keeps the last points of each name. */
export class Series {
  constructor(limit = 300) {
    this.limit = limit;
    this.points = new Map();
  }

  add(time, found) {
    for (const [name, value] of Object.entries(found)) {
      if (!this.points.has(name)) {
        if (this.points.size >= COLOURS.length) continue;
        this.points.set(name, []);
      }
      const list = this.points.get(name);
      list.push([time, value]);
      if (list.length > this.limit) list.shift();
    }
  }

  colour(name) {
    return COLOURS[[...this.points.keys()].indexOf(name)];
  }
}

/** draw draws the series whose names are not in hidden. */
export function draw(canvas, series, hidden) {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width) return;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext('2d');
  context.scale(ratio, ratio);
  const style = getComputedStyle(document.documentElement);
  const shown = [...series.points].filter(([name, list]) => !hidden.has(name) && list.length);
  const all = shown.flatMap(([, list]) => list);
  if (!all.length) return;
  const times = all.map((p) => p[0]);
  const values = all.map((p) => p[1]);
  const [from, to] = [Math.min(...times), Math.max(...times, Math.min(...times) + 1000)];
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (low === high) { low -= 1; high += 1; }
  const left = 56;
  const x = (t) => left + ((t - from) / (to - from)) * (width - left - 8);
  const y = (v) => 10 + (1 - (v - low) / (high - low)) * (height - 34);
  context.font = '11px system-ui, sans-serif';
  context.fillStyle = style.getPropertyValue('--soft');
  context.strokeStyle = style.getPropertyValue('--line');
  context.textAlign = 'right';
  for (let i = 0; i <= 4; i += 1) {
    const value = low + ((high - low) * i) / 4;
    context.beginPath();
    context.moveTo(left, y(value));
    context.lineTo(width - 8, y(value));
    context.stroke();
    context.fillText(Number(value.toPrecision(4)), left - 6, y(value) + 4);
  }
  context.fillText(new Date(to).toLocaleTimeString([], { hour12: false }), width - 8, height - 6);
  context.textAlign = 'left';
  context.fillText(new Date(from).toLocaleTimeString([], { hour12: false }), left, height - 6);
  context.lineWidth = 1.75;
  context.lineJoin = 'round';
  for (const [name, list] of shown) {
    context.strokeStyle = series.colour(name);
    context.fillStyle = series.colour(name);
    context.beginPath();
    list.forEach(([t, v], i) => (i ? context.lineTo(x(t), y(v)) : context.moveTo(x(t), y(v))));
    context.stroke();
    if (list.length < 60) {
      for (const [t, v] of list) {
        context.beginPath();
        context.arc(x(t), y(v), 2.2, 0, 7);
        context.fill();
      }
    }
  }
}
