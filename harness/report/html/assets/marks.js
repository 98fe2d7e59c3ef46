"use strict";
// Scales, ticks and words of a chart, and its marks drawn by a pen: on a canvas for the screen and PNG, or as SVG.
const Marks = (() => {
  // -- Words
  const short = (value) => {
    const size = Math.abs(value);
    if (size >= 99.95) return Math.round(value).toLocaleString("en");
    return size >= 9.995 ? value.toFixed(1) : size >= 0.01 || size === 0 ? value.toFixed(2) : value.toPrecision(2);
  };
  const plain = (value) => String(Number(value.toPrecision(6)));
  const inUnit = (us, text) => {
    for (const [size, unit] of [
      [1e6, "s"],
      [1e3, "ms"],
      [1, "µs"],
    ]) {
      if (Math.abs(us) >= size * 0.9999) return `${text(us / size)} ${unit}`;
    }
    return us === 0 ? "0 µs" : `${text(us * 1e3)} ns`;
  };
  const time = (us) => inUnit(us, short);
  const share = (value) => `${Number((value * 100).toPrecision(value > 0.5 ? 5 : 2))} %`;
  const tick = (value, scale) => {
    if (scale.kind === "names") return scale.names[value] ?? "";
    if (scale.kind === "time") return inUnit(value, plain);
    if (scale.kind === "share") return `${plain(value * 100)} %`;
    for (const [size, suffix] of [
      [1e9, "G"],
      [1e6, "M"],
      [1e3, "k"],
    ]) {
      if (Math.abs(value) >= size) return plain(value / size) + suffix;
    }
    return plain(value);
  };
  const word = (value, scale) => {
    if (scale.kind === "names") return scale.names[Math.round(value)] ?? "";
    return scale.kind === "time" ? time(value) : scale.kind === "share" ? share(value) : short(value);
  };

  // -- Axes: `range` is [low, high], by the logarithm where `log`.
  const along = (value, range, log) => {
    const [low, high, at] = [...range, value].map((number) => (log ? Math.log10(Math.max(number, 1e-12)) : number));
    return (at - low) / (high - low);
  };
  const back = (part, range, log) => {
    const [low, high] = log ? range.map(Math.log10) : range;
    const value = low + part * (high - low);
    return log ? 10 ** value : value;
  };
  const within = (values, [low, high]) =>
    values.filter((value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
  const linearTicks = ([low, high], most) => {
    const raw = (high - low) / Math.max(most - 1, 1);
    const size = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].map((times) => size * times).find((width) => width >= raw * 0.999);
    const first = Math.ceil(low / step - 1e-9);
    const count = Math.max(Math.floor(high / step + 1e-9) - first + 1, 0);
    return Array.from({ length: count }, (_, at) => Number(((first + at) * step).toPrecision(12)));
  };
  const logTicks = (range, most) => {
    const [from, to] = [Math.floor(Math.log10(range[0])), Math.ceil(Math.log10(range[1]))];
    const decades = Array.from({ length: to - from + 1 }, (_, at) => from + at);
    for (const steps of [[1, 1.5, 2, 3, 4, 5, 7], [1, 2, 3, 5], [1, 2, 5], [1, 3], [1]]) {
      const ticks = within(
        decades.flatMap((power) => steps.map((step) => Number((step * 10 ** power).toPrecision(6)))),
        range,
      );
      if (ticks.length <= most && ticks.length > 1) return ticks;
      if (ticks.length < 2) return linearTicks(range, most);
    }
    const every = Math.ceil(decades.length / most);
    return within(
      decades.filter((power) => power % every === 0).map((power) => 10 ** power),
      range,
    );
  };
  const ticks = (scale, range, log, most) => {
    const fixed = within(scale.ticks ?? [], range);
    if (scale.kind === "names" || fixed.length > 1) return fixed;
    return log ? logTicks(range, most) : linearTicks(range, most);
  };

  // -- Pens: the same strokes, for a canvas and for a file.
  class CanvasPen {
    constructor(context, unit = 1) {
      this.context = context;
      this.unit = unit;
    }
    trace(points) {
      this.context.beginPath();
      points.forEach(([x, y], at) => (at ? this.context.lineTo(x, y) : this.context.moveTo(x, y)));
    }
    line(points, { color, width = 2, dash = [], alpha = 1 }) {
      this.trace(points);
      Object.assign(this.context, {
        strokeStyle: color,
        lineWidth: width * this.unit,
        globalAlpha: alpha,
        lineJoin: "round",
      });
      this.context.setLineDash(dash.map((part) => part * this.unit));
      this.context.stroke();
    }
    area(points, { color, alpha = 1 }) {
      this.trace(points);
      Object.assign(this.context, { fillStyle: color, globalAlpha: alpha });
      this.context.fill();
    }
    text(words, x, y, { color, size = 12, align = "left", bold = false }) {
      Object.assign(this.context, { fillStyle: color, globalAlpha: 1, textAlign: align, textBaseline: "middle" });
      this.context.font = `${bold ? "600 " : ""}${size * this.unit}px system-ui, sans-serif`;
      this.context.fillText(words, x, y);
    }
    within([left, top, right, bottom], draw) {
      this.context.save();
      this.context.beginPath();
      this.context.rect(left, top, right - left, bottom - top);
      this.context.clip();
      draw();
      this.context.restore();
    }
  }
  const escape = (text) =>
    text.replace(/[&<>"]/g, (letter) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[letter]);
  class SvgPen {
    constructor(width, height) {
      this.size = [width, height];
      this.parts = [];
      this.clips = 0;
      this.unit = 1;
    }
    path(points, attributes) {
      const data = points.map(([x, y]) => `${x.toFixed(2)} ${y.toFixed(2)}`).join("L");
      this.parts.push(`<path d="M${data}" ${attributes}/>`);
    }
    line(points, { color, width = 2, dash = [], alpha = 1 }) {
      const dashes = dash.length ? ` stroke-dasharray="${dash.join(" ")}"` : "";
      this.path(
        points,
        `fill="none" stroke="${color}" stroke-width="${width}" stroke-linejoin="round" opacity="${alpha}"${dashes}`,
      );
    }
    area(points, { color, alpha = 1 }) {
      this.path(points, `fill="${color}" opacity="${alpha}"`);
    }
    text(words, x, y, { color, size = 12, align = "left", bold = false }) {
      const anchor = { left: "start", center: "middle", right: "end" }[align];
      this.parts.push(
        `<text x="${x.toFixed(1)}" y="${(y + size * 0.35).toFixed(1)}" fill="${color}" font-size="${size}"` +
          `${bold ? ' font-weight="600"' : ""} text-anchor="${anchor}">${escape(words)}</text>`,
      );
    }
    within([left, top, right, bottom], draw) {
      const name = `clip${(this.clips += 1)}`;
      this.parts.push(
        `<clipPath id="${name}"><rect x="${left}" y="${top}" width="${right - left}" height="${bottom - top}"/></clipPath>`,
      );
      this.parts.push(`<g clip-path="url(#${name})">`);
      draw();
      this.parts.push("</g>");
    }
    toString() {
      const [width, height] = this.size;
      const space = document.querySelector("svg").namespaceURI;
      return (
        `<svg xmlns="${space}" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"` +
        ` font-family="system-ui, Helvetica, Arial, sans-serif">\n${this.parts.join("\n")}\n</svg>\n`
      );
    }
  }

  // -- Marks
  const round = Array.from({ length: 20 }, (_, at) => [Math.cos((at * Math.PI) / 10), Math.sin((at * Math.PI) / 10)]);
  const shapes = {
    circle: round,
    square: [
      [-1, -1],
      [1, -1],
      [1, 1],
      [-1, 1],
    ],
    triangle: [
      [0, -1.25],
      [1.15, 0.85],
      [-1.15, 0.85],
    ],
    down: [
      [0, 1.25],
      [1.15, -0.85],
      [-1.15, -0.85],
    ],
    diamond: [
      [0, -1.35],
      [1.35, 0],
      [0, 1.35],
      [-1.35, 0],
    ],
    pentagon: [
      [0, -1.25],
      [1.2, -0.35],
      [0.75, 1.05],
      [-0.75, 1.05],
      [-1.2, -0.35],
    ],
    plus: [
      [-0.4, -1.2],
      [0.4, -1.2],
      [0.4, -0.4],
      [1.2, -0.4],
      [1.2, 0.4],
      [0.4, 0.4],
      [0.4, 1.2],
      [-0.4, 1.2],
      [-0.4, 0.4],
      [-1.2, 0.4],
      [-1.2, -0.4],
      [-0.4, -0.4],
    ],
    cross: [
      [-1.2, -0.7],
      [-0.7, -1.2],
      [0, -0.5],
      [0.7, -1.2],
      [1.2, -0.7],
      [0.5, 0],
      [1.2, 0.7],
      [0.7, 1.2],
      [0, 0.5],
      [-0.7, 1.2],
      [-1.2, 0.7],
      [-0.5, 0],
    ],
  };
  const marker = (pen, shape, x, y, size, color) => {
    pen.area(
      shapes[shape].map(([a, b]) => [x + a * size * pen.unit, y + b * size * pen.unit]),
      { color },
    );
  };
  // place: [x, y] of values to pixels; look: of a case its colour, shape and dash.
  const marks = (pen, view, box) => {
    const { place } = view;
    const one = (series) => {
      const look = view.look(series.case);
      for (const [upper, lower] of series.bands)
        pen.area([...upper, ...lower.toReversed()].map(place), { color: look.color, alpha: 0.16 });
      for (const [x, low, high] of series.needles ?? [])
        pen.line([place([x, low]), place([x, high])], { color: look.color, width: 1.4, alpha: 0.45 });
      for (const [points, style] of series.lines) {
        const dash = style === "faint" ? [1, 4] : style === "frontier" ? [3, 3] : look.dash;
        pen.line(points.map(place), {
          color: look.color,
          width: style === "thin" || style === "frontier" ? 1.3 : 2,
          dash,
        });
      }
      for (const dot of series.dots) {
        const [x, y] = place([dot.x, dot.y]);
        if (dot.across)
          pen.line(
            dot.across.map((end) => place([end, dot.y])),
            { color: look.color, width: 1.5, alpha: 0.8 },
          );
        if (dot.up)
          pen.line(
            dot.up.map((end) => place([dot.x, end])),
            { color: look.color, width: 1.5, alpha: 0.8 },
          );
        marker(pen, look.shape, x, y, 4.6, look.color);
      }
      for (const x of series.losses ?? [])
        pen.text("×", place([x, 1])[0], box[1] + 8 * pen.unit, {
          color: view.lost,
          align: "center",
          bold: true,
        });
    };
    pen.within(box, () => view.shown.forEach(one));
    if (view.named) names(pen, view, box);
  };
  // The names of lone markers, each at the nearest place that covers nothing; with a stroke to it from further off.
  const names = (pen, view, [left, top, right, bottom]) => {
    const unit = pen.unit;
    const spots = view.shown
      .flatMap((series) => series.dots.map((dot) => [...view.place([dot.x, dot.y]), series.case]))
      .filter(([x, y]) => x >= left && x <= right && y >= top && y <= bottom);
    const taken = spots.map(([x, y]) => [x - 6 * unit, y - 6 * unit, x + 6 * unit, y + 6 * unit]);
    for (const dot of view.shown.flatMap((series) => series.dots)) {
      if (dot.up) taken.push([...view.place([dot.x, dot.up[1]]), ...view.place([dot.x, dot.up[0]])]);
      if (dot.across) taken.push([...view.place([dot.across[0], dot.y]), ...view.place([dot.across[1], dot.y])]);
    }
    for (const [x, y, at] of spots) {
      const look = view.look(at);
      const name = look.name.length > 26 ? `${look.name.slice(0, 25)}…` : look.name;
      const [wide, high] = [name.length * 7.4 * unit, 14 * unit];
      const free = ([a, b, c, d]) =>
        a >= left &&
        c <= right &&
        b >= top &&
        d <= bottom &&
        !taken.some(([e, f, g, h]) => a < g && c > e && b < h && d > f);
      for (const far of [9, 22, 38, 56, 80]) {
        const [dx, dy] = [(far > 9 ? far : 7) * unit, far * unit];
        const places = [
          [x + dx, y - dy],
          [x - dx - wide, y - dy],
          [x + dx, y + dy],
          [x - dx - wide, y + dy],
          [x - wide / 2, y - dx - high / 2],
          [x - wide / 2, y + dx + high / 2],
        ];
        const spot = places.find(([a, b]) => free([a, b - high / 2, a + wide, b + high / 2]));
        if (!spot) continue;
        const [a, b] = spot;
        taken.push([a, b - high / 2, a + wide, b + high / 2]);
        if (far > 9)
          pen.line(
            [
              [x, y],
              [a > x ? a : Math.min(a + wide, x), b],
            ],
            { color: look.color, width: 0.8, alpha: 0.6 },
          );
        pen.text(name, a, b, { color: look.color, bold: true });
        break;
      }
    }
  };
  // A whole figure for a file, on white paper: title, axes, marks, legend.
  const figure = (pen, view, [width, height]) => {
    const { x, y } = view.axes;
    const wide =
      y.scale.kind === "names"
        ? Math.min(Math.max(...y.scale.names.map((name) => name.length)) * 6.6 + 16, width / 3)
        : 64;
    const [ink, quiet, rule] = ["#1a1f26", "#5a6470", "#e4e7ea"];
    const named = view.named || y.scale.kind === "names";
    const listed = named ? [] : view.shown.filter((series) => series.case !== null);
    const box = [wide, 58, width - 20, height - 50 - 18 * Math.ceil(listed.length / 4)];
    const px = (value) => box[0] + along(value, x.range, x.log) * (box[2] - box[0]);
    const py = (value) => box[3] - along(value, y.range, y.log) * (box[3] - box[1]);
    pen.area(
      [
        [0, 0],
        [width, 0],
        [width, height],
        [0, height],
      ],
      { color: "#ffffff" },
    );
    pen.text(view.title, 12, 20, { color: ink, size: 15, bold: true });
    pen.text(y.scale.name, 12, 42, { color: quiet });
    for (const value of ticks(x.scale, x.range, x.log, 8)) {
      pen.line(
        [
          [px(value), box[1]],
          [px(value), box[3]],
        ],
        { color: rule, width: 1 },
      );
      pen.text(tick(value, x.scale), px(value), box[3] + 14, { color: quiet, align: "center" });
    }
    for (const value of ticks(y.scale, y.range, y.log, 8)) {
      pen.line(
        [
          [box[0], py(value)],
          [box[2], py(value)],
        ],
        { color: rule, width: 1 },
      );
      pen.text(tick(value, y.scale), box[0] - 8, py(value), { color: quiet, align: "right" });
    }
    pen.text(x.scale.name, (box[0] + box[2]) / 2, box[3] + 34, { color: quiet, align: "center" });
    marks(pen, { ...view, place: ([a, b]) => [px(a), py(b)] }, box);
    listed.forEach((series, at) => {
      const look = view.look(series.case);
      const [left, top] = [16 + ((at % 4) * (width - 20)) / 4, box[3] + 58 + 18 * Math.floor(at / 4)];
      marker(pen, look.shape, left, top, 4.6, look.color);
      pen.text(look.name, left + 12, top, { color: ink });
    });
  };
  return { along, back, ticks, tick, word, time, share, short, marks, figure, CanvasPen, SvgPen };
})();
