"use strict";
// The chart that a reader chooses: its questions, its switches, what is read off it, and the files it leaves as.
const Live = (() => {
  const one = (selector) => document.querySelector(selector);
  const source = one("#charts");
  if (!source) return { redraw() {}, showRun() {} };
  const data = JSON.parse(source.textContent);
  const host = one("#live-chart"), form = one("#answers"), title = one("#live-title"), numbers = one("#live-numbers");
  const cases = new Map(data.cases.map(([slot, name, light, dark, shape, dash]) =>
    [slot, { name, light, dark, shape, dash: dash ? dash.split(" ").map(Number) : [] }]));
  // What was chosen; log and range only where they are not the chart's own.
  const state = { answers: {}, log: {}, range: null, at: -1 };
  let chart = null, view = null, plot = null;

  // -- Data: numbers come as 32-bit floats in base64, time series in two letters a value.
  const decoded = new Map();
  const column = (place) => {
    if (!decoded.has(place)) {
      const bytes = Uint8Array.from(atob(data.columns[place]), (letter) => letter.charCodeAt(0));
      decoded.set(place, [...new Float32Array(bytes.buffer)]);
    }
    return decoded.get(place);
  };
  const points = (x, y) => column(x).map((value, at) => [value, column(y)[at]]);
  const interval = (low, high) => (Number.isNaN(low) ? null : [low, high]);
  const unpacked = (series) => ({
    case: series.case,
    lines: (series.lines ?? []).map(([x, y, style]) => [points(x, y), style]),
    bands: (series.bands ?? []).map(([a, b, c, d]) => [points(a, b), points(c, d)]),
    dots: series.dots ? column(series.dots[0]).map((x, at) => {
      const [, y, left, right, low, high, runs] = series.dots.map((place) => column(place)[at]);
      return { x, y, across: interval(left, right), up: interval(low, high), runs };
    }) : [],
  });
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const values = (text) => Array.from({ length: text.length / 2 }, (_, at) => {
    const code = LETTERS.indexOf(text[2 * at]) * 64 + LETTERS.indexOf(text[2 * at + 1]);
    return code ? 10 ** (-3 + (code - 1) / 4094 * 10) : null;
  });
  const timeline = ({ case: slot, series }) => {
    const median = values(series.median), most = values(series.most), at = (place) => (place + 0.5) * series.slice;
    const slices = median.flatMap((value, place) => (value === null ? [] : [[at(place), value, most[place]]]));
    return {
      case: slot, bands: [], dots: [], slices, lost: new Map(series.lost.map(([place, count]) => [at(place), count])),
      lines: [[slices.map(([x, middle]) => [x, middle]), "thin"]],
      needles: slices.filter(([, middle, high]) => high > middle), losses: series.lost.map(([place]) => at(place)),
    };
  };

  // -- Questions: each answer leaves fewer charts, until one is left.
  const choose = () => {
    let left = data.charts;
    const asked = [];
    for (;;) {
      const question = Object.keys(left[0].answers).find((name) => !asked.some(([other]) => other === name));
      if (question === undefined) break;
      const open = [...new Set(left.map((one) => one.answers[question]).filter((answer) => answer !== undefined))];
      const answer = open.includes(state.answers[question]) ? state.answers[question] : open[0];
      asked.push([question, answer, open]);
      left = left.filter((one) => one.answers[question] === answer);
    }
    return [left[0], asked];
  };
  const element = (name, attributes = {}, ...content) => {
    const made = Object.assign(document.createElement(name), attributes);
    made.append(...content);
    return made;
  };
  const ask = (asked) => {
    const focus = document.activeElement?.dataset?.question;
    form.replaceChildren();
    for (const [question, answer, open] of asked) {
      if (open.length < 2) continue;
      const select = element("select", {}, ...open.map((text) => element("option", { textContent: text, value: text, selected: text === answer })));
      select.dataset.question = question;
      select.addEventListener("input", () => answerWith(question, select.value));
      form.append(element("label", {}, `${question} `, select));
      if (question === "Run") {
        const step = (by) => answerWith(question, open[(open.indexOf(answer) + by + open.length) % open.length]);
        for (const [text, by] of [["previous", -1], ["next", 1]]) {
          const button = element("button", { type: "button", textContent: text });
          button.dataset.question = text;
          button.addEventListener("click", () => step(by));
          form.append(button);
        }
      }
      if (focus) form.querySelector(`[data-question="${CSS.escape(focus)}"]`)?.focus();
    }
  };
  const answerWith = (question, answer) => {
    Object.assign(state, { answers: { ...state.answers, [question]: answer }, log: {}, range: null, at: -1 });
    Tip.hide();
    render();
  };

  // -- What is drawn
  const extent = (series, axis) => {
    const all = series.flatMap((one) => [
      ...one.lines.flatMap(([line]) => line.map((point) => point[axis])),
      ...one.dots.flatMap((dot) => [axis ? dot.y : dot.x, ...((axis ? dot.up : dot.across) ?? [])]),
      ...(one.needles ?? []).map((needle) => (axis ? needle[2] : needle[0])),
    ]).filter(Number.isFinite);
    const positive = all.filter((value) => value > 0);
    return { low: Math.min(...all), high: Math.max(...all), least: Math.min(...positive), log: positive.length > 0 };
  };
  const axisOf = (name, scale, series) => {
    const reach = extent(series, name === "y" ? 1 : 0);
    const fixed = scale.kind === "names" || !reach.log;
    const log = fixed ? false : state.log[name] ?? scale.log;
    const own = log === scale.log ? [scale.low, scale.high] : log ? [reach.least / 1.2, reach.high * 1.2] : [Math.min(0, reach.low), reach.high * 1.05];
    return { scale, log, fixed, range: state.range?.[name] ?? own };
  };
  const dark = () => {
    const theme = document.documentElement.dataset.theme;
    return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const colorOf = (name) => {
    host.style.color = `var(--${name})`;
    const color = getComputedStyle(host).color;
    host.style.color = "";
    return color;
  };
  const looks = (night) => (slot) => {
    const mark = cases.get(slot);
    return mark ? { ...mark, color: night ? mark.dark : mark.light } : { name: "", color: night ? "#9aa6b2" : "#5a6470", shape: "circle", dash: [] };
  };
  const words = (asked) => asked.filter(([question]) => !["Chart", "Figure", "Across", "Set"].includes(question))
    .map(([question, answer]) => (question === "Run" ? answer : `${question} = ${answer}`)).join(", ");
  const titleOf = (asked) => {
    const answers = Object.fromEntries(asked.map(([question, answer]) => [question, answer]));
    const lead = answers.Chart === "Figures" ? `${answers.Figure} by ${answers.Across}` : [answers.Chart, answers.Figure].filter(Boolean).join(": ");
    return [answers.Set, lead, words(asked)].filter(Boolean).join(" · ");
  };
  const render = () => {
    const [next, asked] = choose();
    ask(asked);
    const off = new Set([...document.querySelectorAll('[data-toggle][aria-pressed="false"]')].map((button) => Number(button.dataset.toggle)));
    if (next !== chart) chart = next, chart.all = chart.all ?? (chart.run ? [timeline(chart)] : chart.marks.map(unpacked));
    const [x, y] = chart.run ? data.time : chart.scales.map((place) => data.scales[place]);
    const axes = { x: axisOf("x", x, chart.all), y: axisOf("y", y, chart.all) };
    const lone = chart.all.every((series) => series.case === null || !series.lines.length);
    view = {
      axes, title: titleOf(asked), shown: chart.all.filter((series) => !off.has(series.case)), look: looks(dark()), lost: colorOf("bad"),
      named: lone && y.kind !== "names" && x.kind !== "names" && chart.reads === "points",
    };
    title.textContent = view.title;
    host.setAttribute("aria-label", view.title);
    for (const name of ["x", "y"]) Object.assign(one(`#log-${name}`), { checked: axes[name].log, disabled: axes[name].fixed });
    draw();
    if (one("#live details").open) tabulate();
  };
  const draw = () => {
    plot?.destroy();
    const { x, y } = view.axes, ink = colorOf("quiet"), rule = colorOf("grid");
    const width = Math.max(host.clientWidth, 280);
    const letters = y.scale.kind === "names" ? Math.max(...y.scale.names.map((name) => name.length)) : 0;
    const axis = (of, size, most) => ({
      size, stroke: ink, label: of.scale.name || undefined, labelSize: 18, font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif",
      grid: { stroke: rule, width: 1 }, ticks: { stroke: rule, width: 1, size: 4 }, filter: (_, splits) => splits,
      splits: () => Marks.ticks(of.scale, of.range, of.log, most),
      values: (_, splits) => splits.map((value) => Marks.tick(value, of.scale)).map((text) => (text.length > 24 ? `${text.slice(0, 23)}…` : text)),
    });
    const rows = y.scale.kind === "names" ? y.scale.names.length * 26 + 70 : 0;
    const scaleOf = (of) => ({ time: false, distr: of.log ? 3 : 1, range: () => of.range });
    plot = new uPlot({
      width, height: Math.max(rows, Math.min(Math.max(width * 0.55, 300), 460)), legend: { show: false }, padding: [10, 16, 0, 0],
      scales: { x: scaleOf(x), y: scaleOf(y) },
      // The library keeps axes, zoom and crosshair; the marks are ours, so that a file gets the same ones.
      series: [{}, { paths: () => null, points: { show: false } }],
      axes: [axis(x, 34, width < 500 ? 4 : 8), axis(y, letters ? Math.min(letters * 7 + 14, 180, width * 0.4) : 62, 7)],
      cursor: { drag: { x: x.scale.kind !== "names", y: y.scale.kind !== "names", uni: 12, setScale: false }, points: { show: false }, bind: { dblclick: () => null } },
      hooks: {
        draw: [(u) => {
          const box = [u.bbox.left, u.bbox.top, u.bbox.left + u.bbox.width, u.bbox.top + u.bbox.height];
          const place = ([a, b]) => [u.valToPos(a, "x", true), u.valToPos(b, "y", true)];
          u.ctx.save();
          Marks.marks(new Marks.CanvasPen(u.ctx, uPlot.pxRatio), { ...view, place }, box);
          u.ctx.restore();
        }],
        setSelect: [(u) => {
          const { left, top, width: wide, height: high } = u.select;
          if (wide < 4 && high < 4) return;
          const across = wide >= 4 ? [u.posToVal(left, "x"), u.posToVal(left + wide, "x")] : x.range;
          const up = high >= 4 ? [u.posToVal(top + high, "y"), u.posToVal(top, "y")] : y.range;
          zoomTo(across, up);
        }],
      },
    }, [x.range, y.range], host);
    plot.over.addEventListener("pointermove", (event) => {
      const box = plot.over.getBoundingClientRect();
      const text = read(event.clientX - box.left, event.clientY - box.top);
      if (text) Tip.show(text, event.clientX, event.clientY); else Tip.hide();
    });
    plot.over.addEventListener("pointerleave", Tip.hide);
    plot.over.addEventListener("dblclick", () => zoom("whole"));
  };

  // -- Zoom
  const zoomTo = (x, y) => { state.range = { x, y }; state.at = -1; Tip.hide(); render(); };
  const zoom = (way) => {
    if (way === "whole") { state.range = null; render(); return; }
    const closer = ({ scale, range, log }) => {
      if (scale.kind === "names") return range;
      const part = way === "in" ? 0.2 : -1 / 3;
      return [Marks.back(part, range, log), Marks.back(1 - part, range, log)];
    };
    zoomTo(closer(view.axes.x), closer(view.axes.y));
  };

  // -- Reading, at a place in pixels of the plot
  const crossing = (line, level) => {
    for (let at = 1; at < line.length; at += 1) {
      const [[x1, y1], [x2, y2]] = [line[at - 1], line[at]];
      if ((y1 - level) * (y2 - level) <= 0 && y1 !== y2) return x1 * (x2 / x1) ** ((level - y1) / (y2 - y1));
    }
    return null;
  };
  const between = (ends, scale) => (ends ? ` [${ends.map((end) => Marks.word(end, scale)).join(" – ")}]` : "");
  const dotWords = (series, dot) => {
    const { x, y } = view.axes, name = view.look(series.case).name, runs = `, ${dot.runs} ${dot.runs === 1 ? "run" : "runs"}`;
    if (y.scale.kind === "names") return `${name}: ${Marks.word(dot.x, x.scale)}${between(dot.across, x.scale)}${runs}`;
    const up = `${Marks.word(dot.y, y.scale)}${between(dot.up, y.scale)}`;
    if (!view.named) return `${name}: ${up}${runs}`;
    return `${name}\n${x.scale.name}: ${Marks.word(dot.x, x.scale)}${between(dot.across, x.scale)}\n${y.scale.name}: ${up}${runs}`;
  };
  const readCurves = (level) => {
    const lines = [chart.reads === "share" ? `${Marks.share(level)} answered within` : `${Marks.share(level)} take longer than`];
    for (const series of view.shown) {
      const hits = series.lines.map(([line]) => crossing(line, level)).filter((hit) => hit !== null);
      if (!hits.length) continue;
      const span = series.bands.flatMap(([high, low]) => [crossing(low, level), crossing(high, level)]).filter((end) => end !== null);
      const ends = span.length === 2 ? `, runs${between(span.sort((a, b) => a - b), view.axes.x.scale)}` : "";
      lines.push(`${view.look(series.case).name}: ${Marks.time(hits[0])}${ends}`);
    }
    return lines.join("\n");
  };
  const readDots = (left, top) => {
    const near = view.shown.flatMap((series) => series.dots.map((dot) => ({ series, dot, far: Math.hypot(plot.valToPos(dot.x, "x") - left, plot.valToPos(dot.y, "y") - top) })));
    const nearest = near.sort((a, b) => a.far - b.far)[0];
    if (!nearest) return "";
    if (view.named || view.axes.y.scale.kind === "names") return dotWords(nearest.series, nearest.dot);
    const beside = view.shown.flatMap((series) => series.dots.filter((dot) => dot.x === nearest.dot.x).map((dot) => dotWords(series, dot)));
    return [`${view.axes.x.scale.name} ${Marks.tick(nearest.dot.x, view.axes.x.scale)}`, ...beside].join("\n");
  };
  const readTime = (left) => {
    const at = plot.posToVal(left, "x"), [series] = view.shown;
    if (!series?.slices.length) return "No request was answered";
    const [x, middle, most] = series.slices.reduce((best, slice) => (Math.abs(slice[0] - at) < Math.abs(best[0] - at) ? slice : best));
    const lost = series.lost.get(x);
    return `at ${x.toFixed(3)} s\nmedian ${Marks.time(middle)}\ngreatest ${Marks.time(most)}${lost ? `\n${lost} lost` : ""}`;
  };
  const read = (left, top) => {
    if (chart.run) return readTime(left);
    if (chart.reads !== "points") return readCurves(Math.min(Math.max(plot.posToVal(top, "y"), 0), 1));
    return readDots(left, top);
  };
  // By keyboard: the quantiles people quote, every marker, or the time in steps.
  const stops = () => {
    const { x, y } = view.axes, middle = plot.over.clientWidth / 2;
    if (chart.run) return Array.from({ length: 25 }, (_, at) => [plot.over.clientWidth * at / 24, 20]);
    if (chart.reads === "points") {
      const places = view.shown.flatMap((series) => series.dots.map((dot) => [plot.valToPos(dot.x, "x"), plot.valToPos(dot.y, "y")]));
      return places.sort((a, b) => (y.scale.kind === "names" ? a[1] - b[1] : a[0] - b[0] || a[1] - b[1]));
    }
    const shares = [0.5, 0.9, 0.95, 0.99, 0.999, 0.9999].map((share) => (chart.reads === "share" ? share : 1 - share));
    return shares.filter((share) => share >= y.range[0]).map((share) => [middle, plot.valToPos(share, "y")]);
  };
  host.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const way = { "+": "in", "=": "in", "-": "out", 0: "whole" }[event.key];
    if (event.key === "Escape") Tip.hide();
    if (way) zoom(way);
    if (!move && !way) return;
    event.preventDefault();
    const places = move ? stops() : [];
    if (!places.length) return;
    state.at = (state.at + move + places.length) % places.length;
    const [left, top] = places[state.at], box = plot.over.getBoundingClientRect();
    plot.setCursor({ left, top });
    Tip.show(read(left, top), box.left + left, box.top + top);
  });
  host.addEventListener("blur", Tip.hide);

  // -- Taking it away
  const rows = () => {
    const { x, y } = view.axes;
    if (chart.run) return [["time, s", "median, us", "greatest, us", "lost"], ...(view.shown[0]?.slices ?? []).map(([at, middle, most]) => [at, middle, most, view.shown[0].lost.get(at) ?? 0])];
    const [across, up] = [x, y].map(({ scale }, at) => (scale.name || (scale.kind === "names" ? "case" : "xy"[at])) + (scale.kind === "time" && !/[µ(]/.test(scale.name) ? ", µs" : ""));
    const value = (of, number) => (of.scale.kind === "names" ? of.scale.names[Math.round(number)] : number);
    const head = ["case", across, `${across}: low`, `${across}: high`, up, `${up}: low`, `${up}: high`, "runs"];
    const body = view.shown.filter((series) => series.case !== null).flatMap((series) => {
      const { name } = view.look(series.case);
      if (series.dots.length) {
        return series.dots.map((dot) => [name, value(x, dot.x), ...(dot.across ?? ["", ""]), value(y, dot.y), ...(dot.up ?? ["", ""]), dot.runs]);
      }
      return series.lines.flatMap(([line]) => line).map(([a, b]) => {
        const span = series.bands.flatMap(([high, low]) => [low, high].map((edge) => edge.find((point) => point[1] === b)?.[0] ?? ""));
        return [name, a, ...(span.length ? span : ["", ""]), b, "", "", ""];
      });
    });
    const kept = head.map((_, at) => body.some((row) => row[at] !== "" && row[at] !== undefined) && !(at === 4 && y.scale.kind === "names"));
    return [head, ...body].map((row) => row.filter((_, at) => kept[at]));
  };
  const figures = (field) => (typeof field === "number" ? String(Number(field.toPrecision(7))) : field);
  const csv = () => rows().map((row) => row.map((field) => {
    const text = String(figures(field));
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }).join(",")).join("\n") + "\n";
  const tabulate = () => {
    const [head, ...body] = rows();
    const MOST = 500;
    const line = (row, name) => element("tr", {}, ...row.map((field) => element(name, { textContent: typeof field === "number" ? Number(field.toPrecision(5)).toLocaleString("en", { maximumSignificantDigits: 5 }) : field, className: typeof field === "number" ? "num" : "" })));
    const table = element("table", {}, element("thead", {}, line(head, "th")), element("tbody", {}, ...body.slice(0, MOST).map((row) => line(row, "td"))));
    const box = element("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: "Table: numbers of this chart" }, table);
    numbers.replaceChildren(box, ...(body.length > MOST ? [element("p", { className: "note", textContent: `The first ${MOST} of ${body.length} rows; CSV has them all.` })] : []));
  };
  const save = (content, ending, type) => {
    const link = element("a", { href: URL.createObjectURL(new Blob([content], { type })), download: `${fileName()}.${ending}` });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };
  const fileName = () => `pollbench-${view.title.toLowerCase().replace(/[^a-z0-9.]+/g, "-").replace(/^-|-$/g, "").slice(0, 80)}`;
  const size = () => [960, Math.max(560, view.axes.y.scale.names.length * 26 + 160)];
  const paper = () => ({ ...view, look: looks(false), lost: "#a3260f" });
  const saves = {
    csv: () => save(csv(), "csv", "text/csv"),
    svg: () => { const pen = new Marks.SvgPen(...size()); Marks.figure(pen, paper(), size()); save(pen.toString(), "svg", "image/svg+xml"); },
    png: () => {
      const [width, height] = size(), canvas = element("canvas", { width: width * 2, height: height * 2 }), context = canvas.getContext("2d");
      context.scale(2, 2);
      Marks.figure(new Marks.CanvasPen(context), paper(), [width, height]);
      canvas.toBlob((blob) => save(blob, "png", "image/png"));
    },
  };

  // -- Controls
  for (const button of document.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => zoom(button.dataset.zoom));
  for (const button of document.querySelectorAll("[data-save]")) button.addEventListener("click", () => saves[button.dataset.save]());
  for (const name of ["x", "y"]) one(`#log-${name}`).addEventListener("input", (event) => { state.log[name] = event.target.checked; state.range = null; render(); });
  one("#live details").addEventListener("toggle", () => tabulate());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", render);
  let width = 0;
  new ResizeObserver(() => { if (host.clientWidth !== width) { width = host.clientWidth; render(); } }).observe(host);
  const showRun = (run) => {
    const { answers } = data.charts.find((one) => one.run === run) ?? {};
    if (answers) { Object.assign(state, { answers: { ...state.answers, ...answers }, log: {}, range: null, at: -1 }); render(); }
  };
  return { redraw: render, showRun };
})();
